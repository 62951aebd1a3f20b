"""Image files: one frame each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dotcount.data.images import SUFFIXES, PixelArray, load_image
from dotcount.prediction.frame import Frame, FrameMeta
from dotcount.prediction.sources.base import SOURCES, Source


@SOURCES.register("images")
class ImageFiles(Source):
    """One frame for each image file."""

    suffixes = SUFFIXES

    def frames(self, path: Path, name: str) -> Iterator[Frame]:
        """Yield the one frame of the file."""

        def read() -> tuple[PixelArray, Sequence[str]]:
            image = load_image(path, self.selection)
            return image.pixels, image.notes

        yield Frame(name, read, FrameMeta(path))
