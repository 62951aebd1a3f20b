"""Zeiss' czi files; the only user of czifile, which comes with the extra ``microscopy``."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.images.parts import Part, PartStack, missing_extra
from dotcount.data.images.pixel_size import mean_side
from dotcount.data.images.stack import Stack
from dotcount.data.images.values import PixelArray

MAGIC = b"ZISRAWFILE"
_PLACED = ("X", "Y", "M")  # where in a plane a block lies; the other axes say in which plane
_ORDER = "BVHIRTZC"
_RAW, _JPEG, _LZW, _JPEG_XR, _ZSTD, _ZSTD_PACKED = 0, 1, 2, 4, 5, 6


class ZeissStack(PartStack):
    """An open czi file: its scenes one after the other, each put together of its tiles.

    Reduced copies of the picture, of which such files hold many, are passed over.
    """

    def __init__(self, file: Any) -> None:
        blocks = [block for block in file.subblock_directory if not _is_reduced(block)]
        if not blocks:
            raise ValueError("it holds no image")
        size = _pixel_size(file.metadata() or "")
        scenes = sorted({_starts(block).get("S", 0) for block in blocks})
        self._scenes = [[block for block in blocks if _starts(block).get("S", 0) == scene] for scene in scenes]
        self._boxes = [_box(scene) for scene in self._scenes]
        parts = [_part(f"{k + 1}", scene, box, size) for k, scene, box in zip(scenes, self._scenes, self._boxes)]
        super().__init__(parts, "scene")

    def plane(self, part: int, index: Mapping[str, int], channel: int) -> PixelArray:
        """See :meth:`PartStack.plane`."""
        stated, (left, top, width, height) = self.parts[part], self._boxes[part]
        first = {axis: min(_starts(block).get(axis, 0) for block in self._scenes[part]) for axis in _ORDER}
        wanted = {axis: first[axis] + k for axis, k in index.items()}
        if not stated.colours:
            wanted["C"] = first["C"] + channel
        tiles = [b for b in self._scenes[part] if all(_starts(b).get(axis, 0) == k for axis, k in wanted.items())]
        if not tiles:
            raise ValueError("a plane is missing from the file, which was cut off or never finished")
        whole = np.zeros((height, width, 3 if stated.colours else 1), stated.dtype)
        for tile in sorted(tiles, key=lambda block: block.mosaic_index or 0):  # later ones lie on top
            at = _starts(tile)
            y, x = at["Y"] - top, at["X"] - left
            values = _decoded(tile)
            whole[y : y + values.shape[0], x : x + values.shape[1]] = values[..., : whole.shape[-1]]
        return whole


@contextmanager
def open_zeiss(path: Path) -> Iterator[Stack]:
    """Yield an open czi file."""
    try:
        import czifile
    except ImportError as error:
        raise missing_extra(path, "a Zeiss file", "microscopy", error) from error
    with czifile.CziFile(str(path), multifile=False) as file:
        yield ZeissStack(file)


def _starts(block: Any) -> dict[str, int]:
    return {axis.dimension: axis.start for axis in block.dimension_entries}


def _sizes(block: Any) -> dict[str, int]:
    return {axis.dimension: axis.size for axis in block.dimension_entries}


def _is_reduced(block: Any) -> bool:
    """Return whether a block is a reduced copy of others, or only refers to another file."""
    return bool(block.pyramid_type) or any(axis.stored_size < axis.size for axis in block.dimension_entries)


def _box(blocks: Sequence[Any]) -> tuple[int, int, int, int]:
    """Return (left, top, width, height) of all tiles together."""
    spans = [[(_starts(b)[axis], _starts(b)[axis] + _sizes(b)[axis]) for b in blocks] for axis in "XY"]
    (left, right), (top, bottom) = ((min(s for s, _ in span), max(e for _, e in span)) for span in spans)
    return left, top, right - left, bottom - top


def _part(name: str, blocks: Sequence[Any], box: tuple[int, int, int, int], size: float | None) -> Part:
    places: dict[str, set[int]] = {}
    for block in blocks:
        for axis, start in _starts(block).items():
            if axis not in (*_PLACED, "S"):
                if _sizes(block)[axis] != 1:
                    raise ValueError(f"a block of it holds several planes along {axis}")
                places.setdefault(axis, set()).add(start)
    axes = {axis: max(found) - min(found) + 1 for axis, found in places.items()}
    kinds = {np.dtype(block.dtype) for block in blocks}
    if len(kinds) > 1:
        raise ValueError("its channels have values of different types; export them one by one")
    kind = kinds.pop()
    colours = bool(kind.shape)
    ordered = {axis: axes[axis] for axis in sorted(axes, key=lambda a: _ORDER.find(a)) if colours or axis != "C"}
    channels = 1 if colours else axes.get("C", 1)
    return Part(name, box[2], box[3], kind.base, ordered, channels, colours, size)


def _decoded(block: Any) -> PixelArray:
    """Return (H, W, bands) of a tile; colours are stored blue first. Some compressions are unknown to czifile."""
    import imagecodecs

    segment = block.data_segment()
    kind = np.dtype(block.dtype)
    bands = math.prod(kind.shape)
    height, width = _sizes(block)["Y"], _sizes(block)["X"]
    if block.compression in (_RAW, _JPEG, _JPEG_XR):
        return np.asarray(segment.data(resize=False)).reshape(height, width, bands)
    data: bytes | bytearray = segment.data(raw=True)
    if block.compression == _LZW:
        data = imagecodecs.lzw_decode(data)
    elif block.compression == _ZSTD:
        data = imagecodecs.zstd_decode(data)
    elif block.compression == _ZSTD_PACKED:
        data = _unpacked(data, kind)
    else:
        raise ValueError(f"its compression {block.compression} is not known; export it as TIFF or OME-TIFF")
    values = np.frombuffer(data, kind.base, count=height * width * bands).reshape(height, width, bands)
    return values[..., 2::-1] if bands >= 3 else values


def _unpacked(data: bytes | bytearray, kind: np.dtype[Any]) -> bytes | bytearray:
    """Decode zstd behind a header, whose flag says that low and high bytes lie apart."""
    import imagecodecs

    length = data[0]
    plain = imagecodecs.zstd_decode(data[length:])
    if length == 3 and data[1] == 1 and data[2] & 1 and kind.base.itemsize == 2:
        halves = np.frombuffer(plain, np.uint8).reshape(2, -1)
        return np.ascontiguousarray(halves.T).tobytes()
    return plain


def _pixel_size(metadata: str) -> float | None:
    """Return the side of a pixel, m, of ``Scaling/Items/Distance``."""
    try:
        root = ElementTree.fromstring(metadata)
        found = {
            each.get("Id"): float(each.findtext("Value") or "nan")
            for each in root.iterfind(".//Scaling/Items/Distance")
        }
    except (ElementTree.ParseError, ValueError):
        return None
    return mean_side(found.get("X"), found.get("Y"), 1.0)
