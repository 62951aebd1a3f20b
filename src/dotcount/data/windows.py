"""Parts of large images without decoding the rest, where the file allows it.

Only TIFF does: its tiles or strips are compressed one by one and a table says where each begins. A JPEG or PNG has to
be decoded from its beginning (see ``docs/decisions/0010-crop-aware-decoding.md``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dotcount.data.images import PixelArray, quiet, three_channels, unreadable
from dotcount.data.images.tiff import TiffStack
from dotcount.data.resizing import Filter, resize_pixels
from dotcount.files import regular_file
from dotcount.selection import ImageSelection

FIRST = ImageSelection()
LARGE_PIXELS = 24_000_000
"""Images of more pixels than this are read in windows, where the file allows it."""

_ROWS = 2**17  # values looked at in each of three bands, to learn how bright an image is

_DEPTHS = ("uint8", "uint16")
_GREY, _RGB = 1, 2  # photometric interpretations that need no conversion
_ALPHA = (1, 2)  # extra samples that are transparency, which has to be seen whole
_LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 34926, 50000)  # compressions that every decoder undoes alike


class Windows(Protocol):
    """(H, W, 3) pixels that are decoded where they are sliced, see :class:`TiffWindows`."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def __getitem__(self, key: tuple[slice, slice]) -> PixelArray:
        """Return the pixels of a window."""


class TiffWindows:
    """The first page of a TIFF as an (H, W, 3) array that is decoded where it is sliced.

    ``regions[top:bottom, left:right]`` equals the same slice of :func:`dotcount.data.read_pixels`. The file is opened
    anew each time, so that an object may be handed to other processes.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype

    def reduced(self, side: int) -> PixelArray:
        """Return the whole image with a longer side of at most ``side`` px, every k-th pixel of every k-th row.

        Only the rows that are shown stay in memory.
        """
        step = max(1, -(-max(self.shape[:2]) // side))
        rows = []
        for top in range(0, self.shape[0], 64 * step):
            band = self[top : top + 64 * step, 0 : self.shape[1]]
            rows.append(np.array(band[step // 2 :: step, step // 2 :: step]))
        return np.concatenate([row for row in rows if row.size])

    def sample(self) -> PixelArray:
        """Return evenly spaced whole rows of the image, (rows, W, 3)."""
        height, width = self.shape[:2]
        number = min(height, max(16, _ROWS // (width * 3)))
        places = np.linspace(0, height - 1, number).round().astype(int)
        return np.concatenate([self[row : row + 1, 0:width] for row in places])

    @property
    def nbytes(self) -> int:
        """Size of the whole image decoded."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @classmethod
    def open(cls, path: Path) -> TiffWindows | None:
        """Return the regions of a file, or ``None`` where it has to be read as a whole."""
        if path.suffix.lower() not in (".tif", ".tiff"):
            return None
        import tifffile

        try:
            regular_file(path)
            with quiet, tifffile.TiffFile(path, _multifile=False) as tiff:
                stack = TiffStack(path, tiff)
                page = stack.key
                plain = (
                    not stack.whole
                    and not stack.lead
                    and len(page.dataoffsets) > 1
                    and page.dtype.name in _DEPTHS
                    and page.photometric in (_GREY, _RGB)
                    and page.compression in _LOSSLESS
                    and page.planarconfig == 1
                    and stack.orientation == 1
                    and (stack.declared is None or page.dtype == np.uint8)
                    and not any(kind in _ALPHA for kind in page.extrasamples)
                )
                if not plain:
                    return None
                _segment(tiff, page, 0)  # raises where this compression is not known here
                return cls(path, (page.imagelength, page.imagewidth, 3), page.dtype)
        except Exception:  # whatever is odd about the file, the whole reader words it
            return None

    def __getitem__(self, key: tuple[slice, slice]) -> PixelArray:
        """Return the pixels of a window of whole, positive slices without steps."""
        import tifffile

        top, bottom, _ = key[0].indices(self.shape[0])
        left, right, _ = key[1].indices(self.shape[1])
        try:
            with quiet, tifffile.TiffFile(self.path, _multifile=False) as tiff:
                return _window(tiff, tiff.pages[0], top, max(top, bottom), left, max(left, right))
        except Exception as error:  # decoders raise anything on damaged files
            raise unreadable(self.path, error) from error


def large_image(path: Path, selection: ImageSelection = FIRST) -> TiffWindows | None:
    """Return the windows of a large TIFF; ``None`` for an image that is read as a whole.

    Parameters
    ----------
    path
        The file.
    selection
        What is read of it; pages and channels other than the first are read as a whole.
    """
    if selection != FIRST or path.suffix.lower() not in (".tif", ".tiff"):
        return None
    windows = TiffWindows.open(path)
    if windows is None or windows.shape[0] * windows.shape[1] <= LARGE_PIXELS:
        return None
    return windows


class ResizedWindows:
    """Windows of an image at another size, equal to those of the whole image resized.

    Parameters
    ----------
    windows
        The image.
    width, height
        Its size after resampling, px.
    filter
        See :func:`dotcount.data.resize_pixels`.
    """

    def __init__(self, windows: Windows, width: int, height: int, filter: Filter) -> None:
        self.windows, self.filter = windows, filter
        self.shape = (height, width, 3)
        self.dtype: np.dtype[Any] = windows.dtype

    def __getitem__(self, key: tuple[slice, slice]) -> PixelArray:
        """Return the pixels of a window of whole, positive slices without steps."""
        reach = 3.0 if self.filter == "lanczos" else 1.0
        parts, box, size = [], [], []
        for side, whole, given in zip(self.shape, self.windows.shape, key):
            start, end, _ = given.indices(side)
            scale = whole / side
            margin = int(np.ceil(reach * max(1.0, scale))) + 1
            first = max(0, int(start * scale) - margin)
            last = min(whole, int(np.ceil(end * scale)) + margin)
            parts.append(slice(first, last))
            box.append((start * scale - first, min(end * scale - first, last - first)))
            size.append(end - start)
        pixels = self.windows[parts[0], parts[1]]
        (top, bottom), (left, right) = box
        return resize_pixels(pixels, size[1], size[0], self.filter, box=(left, top, right, bottom))


def _window(tiff: Any, page: Any, top: int, bottom: int, left: int, right: int) -> PixelArray:
    """Decode the tiles or strips that a window touches and put them together."""
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    across = -(-page.imagewidth // columns)
    window = np.zeros((bottom - top, right - left, page.samplesperpixel), dtype=page.dtype)
    for row in range(top // rows, -(-bottom // rows)):
        for column in range(left // columns, -(-right // columns)):
            pixels = _segment(tiff, page, row * across + column)
            if pixels is None:  # a tile that was never written
                continue
            y, x = row * rows, column * columns
            from_y, from_x = max(top, y), max(left, x)
            part = pixels[from_y - y : bottom - y, from_x - x : right - x]
            height, width = part.shape[:2]
            window[from_y - top : from_y - top + height, from_x - left : from_x - left + width] = part
    return three_channels(window)


def _segment(tiff: Any, page: Any, index: int) -> PixelArray | None:
    """Return a decoded tile or strip, (rows, columns, samples)."""
    count = page.databytecounts[index]
    if not count:
        return None
    tiff.filehandle.seek(page.dataoffsets[index])
    data = tiff.filehandle.read(count)
    decoded, _, shape = page.decode(data, index)
    return None if decoded is None else np.asarray(decoded).reshape(shape[1:])
