"""A bound on memory for decoded images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from dotcount.data.images import LoadedImage, PixelArray, load_image
from dotcount.data.windows import large_image
from dotcount.selection import ImageSelection


class PixelCache:
    """Keeps decoded images as long as there is room, in the depth of their files.

    Once full it stays as it is. Every epoch visits every image once in a new order, and under such an access pattern
    throwing out the oldest to make room for the newest has fewer hits than keeping a fixed part.

    Parameters
    ----------
    megabytes
        Bound, MB; 0 keeps nothing.
    """

    def __init__(self, megabytes: float) -> None:
        self._room = int(megabytes * 1e6)
        self._kept: dict[int, PixelArray] = {}

    def get(self, key: int) -> PixelArray | None:
        """Return the image kept under ``key``, or ``None``."""
        return self._kept.get(key)

    def fits(self, nbytes: int) -> bool:
        """Return whether there is room for an image of this size."""
        return nbytes <= self._room

    def put(self, key: int, pixels: PixelArray) -> None:
        """Keep an image if there is room for it. It must not be changed afterwards."""
        if key not in self._kept and self.fits(pixels.nbytes):
            pixels.setflags(write=False)
            self._kept[key] = pixels
            self._room -= pixels.nbytes

    def __len__(self) -> int:
        return len(self._kept)


class SampledImages:
    """Keeps images that were decoded as a sample of their set until they are counted, as long as there is room.

    Parameters
    ----------
    megabytes
        Bound, MB.
    every_page
        Whether each page is an image of its own, see :func:`dotcount.data.images.load_image`.
    """

    def __init__(self, megabytes: float = 256, *, every_page: bool = False) -> None:
        self._room, self._every_page = int(megabytes * 1e6), every_page
        self._kept: dict[tuple[Path, ImageSelection], LoadedImage] = {}
        self._lock = Lock()  # one thread samples while another decodes what is counted next

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process without the images."""
        return partial(SampledImages, every_page=self._every_page), ()

    def sample(self, path: Path, selection: ImageSelection) -> PixelArray:
        """Return the pixels of an image, and keep them for :meth:`take` if there is room."""
        large = None if self._every_page else large_image(path, selection)
        if large is not None:
            return large.sample()
        image = load_image(path, selection, every_page=self._every_page)
        with self._lock:
            if image.pixels.nbytes <= self._room:
                self._room -= image.pixels.nbytes
                self._kept[path, selection] = image
        return image.pixels

    def take(self, path: Path, selection: ImageSelection) -> LoadedImage:
        """Return an image that was kept, which is let go, or decode it."""
        with self._lock:
            image = self._kept.pop((path, selection), None)
            if image is not None:
                self._room += image.pixels.nbytes
                return image
        return load_image(path, selection, every_page=self._every_page)
