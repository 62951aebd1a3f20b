"""A reader of MATLAB v5 files that damaged or hostile content can't crash.

scipy's reader is compiled code that trusts the file and ends the whole process on some damaged ones. Dots need a small
part of the format only: numbers, cells and structs. The layout is that of "MAT-File Format" (MathWorks, chapter 1).
Every length is checked against the data that is there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT = 1, 2
_NUMERIC = range(6, 16)
_COMPLEX_OR_LOGICAL = 0x0A00
_HEADER = 128
_MAX_DEPTH = 16
_MAX_UNPACKED = 1 << 28


def read_mat5(data: bytes) -> dict[str, Any]:
    """Return the variables by name: arrays, lists for cells and struct arrays, dicts for structs, ``None`` for others.

    Raises
    ------
    ValueError
        If the content is not what its lengths and types say.
    """
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise ValueError("no MATLAB v5 header")
    order = "<" if data[126:128] == b"IM" else ">"
    variables = {}
    for kind, body in _elements(data[_HEADER:], order):
        if kind == _COMPRESSED:
            kind, body = _unpacked(body, order)
        if kind == _MATRIX:
            name, value = _matrix(body, order, 0)
            variables[name] = value
    return variables


def _unpacked(body: bytes, order: str) -> tuple[int, bytes]:
    try:
        stream = zlib.decompressobj()
        content = stream.decompress(body, _MAX_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"damaged compression ({error})") from error
    if stream.unconsumed_tail:
        raise ValueError("a variable that unpacks to more than 256 MB")
    return next(_elements(content, order), (0, b""))


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield (type, content) of the data elements."""
    place = 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(order + "2I", data, place)
        if kind >> 16:  # a small element: type and size share the first word, the content is the second
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            end, place = start + size, place + 8
            if size > 4:
                raise ValueError("a small element of more than 4 bytes")
        else:
            start = place + 8
            end = start + size
            place = end if kind == _COMPRESSED else start + -(-size // 8) * 8
        if end > len(data):
            raise ValueError("an element that is longer than the file")
        yield kind, data[start:end]


def _values(element: tuple[int, bytes], order: str) -> np.ndarray:
    kind, body = element
    if kind not in _NUMBERS:
        raise ValueError(f"numbers of the unknown type {kind}")
    dtype = np.dtype(order + _NUMBERS[kind])
    return np.frombuffer(body[: len(body) // dtype.itemsize * dtype.itemsize], dtype)


def _matrix(body: bytes, order: str, depth: int) -> tuple[str, Any]:
    """Return the name and value of one array element."""
    if depth > _MAX_DEPTH:
        raise ValueError("arrays nested too deeply")
    if not body:
        return "", np.zeros((0, 0))
    parts = _elements(body, order)
    flags, dimensions, name = (next(parts, None) for _ in range(3))
    if flags is None or dimensions is None or name is None:
        raise ValueError("an array without flags, dimensions or name")
    kinds = _values(flags, order)
    shape = [int(n) for n in _values(dimensions, order)]
    if not len(kinds) or len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"an array of shape {shape}")
    size = int(np.prod(shape, dtype=object))
    kind = int(kinds[0]) & 0xFF
    label = name[1].decode("latin-1").rstrip("\x00")
    if int(kinds[0]) & _COMPLEX_OR_LOGICAL:
        return label, None
    if kind in _NUMERIC:
        values = _values(next(parts, (9, b"")), order)
        if len(values) != size:
            raise ValueError(f"{len(values)} numbers for an array of shape {shape}")
        return label, values.reshape(shape, order="F")
    if kind == _CELL:
        return label, [value for _, value in _matrices(parts, size, order, depth)]
    if kind == _STRUCT:
        return label, _struct(parts, size, order, depth)
    return label, None


def _struct(parts: Iterator[tuple[int, bytes]], size: int, order: str, depth: int) -> Any:
    lengths = _values(next(parts, (5, b"")), order)
    _, packed = next(parts, (1, b""))
    width = int(lengths[0]) if len(lengths) else 0
    if width < 1:
        raise ValueError("a struct without the length of its field names")
    fields = [packed[k : k + width].split(b"\x00")[0].decode("latin-1") for k in range(0, len(packed), width)]
    values = [value for _, value in _matrices(parts, size * len(fields), order, depth)]
    rows = [dict(zip(fields, values[k * len(fields) :])) for k in range(size)] if fields else []
    return rows[0] if len(rows) == 1 else rows


def _matrices(parts: Iterator[tuple[int, bytes]], count: int, order: str, depth: int) -> Iterator[tuple[str, Any]]:
    found = 0
    for kind, body in parts:
        if kind != _MATRIX:
            raise ValueError("something else than an array within a cell or struct")
        found += 1
        if found > count:
            raise ValueError("more arrays in a cell or struct than its shape holds")
        yield _matrix(body, order, depth + 1)
    if found != count:
        raise ValueError(f"{found} arrays in a cell or struct for {count}")
