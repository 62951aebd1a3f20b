"""Resampling the pixels of an image; the rule that says to which size is :class:`dotcount.resize.ResizeRule`."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dotcount.data.images import PixelArray
from dotcount.resize import ResizeRule

__all__ = ["ResizeRule", "resize_pixels"]


def resize_pixels(pixels: PixelArray, width: int, height: int) -> PixelArray:
    """Resample an (H, W, 3) array with an antialiased bilinear filter in the corner convention; the depth stays."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    bands = [
        np.asarray(
            Image.fromarray(pixels[..., k].astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        )
        for k in range(pixels.shape[-1])
    ]
    resized = np.stack(bands, axis=-1)
    if np.issubdtype(pixels.dtype, np.integer):
        return np.rint(resized).clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
    return resized.astype(pixels.dtype)
