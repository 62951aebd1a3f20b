"""Videos: a frame for each of the pictures that are chosen by time or number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dotcount.data.images import PixelArray
from dotcount.errors import ImageReadError
from dotcount.prediction.frame import Frame, FrameMeta
from dotcount.prediction.sources.base import SOURCES, Source
from dotcount.prediction.video import VideoPicture, read_video


@SOURCES.register("videos")
class Videos(Source):
    """Frames ``clip.mp4#000120``, called by their number from 0, with their time.

    A video that is cut off or damaged gives its readable frames, then one with the error.
    """

    beside_images = False  # a clip among photos would make thousands of rows
    suffixes = frozenset((".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg"))

    def frames(self, path: Path, name: str) -> Iterator[Frame]:
        """Yield the frames as they are decoded."""
        pictures = read_video(path, self.video)
        while True:
            try:
                picture = next(pictures, None)
            except ImageReadError as error:
                yield Frame(f"{name}#end", meta=FrameMeta(path), error=str(error))
                return
            if picture is None:
                return
            yield Frame(f"{name}#{picture.index:06}", _Read(picture), FrameMeta(path, time=picture.time))


class _Read:
    """Converts the pixels of one picture, and lets go of it."""

    def __init__(self, picture: VideoPicture) -> None:
        self._picture: VideoPicture | None = picture

    def __call__(self) -> tuple[PixelArray, Sequence[str]]:
        picture, self._picture = self._picture, None
        assert picture is not None, "pixels are read once"
        return picture.pixels(), ()
