"""Images by their URLs: each is downloaded when it is its turn, read as a file, and removed."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dotcount.data.images import PixelArray
from dotcount.data.windows import TiffWindows
from dotcount.errors import DataError, ImageReadError
from dotcount.prediction.frame import Frame, FrameMeta
from dotcount.prediction.sources.base import Source
from dotcount.prediction.sources.images import ImageFiles
from dotcount.remote import DownloadLimits, Url, fetch


def frames_of(url: Url, name: str, source: Source, limits: DownloadLimits) -> Iterator[Frame]:
    """Yield the frames of a file that lies elsewhere.

    A single image is downloaded when its pixels are asked for, so that one which is done already, or is read by another
    process, is not downloaded here. A file of many frames is downloaded first.

    Parameters
    ----------
    url
        Where it lies.
    name
        What results call it.
    source
        What reads it once it is here.
    limits
        What a download may cost.
    """
    if isinstance(source, ImageFiles) and not source.every_page:
        read = _Read(url, name, source, limits)
        frame = Frame(name, read)
        frame.after.append(read.hand_over)
        yield frame
        return
    with tempfile.TemporaryDirectory(prefix="dotcount-") as folder:
        try:
            path = _fetched(url, Path(folder), limits)
        except DataError as error:
            yield Frame(name, error=str(error))
            return
        for frame in source.frames(path, name):
            frame.load()  # while the file is there
            frame.meta = replace(frame.meta, path=Path(name))
            _hide(frame, path, url)
            yield frame


@contextmanager
def here(urls: Sequence[Url], limits: DownloadLimits) -> Iterator[list[Path]]:
    """Yield copies of files that lie elsewhere; those that can't be had are left out."""
    with tempfile.TemporaryDirectory(prefix="dotcount-") as folder:
        found = []
        for k, url in enumerate(urls):
            place = Path(folder) / str(k)
            place.mkdir()
            try:
                found.append(_fetched(url, place, limits))
            except DataError:  # told where it is counted
                continue
        yield found


class _Read:
    """Downloads one image and reads it; of one that is too large for the memory the file stays as long as its frame."""

    def __init__(self, url: Url, name: str, source: ImageFiles, limits: DownloadLimits) -> None:
        self._url, self._name, self._source, self._limits = url, name, source, limits
        self._meta = FrameMeta()

    def __call__(self) -> tuple[PixelArray | TiffWindows, Sequence[str]]:
        folder = Path(tempfile.mkdtemp(prefix="dotcount-"))
        windows: TiffWindows | None = None
        try:
            path = _fetched(self._url, folder, self._limits)
            (frame,) = self._source.frames(path, self._name)
            _hide(frame.load(), path, self._url)
            if frame.error is not None:
                raise ImageReadError(frame.error)
            self._meta, windows = replace(frame.meta, path=None), frame.windows
            if windows is not None:
                weakref.finalize(windows, shutil.rmtree, folder, ignore_errors=True)
                return windows, frame.warnings
            return frame.pixels, frame.warnings
        finally:
            if windows is None:
                shutil.rmtree(folder, ignore_errors=True)

    def hand_over(self, frame: Frame) -> None:
        """State where the picture lies and its scale."""
        frame.meta = self._meta


def _fetched(url: Url, folder: Path, limits: DownloadLimits) -> Path:
    path = folder / f"image{url.suffix[:12]}"
    fetch(url, path, limits)
    return path


def _hide(frame: Frame, path: Path, url: Url) -> None:
    """Name the address, not the copy of the file, in what is told of a frame."""
    frame.warnings = [text.replace(str(path), url.shown) for text in frame.warnings]
    if frame.error is not None:
        frame.error = frame.error.replace(str(path), url.shown)
