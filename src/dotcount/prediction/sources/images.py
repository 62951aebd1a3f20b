"""Image files: one frame each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from dotcount.data.cache import SampledImages
from dotcount.data.images import SUFFIXES, PixelArray, read_header
from dotcount.data.windows import TiffWindows, large_image
from dotcount.errors import DataError, ImageReadError
from dotcount.geo import georeference, is_georeferenced
from dotcount.prediction.frame import Frame, FrameMeta
from dotcount.prediction.sources.base import SOURCES, Source
from dotcount.selection import ImageSelection


@SOURCES.register("images")
class ImageFiles(Source):
    """One frame for each image file."""

    suffixes = SUFFIXES

    def frames(self, path: Path, name: str) -> Iterator[Frame]:
        """Yield the one frame of the file, or one for each of its pages, called ``name#1``, ``name#2``, ..."""
        pages = self._pages(path)
        for page in range(1, pages + 1):
            if pages == 1:
                frame = Frame(name, partial(self._read, path, self.selection), FrameMeta(path))
            else:
                chosen = replace(self.selection, page=page)
                frame = Frame(f"{name}#{page}", partial(self._read, path, chosen), FrameMeta(path, page=page - 1))
            frame.after.append(locate)
            yield frame

    def _pages(self, path: Path) -> int:
        if not self.every_page:
            return 1
        try:
            return read_header(path).pages
        except ImageReadError:  # reported when its pixels are read
            return 1

    def _read(self, path: Path, selection: ImageSelection) -> tuple[PixelArray | TiffWindows, Sequence[str]]:
        large = large_image(path, selection) if self.streams and not self.every_page else None
        if large is not None:
            return large, read_header(path, selection).notes
        sampled = self.sampled or SampledImages(every_page=self.every_page)
        image = sampled.take(path, selection)
        return image.pixels, image.notes


def locate(frame: Frame) -> None:
    """Find out where on the earth a picture lies; where that can't be had, the frame has a warning."""
    path = frame.meta.path
    if path is None or not is_georeferenced(path):
        return
    try:
        frame.meta = replace(frame.meta, place=georeference(path, frame.size))
    except DataError as error:
        frame.warn(f"its place on the earth was not used: {error}")
