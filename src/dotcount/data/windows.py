"""Parts of large images without decoding the rest, where the file allows it.

Only TIFF does: its tiles or strips are compressed one by one and a table says where each begins. A JPEG or PNG has to
be decoded from its beginning (see ``docs/decisions/0010-crop-aware-decoding.md``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dotcount.data.images import PixelArray, quiet, three_channels, unreadable
from dotcount.data.images.tiff import TiffStack
from dotcount.data.images.values import chosen_channels
from dotcount.data.resizing import Filter, resize_pixels
from dotcount.data.window_gaps import MARGIN, NO_GAPS, GapRule, SeenGaps, look
from dotcount.files import regular_file
from dotcount.selection import ImageSelection

FIRST = ImageSelection()
LARGE_PIXELS = 24_000_000
"""Images of more pixels than this are read in windows, where the file allows it."""

_ROWS = 2**17  # values looked at in each of three bands, to learn how bright an image is

_LOOKED_AT = 2**23  # pixels looked at together for gaps

_DEPTHS = ("uint8", "uint16")
_GREY, _RGB, _YCBCR = 1, 2, 6
_ALPHA = (1, 2)  # extra samples that are transparency
_LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 34926, 50000)  # compressions that every decoder undoes alike
_JPEG = 7
_TIFF = (".tif", ".tiff", ".svs")
_LOSSY = (_JPEG, 33005, 34712, 50001)  # JPEG, JPEG 2000 (as Aperio's slides have it, and plain), WebP


class Windows(Protocol):
    """(H, W, 3) pixels that are decoded where they are sliced, see :class:`TiffWindows`."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def __getitem__(self, key: tuple[slice, slice]) -> PixelArray:
        """Return the pixels of a window."""


