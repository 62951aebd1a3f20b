"""Dots as images: dot masks (a mark for each object) and instance masks (a label for each object).

A dot mask has one background; whatever differs from it is marked. Where marks are single pixels, as in the VGG and MBM
cell sets, every marked pixel is a dot, touching or not; where they are blobs, every connected blob is one. A dot is at
the centre of its pixel or at the centre of mass of its blob. An instance mask gives the centre of mass of every value
but 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.formats.structured import size_of
from dotcount.data.images import PixelArray, open_raster, read_pixels
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError, ImageReadError, UsageError

_MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".jpg", ".jpeg", ".webp")
_ONE_PIXEL_NOTE = "dotcount:one-pixel-per-dot"


def _read(path: Path, width: int, height: int) -> PixelArray:
    try:
        pixels = read_pixels(path)
    except ImageReadError as error:
        raise AnnotationError(str(error).replace("image", "mask", 1)) from error
    if pixels.shape[:2] != (height, width):
        found = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise AnnotationError(f"mask {path} is {found} px, its image {width} x {height}; export it at full size")
    return pixels


def marked_pixels(pixels: PixelArray) -> np.ndarray:
    """Return (H, W) whether a pixel differs from the background, the most frequent colour, by half the range or more.

    Half the range, so that the ringing of a JPEG is no mark; in any channel, so that a channel that is bright
    throughout hides nothing.
    """
    values = pixels.astype(np.float64)
    background = np.median(values.reshape(-1, values.shape[-1]), axis=0)
    contrast = np.abs(values - background).max(axis=-1)
    peak = contrast.max()
    return np.asarray(contrast >= max(peak / 2, 1e-9)) if peak > 0 else np.zeros(contrast.shape, dtype=bool)


def _blob_centres(labels: np.ndarray, number: int) -> np.ndarray:
    from scipy import ndimage

    centres = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, number + 1)), dtype=np.float64)
    return np.asarray(centres.reshape(-1, 2)[:, ::-1] + 0.5, dtype=np.float64)


@FORMATS.register("dot_mask")
class DotMask(Sidecar):
    """An image with a mark at each object."""

    name = "dot_mask"
    title = "dot mask images"
    suffixes = _MASK_SUFFIXES
    pictures = True
    ending = "_dots.png"

    def recognises(self, path: Path) -> bool:
        """Return whether the image has one dominant colour and few marks."""
        try:
            pixels = read_pixels(path)
        except ImageReadError:
            return False
        return float(marked_pixels(pixels).mean()) < 0.1 and _dominated(pixels)

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of one image."""
        from scipy import ndimage

        marks = marked_pixels(_read(path, width, height))
        labels, number = ndimage.label(marks, structure=np.ones((3, 3)))
        areas = np.bincount(labels.ravel())[1:]
        if number == 0 or np.median(areas) == 1 or _says_one_pixel(path):
            rows, columns = np.nonzero(marks)
            return Dots(np.stack([columns, rows], axis=1).astype(np.float64) + 0.5)
        return Dots(_blob_centres(labels, number))

    def write(self, path: Path, record: Record) -> None:
        """Write a PNG with one white pixel a dot; two dots in one pixel are an error, as a mask would lose one."""
        width, height = size_of(record)
        assert record.points is not None
        cells = np.floor(record.points.xy).astype(int)
        if not record.points.inside().all() or len(np.unique(cells, axis=0)) < len(cells):
            raise AnnotationError(
                f"image {record.image} has dots outside, or two in one pixel, which a dot mask can't hold; write csv"
            )
        mask = np.zeros((height, width), dtype=np.uint8)
        mask[cells[:, 1], cells[:, 0]] = 255
        note = PngImagePlugin.PngInfo()
        note.add_text("Comment", _ONE_PIXEL_NOTE)
        Image.fromarray(mask).save(path, format="PNG", pnginfo=note)


def _says_one_pixel(path: Path) -> bool:
    with open_raster(path) as image:
        return image.info.get("Comment") == _ONE_PIXEL_NOTE


def _dominated(pixels: PixelArray) -> bool:
    """Return whether nearly all pixels have nearly the same colour."""
    values = pixels.reshape(-1, pixels.shape[-1]).astype(np.float64)
    spread = np.abs(values - np.median(values, axis=0)).max(axis=1)
    return float((spread <= 0.1 * max(spread.max(), 1e-9)).mean()) > 0.85


@FORMATS.register("instance_mask")
class InstanceMask(Sidecar):
    """An image whose values number the objects."""

    name = "instance_mask"
    title = "instance mask images"
    suffixes = _MASK_SUFFIXES
    pictures = True
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the image is grey, mostly of few values that each fill one connected part."""
        try:
            pixels = read_pixels(path)
        except ImageReadError:
            return False
        if pixels.dtype.kind == "f" or (pixels != pixels[..., :1]).any():
            return False
        values = pixels[..., 0]
        used = np.unique(values)
        if len(used) < 2 or used[0] != 0 or len(used) > max(2, values.size // 16):
            return False
        # Values of a photograph are scattered; those of a label fill their bounding box.
        inner = (values[1:, :] == values[:-1, :]).mean() + (values[:, 1:] == values[:, :-1]).mean()
        return bool(inner / 2 > 0.7)

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the centres of mass of the labels of one image."""
        from scipy import ndimage

        values = _read(path, width, height)[..., 0]
        used = np.unique(values)
        used = used[used != 0]
        if used.dtype.kind == "f":
            raise AnnotationError(f"mask {path} holds fractions, not labels; save it as integers")
        centres = np.array(ndimage.center_of_mass(np.ones(values.shape), values, used), dtype=np.float64)
        return Dots(centres.reshape(-1, 2)[:, ::-1] + 0.5)

    def write(self, path: Path, record: Record) -> None:
        """Refuse: dots have no extent."""
        raise UsageError(f"{path}: dots have no extent, so no instance mask of {record.image} can be written; use csv")
