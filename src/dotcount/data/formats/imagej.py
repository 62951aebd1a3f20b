"""ImageJ and Fiji selections: ``.roi`` files and the ``.zip`` of the ROI manager.

Layout from ImageJ's RoiDecoder (https://imagej.net/ij/developer/source/ij/io/RoiDecoder.java.html), big-endian: magic
``Iout``, type at byte 6, bounds from byte 8, number of coordinates at 16, options at 50, second header at 60, integer
coordinates relative to the bounds from 64, then, with the sub-pixel option, float32 coordinates.

In ImageJ a pixel (u, v) covers ``[u, u + 1)``, so sub-pixel coordinates are positions. Points without the option are
whole numbers: pixels, whose centre the dot is at. Other shapes give their centre. The counters of the multi-point tool,
where more than one was used, become classes ``counter 0``, ``counter 1``, ...
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.formats.structured import polygon_centre, size_of
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_MAGIC = b"Iout"
_POLYGON, _RECTANGLE, _OVAL, _LINE, _FREELINE, _POLYLINE, _FREEHAND, _TRACED, _ANGLE, _POINT = (
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    10,
)
_HEADER, _HEADER2 = 64, 64
_SUB_PIXEL = 128
_MAX_MEMBERS, _MAX_BYTES = 200_000, 500_000_000


@FORMATS.register("imagej")
class ImageJ(Sidecar):
    """ImageJ selections."""

    name = "imagej"
    title = "ImageJ ROI"
    suffixes = (".roi", ".zip")

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a selection, or an archive that holds one."""
        try:
            if path.suffix.lower() == ".zip":
                with zipfile.ZipFile(path) as archive:
                    return any(name.lower().endswith(".roi") for name in archive.namelist())
            with path.open("rb") as file:
                return file.read(4) == _MAGIC
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
            return False

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of all selections in the file."""
        parts = [_decode(data, path) for data in _selections(path)]
        xy = np.concatenate([np.zeros((0, 2)), *(xy for xy, _ in parts)])
        counters = np.concatenate([np.zeros(0, dtype=int), *(c for _, c in parts)])
        classes = tuple(f"counter {k}" for k in counters) if len(set(counters.tolist())) > 1 else ()
        return Dots(xy, classes)

    def write(self, path: Path, record: Record) -> None:
        """Write one multi-point selection with sub-pixel coordinates (float32); no dots: an empty one."""
        size_of(record)
        assert record.points is not None
        names = sorted(set(record.classes))
        counters = [names.index(name) for name in record.classes]
        path.write_bytes(_encode(record.points.xy, counters))


def _selections(path: Path) -> list[bytes]:
    try:
        if path.suffix.lower() != ".zip":
            return [path.read_bytes()]
        with zipfile.ZipFile(path) as archive:
            # Members are read into memory, never unpacked, so their names can't lead anywhere.
            members = [m for m in archive.infolist() if m.filename.lower().endswith(".roi")]
            if len(members) > _MAX_MEMBERS or sum(m.file_size for m in members) > _MAX_BYTES:
                raise AnnotationError(f"annotation {path} unpacks to more than ROI archives hold; it may be a trap")
            return [archive.read(m) for m in members]
    except OSError as error:
        raise AnnotationError(f"annotation {path}: {error.strerror or error}; check the path") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise AnnotationError(f"annotation {path} is not a readable ROI archive ({error}); save it again") from error
    except Exception as error:  # zlib and its kin on damaged members
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"annotation {path} is a damaged ROI archive; save it again") from error


def _decode(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 2) positions and (n,) counters of one selection."""
    try:
        if data[:4] != _MAGIC:
            raise ValueError("no ImageJ selection")
        kind = data[6]
        top, left, bottom, right = struct.unpack_from(">4h", data, 8)
        (n,) = struct.unpack_from(">H", data, 16)
        (options,) = struct.unpack_from(">h", data, 50)
        (large,) = struct.unpack_from(">i", data, 18)
        if n == 0 and kind == _POINT and 0 < large < 50_000_000:
            n = large  # more than 65,535 points
        if kind in (_RECTANGLE, _OVAL):
            return np.array([[(left + right) / 2, (top + bottom) / 2]]), np.zeros(1, dtype=int)
        if kind == _LINE:
            x1, y1, x2, y2 = struct.unpack_from(">4f", data, 18)
            return np.array([[(x1 + x2) / 2, (y1 + y2) / 2]]), np.zeros(1, dtype=int)
        start = _HEADER + 4 * n
        if options & _SUB_PIXEL:
            xy = np.frombuffer(data, ">f4", 2 * n, start).reshape(2, n).T.astype(np.float64)
        else:
            whole = np.frombuffer(data, ">i2", 2 * n, _HEADER).reshape(2, n).T.astype(np.float64)
            xy = whole + (left, top) + (0.5 if kind == _POINT else 0.0)
    except (struct.error, ValueError, IndexError) as error:
        raise AnnotationError(f"annotation {path} is not a readable ImageJ selection; save it again") from error
    if kind == _POINT:
        return xy, _counters(data, n)
    if kind in (_POLYGON, _FREELINE, _POLYLINE, _FREEHAND, _TRACED, _ANGLE) and n:
        return np.array([polygon_centre(xy.tolist())]), np.zeros(1, dtype=int)
    raise AnnotationError(f"annotation {path} holds a selection of type {kind}, which is no point or shape; remove it")


def _counters(data: bytes, n: int) -> np.ndarray:
    """Return the counter of each point: the low byte of the entries that the second header points to."""
    try:
        (header2,) = struct.unpack_from(">i", data, 60)
        (offset,) = struct.unpack_from(">i", data, header2 + 48) if header2 > 0 else (0,)
        if offset > 0:
            return np.frombuffer(data, ">i4", n, offset).astype(int) & 0xFF
    except (struct.error, ValueError):
        pass  # older files end before; all points are of one counter then
    return np.zeros(n, dtype=int)


def _encode(xy: np.ndarray, counters: list[int]) -> bytes:
    n = len(xy)
    out = io.BytesIO()
    low = np.floor(xy.min(axis=0)) if n else np.zeros(2)
    high = np.ceil(xy.max(axis=0)) if n else np.zeros(2)
    bounds = np.clip([low[1], low[0], high[1], high[0]], -32768, 32767).astype(int)
    header2 = _HEADER + 12 * n
    offset = header2 + _HEADER2
    out.write(_MAGIC + struct.pack(">hBB4h", 227, _POINT, 0, *bounds))
    out.write(struct.pack(">Hi", n if n < 65536 else 0, n if n >= 65536 else 0))
    out.write(bytes(50 - out.tell()) + struct.pack(">h", _SUB_PIXEL))
    out.write(bytes(60 - out.tell()) + struct.pack(">i", header2))
    whole = np.clip(np.floor(xy) - low, -32768, 32767).astype(">i2")
    out.write(whole.T.tobytes() + xy.T.astype(">f4").tobytes())
    out.write(bytes(48) + struct.pack(">i", offset if any(counters) else 0) + bytes(_HEADER2 - 52))
    if any(counters):
        out.write(np.array(counters, dtype=">i4").tobytes())
    return out.getvalue()
