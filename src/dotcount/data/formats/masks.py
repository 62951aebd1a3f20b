"""Dots as images: dot masks, and masks of whole objects by value or by connected region.

A dot mask has one background; whatever differs from it is marked. Where marks are single pixels, as in the VGG and MBM
cell sets, every marked pixel is a dot, touching or not; where they are blobs, every connected blob is one. An instance
mask gives the centre of mass of every value but 0. A component mask gives that of every 8-connected region of one value
or colour: thresholded blobs, and masks that use a few values to part touching objects. A dot is at the centre of its
pixel or at the centre of mass. Which of the three a folder holds is decided over all its masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image, PngImagePlugin

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.formats.mask_kinds import (
    MaskKind,
    Regions,
    Verdict,
    decide,
    facts_of,
    regions_of,
)
from dotcount.data.formats.structured import size_of
from dotcount.data.images import PixelArray, open_raster, quiet, read_header, read_stored
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError, ImageReadError

_WHITE = 250  # from which an 8-bit picture is white throughout, be it compressed
_ONE_PIXEL_NOTE = "dotcount:one-pixel-per-dot"


class _Mask(Sidecar):
    """A picture that marks the objects of another."""

    suffixes = (".png", ".tif", ".tiff", ".bmp", ".gif", ".jpg", ".jpeg", ".webp")
    pictures = True
    kind: ClassVar[MaskKind]

    def __init__(self, verdict: Verdict | None = None) -> None:
        self._verdict = verdict
        self.summary = verdict.why if verdict is not None else ""

    def recognises(self, path: Path) -> bool:
        """Return whether the picture, taken alone, is of this kind, or may be."""
        verdict = decide([path])
        return verdict is not None and verdict.kind in (None, self.kind)

    def among(self, paths: Sequence[Path]) -> list[Path]:
        """Return the masks among the pictures, if all of them together are of this kind."""
        verdict = decide(paths)
        if verdict is not None and verdict.kind is None and not verdict.mixed:
            raise AnnotationError(
                f"masks such as {paths[0]} can be read in two ways: {verdict.why}; "
                "or give the format instance_mask (by value) or component_mask (by region)"
            )
        if verdict is None or (verdict.kind != self.kind and not verdict.mixed):
            return []
        return [path for path in paths if facts_of(path, verdict.white) is not None]

    def over(self, paths: Sequence[Path]) -> Sidecar:
        """Return the reader of masks of this kind that takes background and marks as they are in all of them."""
        verdict = decide(paths)
        if verdict is not None and verdict.mixed:
            raise AnnotationError(f"masks are of two kinds: {verdict.why}; invert some, so that 0 is background in all")
        return type(self)(verdict)

    def _regions(self, path: Path, width: int, height: int) -> tuple[Regions, Verdict]:
        try:
            pixels = read_stored(path)
        except ImageReadError as error:
            raise AnnotationError(str(error).replace("image", "mask", 1)) from error
        if pixels.shape[:2] != (height, width):
            found = f"{pixels.shape[1]} x {pixels.shape[0]}"
            remedy = "export it at full size"
            if pixels.shape[:2] == (width, height):
                remedy = "it is of the picture before its orientation turns it; turn it, or draw it on the upright one"
            raise AnnotationError(f"mask {path} is {found} px, its image {width} x {height}; {remedy}")
        verdict = self._verdict or decide([path])
        _require_whole(path, pixels, verdict)
        regions = regions_of(pixels, path, verdict.white, verdict.zero) if verdict is not None else None
        if regions is None or verdict is None:
            raise AnnotationError(
                f"mask {path} is no mask: its values are neither few nor marks on one background; save it without loss"
            )
        return regions, verdict


def _require_whole(path: Path, pixels: PixelArray, verdict: Verdict | None) -> None:
    """Refuse a mask of which a part would be left out, or in which it is unclear what is marked."""
    left_out = read_header(path).notes
    if left_out:
        raise AnnotationError(f"mask {path}: {'; '.join(left_out)}; save one mask of one page with all objects")
    if _hides_values(path):
        raise AnnotationError(
            f"mask {path} shows several of its values in one colour of its palette; save the values as plain grey"
        )
    low, high = pixels.min(), pixels.max()
    white = bool(low >= _WHITE) and pixels.dtype == np.uint8
    blank = bool(low == high != 0) or white
    by_value = verdict is not None and verdict.kind == "instance_mask"
    if blank and verdict is not None and not verdict.white and (not verdict.marked or (white and not by_value)):
        raise AnnotationError(
            f"mask {path} has one value throughout, {high:g}: nothing but objects, or none; save it with 0 as ground"
        )


def _hides_values(path: Path) -> bool:
    """Return whether two of the values that a picture with a palette holds have one colour."""
    with quiet, open_raster(path) as image:
        if image.mode != "P":
            return False
        colours = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        used = [colours[k].tobytes() for k in np.unique(np.asarray(image)) if k < len(colours)]
    return len(set(used)) < len(used)


@FORMATS.register("dot_mask")
class DotMask(_Mask):
    """An image with a mark at each object."""

    name = "dot_mask"
    title = "dot mask images"
    kind = "dot_mask"
    ending = "_dots.png"

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of one image."""
        found, verdict = self._regions(path, width, height)
        if verdict.pixels or _says_one_pixel(path):
            rows, columns = np.nonzero(found.regions)
            return Dots(np.stack([columns, rows], axis=1).astype(np.float64) + 0.5)
        return Dots(found.centres(by_value=False))

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


@FORMATS.register("instance_mask")
class InstanceMask(_Mask):
    """An image whose values number the objects."""

    name = "instance_mask"
    title = "instance mask images"
    kind = "instance_mask"
    writable = False

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the centres of mass of the values of one image."""
        found, _ = self._regions(path, width, height)
        if found.soft and found.values:
            raise AnnotationError(f"mask {path} has smeared values, not labels; save it without loss and unscaled")
        return Dots(found.centres(by_value=True))


@FORMATS.register("component_mask")
class ComponentMask(_Mask):
    """An image in which each connected region of one value is an object."""

    name = "component_mask"
    title = "component mask images"
    kind = "component_mask"
    writable = False

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the centres of mass of the regions of one image."""
        found, _ = self._regions(path, width, height)
        return Dots(found.centres(by_value=False))
