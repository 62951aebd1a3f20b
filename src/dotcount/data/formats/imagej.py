"""ImageJ and Fiji selections: ``.roi`` files and the ``.zip`` of the ROI manager, by way of ``roifile``.

In ImageJ a pixel (u, v) covers ``[u, u + 1)``, so sub-pixel coordinates are positions. Points without the sub-pixel
option are whole numbers: pixels, whose centre the dot is at. Other shapes give their centre. The counters of the
multi-point tool, where more than one was used, become classes ``counter 0``, ``counter 1``, ... Text, images and arrows
that were drawn on top are no objects: they are left out, and reported. Selections in several slices of a stack do not
belong to one image.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from dotcount.data.formats.base import FORMATS, Sidecar, annotation_bytes
from dotcount.data.formats.outlines import Shape, find_regions
from dotcount.data.formats.structured import polygon_centre, size_of
from dotcount.data.images import quiet
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_MAGIC = b"Iout"
_NO_OBJECTS = {ROI_SUBTYPE.TEXT: "text label", ROI_SUBTYPE.IMAGE: "image overlay", ROI_SUBTYPE.ARROW: "arrow"}
_MAX_MEMBERS, _MAX_BYTES, _MAX_POINTS = 200_000, 500_000_000, 50_000_000
_DAMAGED = (ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError, struct.error, AttributeError)


@FORMATS.register("imagej")
class ImageJ(Sidecar):
    """ImageJ selections."""

    name = "imagej"
    title = "ImageJ ROI"
    suffixes = (".roi", ".zip")

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a selection, or an archive that holds one."""
        try:
            if not path.is_file():
                return False
            if path.suffix.lower() == ".zip":
                with zipfile.ZipFile(path) as archive:
                    return any(map(_is_selection, archive.namelist()))
            with path.open("rb") as file:
                return file.read(4) == _MAGIC
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
            return False

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of all selections in the file."""
        found = selections(path)
        kept = [roi for roi in found if roi.subtype not in _NO_OBJECTS]
        planes = set().union(*map(_planes, kept))
        if len(planes) > 1:
            raise AnnotationError(
                f"annotation {path} has selections in {len(planes)} slices of a stack; save each slice as an image, "
                "with selections of its own"
            )
        shapes = [
            Shape([(x, y) for x, y in _dots(roi, path).tolist()], _outline(roi), "", "", k)
            for k, roi in enumerate(kept)
        ]
        regions = find_regions(shapes, path)
        kept = [roi for k, roi in enumerate(kept) if k not in regions]
        xy = np.array([xy for s in shapes if s.index not in regions for xy in s.centres]).reshape(-1, 2)
        counters = [k for roi in kept for k in _counters(roi)]
        classes = tuple(f"counter {k}" for k in counters) if len(set(counters)) > 1 else ()
        others = [_NO_OBJECTS[roi.subtype] for roi in found if roi.subtype in _NO_OBJECTS]
        others += ["region around objects"] * len(regions)
        left_out = tuple(f"{others.count(what)} x {what}" for what in dict.fromkeys(others))
        return Dots(xy, classes, left_out, planes=_pages(next(iter(planes), (0, 0, 0))))

    def write(self, path: Path, record: Record) -> None:
        """Write one multi-point selection with sub-pixel coordinates (float32); no dots: an empty one."""
        size_of(record)
        assert record.points is not None
        names = sorted(set(record.classes))
        path.write_bytes(_encoded(record.points.xy, [names.index(name) for name in record.classes]))


def selections(path: Path) -> list[ImagejRoi]:
    """Return all selections of a ``.roi`` or ``.zip`` file; AnnotationError if it can't be read."""
    return [_decoded(data, path) for data in _members(path)]


def _members(path: Path) -> list[bytes]:
    """Return the bytes of every selection in a file; members of archives are read into memory, never unpacked."""
    content = annotation_bytes(path)
    if path.suffix.lower() != ".zip":
        return [content]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [m for m in archive.infolist() if _is_selection(m.filename)]
            if len(members) > _MAX_MEMBERS or sum(m.file_size for m in members) > _MAX_BYTES:
                raise AnnotationError(f"annotation {path} unpacks to more than ROI archives hold; it may be a trap")
            return [archive.read(m) for m in members]
    except AnnotationError:
        raise
    except Exception as error:  # zipfile, zlib and their kin on damaged members
        raise AnnotationError(f"annotation {path} is not a readable ROI archive ({error}); save it again") from error


def _is_selection(name: str) -> bool:
    """Return whether a member of an archive is a selection, not what macOS keeps beside each file."""
    return name.lower().endswith(".roi") and not name.rpartition("/")[2].startswith("._")


