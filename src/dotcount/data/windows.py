"""Parts of large images without decoding the rest, where the file allows it.

Only TIFF does: its tiles or strips are compressed one by one and a table says where each begins. A JPEG or PNG has to
be decoded from its beginning (see ``docs/decisions/0010-crop-aware-decoding.md``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.images import PixelArray, quiet, three_channels, unreadable
from dotcount.data.images.tiff import TiffStack
from dotcount.files import regular_file

_DEPTHS = ("uint8", "uint16")
_GREY, _RGB = 1, 2  # photometric interpretations that need no conversion
_ALPHA = (1, 2)  # extra samples that are transparency, which has to be seen whole
_LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 34926, 50000)  # compressions that every decoder undoes alike


class TiffWindows:
    """The first page of a TIFF as an (H, W, 3) array that is decoded where it is sliced.

    ``regions[top:bottom, left:right]`` equals the same slice of :func:`dotcount.data.read_pixels`. The file is opened
    anew each time, so that an object may be handed to other processes.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype

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
