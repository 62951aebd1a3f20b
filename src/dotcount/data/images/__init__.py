"""Reading image files of every kind that people bring, and telling what of them was read."""

from __future__ import annotations

from dotcount.data.images.kinds import SUFFIXES, is_image, unreadable_kind
from dotcount.data.images.opening import open_raster, quiet, unreadable
from dotcount.data.images.reading import (
    ImageHeader,
    LoadedImage,
    image_size,
    load_image,
    orientation,
    read_header,
    read_image,
    read_pixels,
    read_stored,
    to_bytes,
    to_unit,
)
from dotcount.data.images.values import PixelArray, UnitArray, three_channels
from dotcount.selection import ImageSelection

__all__ = [
    "SUFFIXES",
    "ImageHeader",
    "ImageSelection",
    "LoadedImage",
    "PixelArray",
    "UnitArray",
    "image_size",
    "is_image",
    "load_image",
    "open_raster",
    "orientation",
    "quiet",
    "read_header",
    "read_image",
    "read_pixels",
    "read_stored",
    "three_channels",
    "to_bytes",
    "to_unit",
    "unreadable",
    "unreadable_kind",
]