def _decoded(data: bytes, path: Path) -> ImagejRoi:
    try:
        if len(data) >= 22 and struct.unpack_from(">H", data, 16)[0] == 0 and data[6] == ROI_TYPE.POINT:
            (n,) = struct.unpack_from(">i", data, 18)
            if not 0 <= n <= min(_MAX_POINTS, len(data) // 4):
                raise ValueError(f"{n} points in {len(data)} bytes")
        with quiet:
            return ImagejRoi.frombytes(data)
    except _DAMAGED as error:
        raise AnnotationError(
            f"annotation {path} is not a readable ImageJ selection ({error}); save it again"
        ) from error


def _dots(roi: ImagejRoi, path: Path) -> np.ndarray:
    """Return the (n, 2) positions that a selection stands for: its points, or the centre of its shape."""
    if roi.roitype == ROI_TYPE.POINT:
        if roi.subpixel_coordinates is not None:
            return np.asarray(roi.subpixel_coordinates, dtype=np.float64).reshape(-1, 2)
        if roi.integer_coordinates is None:
            return np.zeros((0, 2))
        return np.asarray(roi.integer_coordinates, dtype=np.float64).reshape(-1, 2) + (roi.left + 0.5, roi.top + 0.5)
    if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL) and not roi.composite:
        if roi.subpixelrect:
            return np.array([[roi.xd + roi.widthd / 2, roi.yd + roi.heightd / 2]])
        return np.array([[(roi.left + roi.right) / 2, (roi.top + roi.bottom) / 2]])
    if roi.roitype == ROI_TYPE.LINE:
        return np.array([[(roi.x1 + roi.x2) / 2, (roi.y1 + roi.y2) / 2]], dtype=np.float64)
    try:
        vertices = np.asarray(roi.coordinates(), dtype=np.float64).reshape(-1, 2)
    except _DAMAGED as error:
        raise AnnotationError(
            f"annotation {path} is not a readable ImageJ selection ({error}); save it again"
        ) from error
    if not len(vertices):
        kind = getattr(roi.roitype, "name", roi.roitype)
        raise AnnotationError(f"annotation {path} holds a selection of type {kind} without a shape; remove it")
    return np.array([polygon_centre(vertices.tolist())])


def _outline(roi: ImagejRoi) -> np.ndarray:
    """Return the corners of an area, of rectangles and ovals those of their box; empty for points and lines."""
    if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL) and not roi.composite:
        left, top, right, bottom = (float(v) for v in (roi.left, roi.top, roi.right, roi.bottom))
        if roi.subpixelrect:
            left, top, right, bottom = roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)
    if roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        return np.asarray(roi.coordinates(), dtype=np.float64).reshape(-1, 2)
    return np.zeros((0, 2))


def _counters(roi: ImagejRoi) -> list[int]:
    """Return the counter of each dot of a selection."""
    if roi.roitype != ROI_TYPE.POINT:
        return [0]
    if roi.counters is not None:
        return [int(k) for k in roi.counters]
    xy = roi.subpixel_coordinates if roi.subpixel_coordinates is not None else roi.integer_coordinates
    return [0] * (0 if xy is None else len(xy))


def _planes(roi: ImagejRoi) -> set[tuple[int, int, int]]:
    """Return the slices and times that a selection says it belongs to; none where it belongs to all."""
    places = {(int(p), 0, 0) for p in roi.counter_positions if p} if roi.counter_positions is not None else set()
    own = (roi.position, roi.z_position, roi.t_position)
    return places or ({own} if any(own) else set())


def _pages(plane: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the page, from 0, of a place in a stack, or of a plane and a time in a hyperstack."""
    place, z, t = plane
    if not any(plane):
        return ()
    if z > 1 and t > 1:
        return (-1,)
    return (max(place, z, t) - 1,)


def _encoded(xy: np.ndarray, counters: list[int]) -> bytes:
    """Return a multi-point selection; without dots an empty one, which ``frompoints`` refuses."""
    roi = ImagejRoi.frompoints(xy if len(xy) else np.zeros((1, 2)), name="dots")
    roi.roitype = ROI_TYPE.POINT
    roi.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    low, high = (np.floor(xy.min(axis=0)), np.ceil(xy.max(axis=0))) if len(xy) else (np.zeros(2), np.zeros(2))
    roi.left, roi.top, roi.right, roi.bottom = (int(v) for v in np.clip([*low, *high], -32768, 32767))
    roi.n_coordinates = len(xy)
    roi.subpixel_coordinates = xy.astype(np.float32)
    roi.integer_coordinates = np.clip(np.floor(xy) - low, -32768, 32767).astype(np.int32)
    if any(counters):
        roi.counters = np.array(counters, dtype=np.uint8)
        roi.counter_positions = np.zeros(len(counters), dtype=np.uint32)
    return bytes(roi.tobytes())
