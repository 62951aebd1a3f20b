"""A trained network with its settings, ready to count one image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from dotcount.data.images import read_pixels, three_channels, to_unit
from dotcount.data.resizing import ResizeRule, resize_pixels
from dotcount.devices import choose_device
from dotcount.errors import InputError, ModelError, UsageError
from dotcount.inference.peaks import DEFAULT_THRESHOLD, find_peaks
from dotcount.inference.result import Prediction
from dotcount.inference.tiling import FloatMap, density_of
from dotcount.metadata import CountInterval

ImageLike = str | Path | npt.NDArray[Any] | Image.Image


class ImageCounter:
    """Counts and locates objects with a trained density regressor.

    Parameters
    ----------
    model
        Module that maps (1, 3, H, W) RGB in [0, 1] to a density of stride ``model.stride``.
    metadata
        What training recorded beside the weights in ``config.json``: ``peaks`` (threshold, method, radius),
        ``interval``, ``resize``, ``count_scale`` (a factor on the density, fitted on held-out images), ``mirror`` (the
        mirror image is counted as well). Absent entries mean the default peaks, no interval, no resizing, a factor of
        1, no mirror.
    device
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    tile
        Side of the tiles in which large images are processed, px; absent: chosen by size; 0: never tile. The result
        does not depend on it.
    """

    def __init__(
        self,
        model: nn.Module,
        metadata: Mapping[str, Any] | None = None,
        *,
        device: str = "auto",
        tile: int | None = None,
    ) -> None:
        if tile is not None and tile < 0:
            raise UsageError(f"tile size is {tile}; it must be a number of pixels, or 0 for the whole image")
        self.model = model.to(choose_device(device)).to(memory_format=torch.channels_last).eval()
        self.metadata: dict[str, Any] = dict(metadata or {})
        if self.metadata.get("mirror"):
            self.model.mirror = True  # type: ignore[assignment]
        self.tile = tile
        self.stride = int(model.stride)  # type: ignore[arg-type]
        self.count_scale = float(self.metadata.get("count_scale", 1.0))
        peaks = self.metadata.get("peaks") or {}
        self.threshold = float(peaks.get("threshold", DEFAULT_THRESHOLD))
        self.peak_method, self.peak_radius = str(peaks.get("method", "mass")), int(peaks.get("radius", 1))
        interval = self.metadata.get("interval")
        self.interval = CountInterval.from_dict(interval) if interval else None

    @property
    def name(self) -> str:
        """Return the name of the model's architecture."""
        return str(self.metadata.get("model", type(self.model).__name__))

    def predict(self, image: ImageLike) -> Prediction:
        """Count and locate the objects of one image.

        Parameters
        ----------
        image
            A file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): unsigned integers are scaled by
            their type's maximum, floats must be in [0, 1].

        Raises
        ------
        ImageReadError
            If the file is missing or can't be read.
        InputError
            If an array has another shape or range.
        """
        return self.predict_pixels(read_pixels(image) if isinstance(image, (str, Path)) else as_pixels(image))

    def predict_pixels(self, pixels: npt.NDArray[Any]) -> Prediction:
        """Count and locate the objects of (H, W, 3) pixels as :func:`dotcount.data.images.read_pixels` returns them.

        For callers that have read the file already; the values keep the depth of the file.
        """
        height, width = pixels.shape[:2]
        new_width, new_height = ResizeRule.of(self.metadata.get("resize") or {}).size(width, height)
        # Resized in the stored depth, then scaled to [0, 1]: the order in which training does it.
        pixels = to_unit(resize_pixels(pixels, new_width, new_height))
        density = density_of(self.model, pixels, tile=self.tile)
        if not np.isfinite(density).all():
            raise ModelError(
                f"model {self.name} returned a density that is not finite; retrain it or choose another run"
            )
        without_padding(density, self.stride, new_height, new_width)
        density *= self.count_scale
        scale = (width / new_width, height / new_height)
        xy, scores = find_peaks(
            density,
            self.stride,
            self.threshold,
            method=self.peak_method,
            radius=self.peak_radius,
            image_size=(new_height, new_width),
        )
        count = float(density.sum(dtype=np.float64))
        return Prediction(
            count=count,
            interval=self._interval(count),
            points=xy * scale,
            scores=scores,
            density=density,
            stride=(self.stride * scale[0], self.stride * scale[1]),
            width=width,
            height=height,
        )

    def _interval(self, count: float) -> tuple[float, float] | None:
        if self.interval is None or not np.isfinite(self.interval.scale):
            return None
        return self.interval.interval(count)


def without_padding(density: FloatMap, stride: int, height: int, width: int) -> None:
    """Empty, in place, the cells whose centre lies outside the image; the losses leave them out."""
    rows, columns = density.shape
    density[(np.arange(rows) + 0.5) * stride >= height] = 0
    density[:, (np.arange(columns) + 0.5) * stride >= width] = 0


def as_pixels(image: npt.NDArray[Any] | Image.Image) -> npt.NDArray[Any]:
    """Return (H, W, 3) unsigned integers, or floats in [0, 1], of what :meth:`Predictor.predict` takes."""
    if isinstance(image, Image.Image):
        # Modes of more than 8 bits keep their depth; palettes and the like become RGB.
        image = np.asarray(image if image.mode in ("I;16", "F", "L", "RGB") else image.convert("RGB"))
    array = np.asarray(image)
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError(f"an image array must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); got {array.shape}")
    if array.dtype.kind not in "uf":
        raise InputError(f"an image array must hold unsigned integers or floats in [0, 1]; got {array.dtype}")
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise InputError("a float image array must be finite and in [0, 1]; divide it by its largest possible value")
    return three_channels(array)
