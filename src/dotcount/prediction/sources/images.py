"""Image files: one frame each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dotcount.data.cache import SampledImages
from dotcount.data.images import SUFFIXES, PixelArray, read_header
from dotcount.data.windows import TiffWindows, large_image
from dotcount.errors import DataError, ImageReadError
from dotcount.geo import georeference, is_georeferenced
from dotcount.prediction.frame import Frame, FrameMeta
from dotcount.prediction.sources.base import SOURCES, Source
from dotcount.selection import ImageSelection

TOLD_BYTES = 2**30
"""An image that takes more memory than this is told."""

_IN_PARTS = "a TIFF with tiles, one page and 8 or 16 bits is read in parts"


@SOURCES.register("images")
class ImageFiles(Source):
    """One frame for each image file."""

    suffixes = SUFFIXES

    def frames(self, path: Path, name: str) -> Iterator[Frame]:
        """Yield the one frame of the file, or one for each of its pages, called ``name#1``, ``name#2``, ..."""
        pages = self._pages(path)
        for page in range(1, pages + 1):
            selection = self.selection if pages == 1 else replace(self.selection, page=page)
            read = _Read(self, path, selection)
            if pages == 1:
                frame = Frame(name, read, FrameMeta(path))
            else:
                frame = Frame(f"{name}#{page}", read, FrameMeta(path, page=page - 1))
            frame.after += [read.measure, locate]
            yield frame

    def _pages(self, path: Path) -> int:
        if not self.every_page:
            return 1
        try:
            return read_header(path).pages
        except ImageReadError:  # reported when its pixels are read
            return 1


class _Read:
    """Reads what is chosen of one file, and remembers what the file says of its scale."""

    def __init__(self, source: ImageFiles, path: Path, selection: ImageSelection) -> None:
        self._path, self._selection = path, selection
        self._every_page, self._streams, self._sampled = source.every_page, source.streams, source.sampled
        self._pixel_size: float | None = None

    def __call__(self) -> tuple[PixelArray | TiffWindows, Sequence[str]]:
        large = large_image(self._path, self._selection) if self._streams and not self._every_page else None
        if large is not None:
            header = read_header(self._path, self._selection)
            self._pixel_size = header.pixel_size
            return large, [*header.notes, *large.notes]
        sampled = self._sampled or SampledImages(every_page=self._every_page)
        image = sampled.take(self._path, self._selection)
        self._pixel_size = image.pixel_size
        needed = image.pixels.size * (image.pixels.itemsize + 4)  # as stored, and as float32
        if self._streams and needed > TOLD_BYTES:
            told = f"it was read as a whole, {needed / 2**30:.1f} GB of memory; {_IN_PARTS}"
            return image.pixels, [*image.notes, told]
        return image.pixels, image.notes

    def measure(self, frame: Frame) -> None:
        """State the scale of the frame."""
        if self._pixel_size is not None:
            frame.meta = replace(frame.meta, pixel_size=self._pixel_size)


def locate(frame: Frame) -> None:
    """Find out where on the earth a picture lies; where that can't be had, the frame has a warning."""
    path = frame.meta.path
    if path is None or not is_georeferenced(path):
        return
    try:
        frame.meta = replace(frame.meta, place=georeference(path, frame.size))
    except DataError as error:
        frame.warn(f"its place on the earth was not used: {error}")