class TiffWindows:
    """The first page of a TIFF as an (H, W, 3) array that is decoded where it is sliced.

    ``regions[top:bottom, left:right]`` equals the same slice of :func:`dotcount.data.read_pixels`; after a lossy
    compression up to what decoders differ in, and where few pixels are missing, up to those farther than
    :data:`~dotcount.data.window_gaps.MARGIN` px from all known ones. The file is opened anew each time, so that an
    object may be handed to other processes.

    Parameters
    ----------
    path
        The file.
    shape, dtype
        Of the pixels.
    gaps
        What may be transparent or missing in it.
    levels
        The same picture with fewer pixels, larger ones first.
    offset
        Where in the file the page begins; absent: the first.
    channels
        Which bands are read, from 1, see :class:`~dotcount.selection.ImageSelection`; absent: the first ones.
    rows
        Height of a tile or strip, which is decoded as a whole.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        *,
        gaps: GapRule = NO_GAPS,
        levels: Sequence[TiffWindows] = (),
        offset: int | None = None,
        channels: tuple[int, ...] | None = None,
        rows: int = 64,
    ) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self.gaps, self.levels, self._offset = gaps, tuple(levels), offset
        self.rows, self.channels = rows, channels
        self._whole: TiffWindows = self  # where gaps are looked for
        for level in self.levels:
            level._whole = self

    def level(self, width: int, height: int) -> TiffWindows:
        """Return the picture with the fewest pixels that still has ``width`` x ``height`` of them."""
        enough = (one for one in reversed(self.levels) if one.shape[1] >= width and one.shape[0] >= height)
        return next(enough, self)

    def reduced(self, side: int) -> PixelArray:
        """Return the whole image with a longer side of at most ``side`` px, every k-th pixel of every k-th row.

        Only the rows that are shown stay in memory.
        """
        shown = self.level(min(side, self.shape[1]), min(side, self.shape[0]))
        step = max(1, -(-max(shown.shape[:2]) // side))
        rows = []
        for top in range(0, shown.shape[0], 64 * step):
            band = shown[top : top + 64 * step, 0 : shown.shape[1]]
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

    @property
    def notes(self) -> list[str]:
        """What a person should know of its gaps; the whole image is looked at for it, once, where it may have any."""
        return [] if self.gaps == NO_GAPS else self._seen().notes

    @classmethod
    def open(cls, path: Path, *, exact: bool = True, channels: tuple[int, ...] | None = None) -> TiffWindows | None:
        """Return the regions of a file, or ``None`` where it has to be read as a whole.

        Parameters
        ----------
        path
            The file.
        exact
            Only where a window is, bit for bit and at no further cost, the slice of the whole.
        channels
            Which bands are read, from 1; absent: those of colour.
        """
        if path.suffix.lower() not in _TIFF:
            return None
        import tifffile

        try:
            regular_file(path)
            with quiet, tifffile.TiffFile(path, _multifile=False) as tiff:
                stack = TiffStack(path, tiff)
                page = stack.key
                if channels is None and not stack.bands_in_order:  # such as from blue to red
                    channels = stack.default_channels
                gaps = _gaps(page, stack, channels is not None)
                if stack.whole or math.prod(stack.lead) != 1 or stack.orientation != 1 or not _in_parts(page):
                    return None
                if page.index or (channels is not None and max(channels) > page.samplesperpixel):  # behind a preview
                    return None
                if exact and (gaps.changes or page.compression not in _LOSSLESS or page.planarconfig != 1 or channels):
                    return None
                _segment(tiff, page, 0)  # raises where this compression is not known here
                shape = (page.imagelength, page.imagewidth, 3)
                rows = page.tilelength if page.is_tiled else page.rowsperstrip
                levels = _levels(path, stack, gaps, channels)
                return cls(path, shape, page.dtype, gaps=gaps, levels=levels, channels=channels, rows=rows)
        except Exception:  # whatever is odd about the file, the whole reader words it
            return None

    def __getitem__(self, key: tuple[slice, slice]) -> PixelArray:
        """Return the pixels of a window of whole, positive slices without steps."""
        top, bottom, _ = key[0].indices(self.shape[0])
        left, right, _ = key[1].indices(self.shape[1])
        bottom, right = max(top, bottom), max(left, right)
        if not self.gaps.changes:
            return three_channels(self._stored(top, bottom, left, right))
        seen = self._seen()
        margin = MARGIN if seen.near else 0
        y, x = max(0, top - margin), max(0, left - margin)
        bands = self._stored(y, min(self.shape[0], bottom + margin), x, min(self.shape[1], right + margin))
        return three_channels(seen.filled(bands)[top - y : bottom - y, left - x : right - x])

    def _stored(self, top: int, bottom: int, left: int, right: int) -> PixelArray:
        """Return (rows, columns, bands) as stored, of the channels that are read if they were chosen."""
        import tifffile

        try:
            with quiet, tifffile.TiffFile(self.path, _multifile=False) as tiff:
                page: Any = tiff.pages[0]
                if self._offset is not None:
                    tiff.filehandle.seek(self._offset)
                    page = tifffile.TiffPage(tiff, (0,))
                if self.channels is None:
                    return _window(tiff, page, (top, bottom, left, right), (0, 1, 2))
                bands = [channel - 1 for channel in self.channels]
                return chosen_channels(_window(tiff, page, (top, bottom, left, right), bands), self.channels)
        except Exception as error:  # decoders raise anything on damaged files
            raise unreadable(self.path, error) from error

    def _seen(self) -> SeenGaps:
        state = self.path.stat()
        try:
            return _look(self._whole, state.st_size, state.st_mtime_ns)
        except ValueError as error:
            raise unreadable(self.path, error) from error

    def __hash__(self) -> int:
        return hash((self.path, self._offset, self.channels))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TiffWindows):
            return False
        return (self.path, self._offset, self.channels) == (other.path, other._offset, other.channels)


@lru_cache(maxsize=16)
def _look(windows: TiffWindows, _size: int, _changed: int) -> SeenGaps:
    """Look at all of an image once, as long as its file stays as it is."""
    height, width = windows.shape[:2]
    part = windows.rows if windows.rows * width <= 4 * _LOOKED_AT else 1
    rows = max(1, _LOOKED_AT // width // part) * part
    return look(windows.gaps, (windows._stored(y, min(y + rows, height), 0, width) for y in range(0, height, rows)))


def _gaps(page: Any, stack: TiffStack, chosen: bool) -> GapRule:
    extra, value = tuple(page.extrasamples), stack.declared
    alpha = not chosen and len(extra) == 1 and extra[0] in _ALPHA
    whole = value is not None and value == round(value) and 0 <= value <= np.iinfo(page.dtype).max
    return GapRule(alpha, value if whole else None, page.dtype != np.uint8) if alpha or whole else NO_GAPS


def _in_parts(page: Any) -> bool:
    """Return whether a page is stored in parts whose values are brightness."""
    plain = page.photometric in (_GREY, _RGB) and page.compression in (*_LOSSLESS, *_LOSSY)
    photograph = page.photometric == _YCBCR and page.compression == _JPEG  # whose decoder returns red, green and blue
    separate = page.planarconfig == 2 and not (page.extrasamples and page.extrasamples[-1] in _ALPHA)
    return (
        (plain or photograph)
        and (page.planarconfig == 1 or separate)
        and len(page.dataoffsets) > 1
        and page.dtype is not None
        and page.dtype.name in _DEPTHS
    )


def _levels(path: Path, stack: TiffStack, gaps: GapRule, channels: tuple[int, ...] | None) -> list[TiffWindows]:
    """Return the reduced copies of a picture that can be read in parts as well, of the same kind, larger ones first."""
    found, key = [], stack.key
    for level in stack.series.levels[1:]:
        page = level.keyframe
        alike = page.dtype == key.dtype and page.samplesperpixel == key.samplesperpixel
        if alike and _in_parts(page) and page.photometric == key.photometric:
            shape = (page.imagelength, page.imagewidth, 3)
            found.append(TiffWindows(path, shape, page.dtype, gaps=gaps, offset=page.offset, channels=channels))
    return sorted(found, key=lambda one: -one.shape[0])


def large_image(path: Path, selection: ImageSelection = FIRST) -> TiffWindows | None:
    """Return the windows of a large TIFF; ``None`` for an image that is read as a whole.

    Parameters
    ----------
    path
        The file.
    selection
        What is read of it; pages other than the first are read as a whole.
    """
    first = (selection.page, selection.projection) == (FIRST.page, FIRST.projection)
    if not first or path.suffix.lower() not in _TIFF:
        return None
    windows = TiffWindows.open(path, exact=False, channels=selection.channels)
    if windows is None or windows.shape[0] * windows.shape[1] <= LARGE_PIXELS:
        return None
    return windows


class ResizedWindows:
    """Windows of an image at another size, equal to those of the whole image resized.

    Parameters
    ----------
    windows
        The image; of one with reduced copies that with the fewest pixels that still has enough is taken.
    width, height
        Its size after resampling, px.
    filter
        See :func:`dotcount.data.resize_pixels`.
    """

    def __init__(self, windows: Windows, width: int, height: int, filter: Filter) -> None:
        self.windows = windows.level(width, height) if isinstance(windows, TiffWindows) else windows
        self.filter = filter
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


def _window(tiff: Any, page: Any, box: tuple[int, int, int, int], wanted: Sequence[int]) -> PixelArray:
    """Decode the tiles or strips that a window touches and put them together, (rows, columns, bands).

    Of bands that lie apart in the file only those that are wanted are read.
    """
    top, bottom, left, right = box
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    across, down = -(-page.imagewidth // columns), -(-page.imagelength // rows)
    window = np.zeros((bottom - top, right - left, page.samplesperpixel), dtype=page.dtype)
    apart = page.planarconfig == 2
    for plane in [band for band in wanted if band < page.samplesperpixel] if apart else [0]:
        bands = slice(plane, plane + 1) if apart else slice(None)
        for row in range(top // rows, -(-bottom // rows)):
            for column in range(left // columns, -(-right // columns)):
                pixels = _segment(tiff, page, (plane * down + row) * across + column)
                if pixels is None:  # a tile that was never written
                    continue
                y, x = row * rows, column * columns
                from_y, from_x = max(top, y), max(left, x)
                part = pixels[from_y - y : bottom - y, from_x - x : right - x]
                height, width = part.shape[:2]
                window[from_y - top : from_y - top + height, from_x - left : from_x - left + width, bands] = part
    return window


def _segment(tiff: Any, page: Any, index: int) -> PixelArray | None:
    """Return a decoded tile or strip, (rows, columns, samples)."""
    count = page.databytecounts[index]
    if not count:
        return None
    tiff.filehandle.seek(page.dataoffsets[index])
    data = tiff.filehandle.read(count)
    tables = {"jpegtables": page.jpegtables} if page.compression == _JPEG else {}
    decoded, _, shape = page.decode(data, index, **tables)
    return None if decoded is None else np.asarray(decoded).reshape(shape[1:])
