"""A trained model, ready to count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from dotcount.data.images import read_pixels, three_channels, to_unit
from dotcount.data.resizing import ResizeRule, resize_pixels
from dotcount.errors import DataError, InputError, ModelError, UsageError
from dotcount.evaluation import DEFAULT_THRESHOLD, CountInterval, find_peaks
from dotcount.models import io as model_io
from dotcount.prediction.locate import model_folder
from dotcount.prediction.result import Prediction
from dotcount.prediction.sources import Source, expand
from dotcount.prediction.tiling import FloatMap, density_of

ImageLike = str | Path | npt.NDArray[Any] | Image.Image


@dataclass(frozen=True)
class Outcome:
    """One image of many: its prediction, or the one-line reason why there is none."""

    source: Source
    prediction: Prediction | None
    error: str | None = None

    @property
    def status(self) -> str:
        """Return ``ok`` or ``error``."""
        return "error" if self.prediction is None else "ok"


class Predictor:
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
        pixels = read_pixels(image) if isinstance(image, (str, Path)) else as_pixels(image)
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

    def predict_many(self, sources: Iterable[str | Path | Source]) -> Iterator[Outcome]:
        """Predict files, folders and glob patterns one after the other, in natural order.

        An image that can't be read gives an :class:`Outcome` with its error; the others go on.

        Raises
        ------
        DataError
            If a source doesn't exist or matches nothing; raised before the first prediction.
        """
        given = list(sources)
        plain = [source for source in given if not isinstance(source, Source)]
        listed = [source for source in given if isinstance(source, Source)]
        return self._predict_each(listed + (expand(plain) if plain or not listed else []))

    def _predict_each(self, sources: list[Source]) -> Iterator[Outcome]:
        for source in sources:
            try:
                yield Outcome(source, self.predict(source.path))
            except (DataError, InputError) as error:
                yield Outcome(source, None, str(error))
            except (MemoryError, RuntimeError) as error:
                # torch reports exhausted memory as a RuntimeError; a huge image must not end the run for the others.
                if isinstance(error, RuntimeError) and "memory" not in str(error):
                    raise
                yield Outcome(source, None, "not enough memory for this image; choose a smaller --tile")


def load(path: str | Path, *, device: str = "auto", tile: int | None = None) -> Predictor:
    """Load a trained model.

    Parameters
    ----------
    path
        What ``dotcount train --out`` wrote, or the ``model`` folder in it. Loading never executes code from the file.
    device, tile
        See :class:`Predictor`.

    Raises
    ------
    ModelError
        If there is no model there, or it is incomplete.
    """
    folder = model_folder(Path(path))
    module, metadata = model_io.load(folder)
    return Predictor(module, metadata, device=device, tile=tile)


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name!r} is not available here; use auto or cpu") from error
    return device


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
