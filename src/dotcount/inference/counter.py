"""A trained network with its metadata, ready to count one image."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dotcount.data.images import PixelArray, UnitArray
from dotcount.data.windows import ResizedWindows, Windows
from dotcount.density import cells_inside
from dotcount.errors import ModelError, UsageError
from dotcount.inference.judging import judge
from dotcount.inference.peaks import find_peaks
from dotcount.inference.pixels import UNIT, ImageLike, magnified, network_input, pixels_of
from dotcount.inference.result import NetworkOutput, Prediction
from dotcount.inference.runtimes import Runtime, as_runtime
from dotcount.inference.scaling import of_file
from dotcount.inference.streaming import streamed_output
from dotcount.inference.tiling import densities_and_features, density_and_features, needs_tiles
from dotcount.intensity import IntensityRule, rule_for
from dotcount.metadata import CountInterval, ModelMetadata

if TYPE_CHECKING:
    import torch
    from torch import nn


class ImageCounter:
    """Counts and locates objects with a trained density regressor.

    Parameters
    ----------
    model
        Module that maps (B, 3, H, W) RGB in [0, 1] to a density of stride ``model.stride``, see
        :class:`dotcount.models.DensityModel`; or what runs a network, see :class:`dotcount.inference.runtimes.Runtime`.
    metadata
        What training recorded beside the weights. Absent: default peaks, no interval, images as they are.
    device
        Of a module: ``auto``, ``cpu``, ``cuda``, ``mps``, or a ``torch.device``.
    tile
        Side of the tiles in which large images are processed, px; absent: chosen by size; 0: never tile. The result
        does not depend on it.

    Raises
    ------
    ModelError
        If a field of the metadata is of a wrong type or out of range, or names another stride than the model has.
    UsageError
        If ``tile`` is negative or the device is not available.

    Examples
    --------
    >>> import numpy as np
    >>> from dotcount import models
    >>> counter = ImageCounter(models.create("compact", width=4), device="cpu")
    >>> counter.predict(np.zeros((64, 48), np.uint8)).density.shape
    (16, 12)
    """

    def __init__(
        self,
        model: nn.Module | Runtime,
        metadata: ModelMetadata | None = None,
        *,
        device: str | torch.device = "auto",
        tile: int | None = None,
    ) -> None:
        if tile is not None and tile < 0:
            raise UsageError(f"tile size is {tile}; it must be a number of pixels, or 0 for the whole image")
        self.runtime = as_runtime(model, device)
        self.stride = self.runtime.stride
        if metadata is None:
            metadata = ModelMetadata(model=self.runtime.model, stride=self.stride)
        self.metadata = metadata.checked()
        if metadata.stride != self.stride:
            raise ModelError(f"the metadata state a stride of {metadata.stride} px, the model has {self.stride}")
        self.tile = tile

    @property
    def name(self) -> str:
        """Name of the model's architecture."""
        return self.metadata.model

    @property
    def interval(self) -> CountInterval | None:
        """What the interval of a count is computed from; None if the model is not calibrated."""
        return self.metadata.interval

    def fingerprint(self) -> str:
        """Return a digest of the weights and of everything else that a prediction depends on."""
        return hashlib.sha256(f"{self.metadata!r} {self.runtime.digest()}".encode()).hexdigest()

    def predict(self, image: ImageLike, *, intensity: IntensityRule | None = None) -> Prediction:
        """Count and locate the objects of one image; a GeoTIFF is brought to the scale of the training images.

        Parameters
        ----------
        image
            A file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): unsigned integers, or floats
            in [0, 1].
        intensity
            What values of a depth that the model has not met in training mean, fitted on the set of images that this
            one is of; see :class:`dotcount.intensity.IntensityRule`. Without it, a rule is fitted on this image alone.

        Raises
        ------
        ImageReadError
            If the file is missing or can't be read.
        InputError
            If an array has another shape or range.
        ModelError
            If the model's density is not finite.
        """
        pixels = pixels_of(image, self.metadata.input.selection)
        if isinstance(image, (str, Path)):
            return self.predict_file(Path(image), pixels, intensity=intensity)
        if pixels.dtype.kind != "f":
            return self.predict_pixels(pixels, intensity=intensity)
        return self._predict(pixels, UNIT)

    def predict_file(self, path: Path, pixels: PixelArray, *, intensity: IntensityRule | None = None) -> Prediction:
        """Count and locate the objects of an image file whose (H, W, 3) pixels have been read.

        A GeoTIFF that states another size of its pixels than the training images had is resampled to that first, and
        the prediction says so in its ``warnings``.

        Raises
        ------
        DataError
            If its scale is too far from that of the training images.
        """
        magnify, notes = of_file(self.metadata, path, (pixels.shape[1], pixels.shape[0]))
        found = self.predict_pixels(pixels, intensity=intensity, magnify=magnify)
        return dataclasses.replace(found, warnings=(*notes, *found.warnings)) if notes else found

    def predict_pixels(
        self, pixels: PixelArray, *, intensity: IntensityRule | None = None, magnify: float = 1.0
    ) -> Prediction:
        """Count and locate the objects of (H, W, 3) pixels that :func:`dotcount.data.read_pixels` returned.

        With ``magnify`` they are resampled to so many times their size first, which makes images of another scale like
        those of the training; density cells and points are in px of the original all the same.
        """
        return self._predict(pixels, rule_for(pixels, self.metadata.input.intensity, intensity)[0], magnify)

    def _predict(self, pixels: PixelArray, intensity: IntensityRule | None, magnify: float = 1.0) -> Prediction:
        image, (height, width) = self.prepare(pixels, intensity, magnify), pixels.shape[:2]
        return self.finish(self.outputs(image[None])[0], image.shape[:2], width, height)

    # The three steps of a prediction, for engines that run them beside each other

    def prepare(self, pixels: PixelArray, intensity: IntensityRule | None, magnify: float = 1.0) -> UnitArray:
        """Return what the network sees of (H, W, 3) pixels: (h, w, 3) float32 in [0, 1]."""
        return network_input(magnified(pixels, magnify), self.metadata.input.resize, intensity)

    def outputs(self, images: UnitArray) -> list[NetworkOutput]:
        """Return what the network says of each of the images (B, h, w, 3) of one size from :meth:`prepare`."""
        mirror = self.metadata.mirror
        if len(images) > 1 and not needs_tiles(self.runtime, images.shape[1], images.shape[2], self.tile):
            found = densities_and_features(self.runtime, images, mirror=mirror)
        else:
            found = [density_and_features(self.runtime, one, tile=self.tile, mirror=mirror) for one in images]
        return [
            NetworkOutput(density, features, float(image.mean(dtype=np.float64)))
            for image, (density, features) in zip(images, found)
        ]

    def streamed(
        self,
        windows: Windows,
        intensity: IntensityRule,
        magnify: float = 1.0,
        progress: Callable[[float], None] | None = None,
    ) -> NetworkOutput:
        """Return what the network says of an image that is too large for the memory; see :func:`streamed_output`."""
        resize, (height, width) = self.metadata.input.resize, windows.shape[:2]
        if magnify != 1:
            height, width = (max(1, round(side * magnify)) for side in (height, width))
            windows = ResizedWindows(windows, width, height, "lanczos" if magnify > 1 else "bilinear")
        if resize.size(width, height) != (width, height):
            windows = ResizedWindows(windows, *resize.size(width, height), "bilinear")
        return streamed_output(
            self.runtime, windows, intensity.apply, tile=self.tile, mirror=self.metadata.mirror, progress=progress
        )

    def finish(self, output: NetworkOutput, size: tuple[int, ...], width: int, height: int) -> Prediction:
        """Return the prediction of an image of ``width`` x ``height`` px from what the network says of it.

        Parameters
        ----------
        output
            As :meth:`outputs` returns it; its density is changed.
        size
            (h, w) of what the network saw.
        width, height
            Of the image.

        Raises
        ------
        ModelError
            If the density is not finite.
        """
        metadata, density = self.metadata, output.density
        if not all(np.isfinite(density[k : k + 1024]).all() for k in range(0, len(density), 1024)):
            raise ModelError(
                f"model {self.name} returned a density that is not finite; retrain it or choose another run"
            )
        density[cells_inside(density.shape[0], self.stride, size[0]) :] = 0
        density[:, cells_inside(density.shape[1], self.stride, size[1]) :] = 0
        density *= metadata.count_scale
        scale = (width / size[1], height / size[0])
        xy, scores = find_peaks(
            density, self.stride, image_size=(size[0], size[1]), **dataclasses.asdict(metadata.peaks)
        )
        count = float(density.sum(dtype=np.float64))
        found = judge(metadata, count, output.features, size[0] * size[1], output.brightness)
        return Prediction(
            count=count,
            interval=found.interval,
            points=xy * scale,
            scores=scores,
            density=density,
            stride=(self.stride * scale[0], self.stride * scale[1]),
            width=width,
            height=height,
            familiarity=found.familiarity,
            warnings=found.warnings,
            features=output.features,
            brightness=output.brightness,
            rule=found.rule,
        )
