"""Resampling the pixels of an image; the rule that says to which size is :class:`dotcount.resize.ResizeRule`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

from dotcount.data.images import PixelArray
from dotcount.resize import ResizeRule

__all__ = ["ResizeRule", "crop_for", "resize_pixels"]


Filter = Literal["bilinear", "lanczos"]


Box = tuple[float, float, float, float]


def resize_pixels(
    pixels: PixelArray, width: int, height: int, filter: Filter = "bilinear", box: Box | None = None
) -> PixelArray:
    """Resample an (H, W, 3) array with an antialiased filter in the corner convention; the depth stays.

    ``bilinear`` is what networks are trained with; ``lanczos`` keeps more detail where an image is enlarged. A ``box``
    (left, top, right, bottom) px is the part that is resampled; what lies around it has a say at its border.

    Examples
    --------
    >>> import numpy as np
    >>> resize_pixels(np.full((30, 40, 3), 7, np.uint8), width=20, height=15).shape
    (15, 20, 3)
    """
    if box is None and pixels.shape[:2] == (height, width):
        return pixels
    method = Image.Resampling.BILINEAR if filter == "bilinear" else Image.Resampling.LANCZOS
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize((width, height), method, box))
    bands = [
        np.asarray(Image.fromarray(pixels[..., k].astype(np.float32)).resize((width, height), method, box))
        for k in range(pixels.shape[-1])
    ]
    resized = np.stack(bands, axis=-1)
    if np.issubdtype(pixels.dtype, np.integer):
        limits = np.iinfo(pixels.dtype)
        return np.rint(resized).clip(limits.min, limits.max).astype(pixels.dtype)
    return resized.astype(pixels.dtype)


def crop_for(sides: Sequence[int], limit: int = 256) -> int:
    """Return the side of training crops, px, for images with these shorter sides.

    It is ``limit``, or the largest multiple of 32 px that three quarters of the images hold. The others are padded, so
    that a few small ones don't decide for all. Where the images are below 32 px it is their shorter side itself.

    Examples
    --------
    >>> crop_for([300, 300, 300, 300, 12]), crop_for([200, 180, 170]), crop_for([20, 20])
    (256, 160, 20)
    """
    held = int(np.percentile(list(sides), 25, method="lower"))
    return limit if held >= limit else held // 32 * 32 or held
