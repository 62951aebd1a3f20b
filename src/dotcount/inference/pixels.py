"""From what a user gives (a file, an array, a PIL image) to what a network sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dotcount.data.images import PixelArray, UnitArray, read_pixels, three_channels, to_unit
from dotcount.data.resizing import resize_pixels
from dotcount.errors import InputError
from dotcount.intensity import IntensityRule
from dotcount.resize import ResizeRule
from dotcount.selection import ImageSelection

FIRST = ImageSelection()
ImageLike = str | Path | npt.NDArray[Any] | Image.Image


def pixels_of(image: ImageLike, selection: ImageSelection = FIRST) -> PixelArray:
    """Return (H, W, 3) pixels as stored: unsigned integers, or floats.

    Raises
    ------
    ImageReadError
        If the file is missing or can't be read.
    InputError
        If an array has another shape or type.
    """
    return read_pixels(image, selection) if isinstance(image, (str, Path)) else as_pixels(image)


UNIT = IntensityRule(0.0, 1.0, "bit_depth", 0, "float")
"""Of floats that are brightness in [0, 1] already, as arrays are to be."""


def network_input(pixels: PixelArray, resize: ResizeRule, intensity: IntensityRule | None = None) -> UnitArray:
    """Return (h, w, 3) float32 in [0, 1]: ``pixels`` (H, W, 3) resized in the stored depth, then mapped to brightness.

    Parameters
    ----------
    pixels
        As :func:`pixels_of` returns them.
    resize
        Of the model.
    intensity
        What the values mean. Without a rule, or for values of a type that it does not know, one is fitted on this image
        alone.
    """
    height, width = pixels.shape[:2]
    resized = resize_pixels(pixels, *resize.size(width, height))
    if intensity is not None and intensity.covers(resized.dtype):
        return intensity.apply(resized)
    return to_unit(resized)


def magnified(pixels: PixelArray, factor: float) -> PixelArray:
    """Return pixels resampled to ``factor`` times their size, in which an image has the scale of the training images.

    Enlarged ones keep their detail (Lanczos): blurred by linear interpolation they would be counted too low.
    """
    if factor == 1:
        return pixels
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    return resize_pixels(pixels, width, height, "lanczos" if factor > 1 else "bilinear")


def as_pixels(image: npt.NDArray[Any] | Image.Image) -> PixelArray:
    """Return (H, W, 3) unsigned integers, or floats in [0, 1], of an array or a PIL image."""
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
