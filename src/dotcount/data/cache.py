"""A bound on memory for decoded images."""

from __future__ import annotations

from dotcount.data.images import PixelArray


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
