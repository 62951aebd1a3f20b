"""Safe loading of JSON and XML annotation files, and small helpers that their readers share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from dotcount.data.formats.base import annotation_bytes, read_text
from dotcount.data.layout import Dots, ReadDots, fixed
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

NO_CLASS = "object"
"""What a dot is called in formats that demand a name, where the source had none."""


def load_json(path: Path) -> Any:
    """Return the content of a JSON file; AnnotationError names the file and the line that is wrong."""
    try:
        stat = path.stat()
    except OSError as error:
        raise AnnotationError(f"annotation {path}: {error.strerror or error}; check the path") from error
    return _load_json(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)  # a file is recognised, then read: parse it once
def _load_json(path: Path, _modified: int, _size: int) -> Any:
    return parse_json(read_text(path), f"annotation {path}")


def parse_json(text: str, what: str) -> Any:
    """Return the value of JSON text; AnnotationError that begins with ``what`` if it is none, or names a key twice."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{what} is not valid JSON (line {error.lineno}: {error.msg}); write it anew") from error
    except RecursionError as error:
        raise AnnotationError(f"{what} is nested too deeply to be an annotation; replace it") from error
    except ValueError as error:  # a number of thousands of digits, or a key that is there twice
        raise AnnotationError(f"{what} is not valid JSON ({str(error)[:80]}); correct it") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # of two values json would drop the first
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)[:40]!r} stands twice in one object")
    return found


def peek_json(path: Path) -> Any:
    """Return the content of a JSON file, or ``None`` where it can't be read."""
    try:
        return load_json(path)
    except AnnotationError:
        return None


def write_json(path: Path, value: Any) -> None:
    """Write JSON with names in any script as they are."""
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def load_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file in the encoding that it declares.

    Document types and entities are refused, as annotation tools write none.
    """
    data = annotation_bytes(path)
    tree = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(_decoded(data), True)
        return tree.close()
    except _DocumentType as error:
        raise AnnotationError(
            f"annotation {path} declares a document type or entities, which is not safe; remove them"
        ) from error
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:
        detail = " ".join(str(error).split())[:100]
        raise AnnotationError(f"annotation {path} is not valid XML ({detail}); correct it") from error


class _DocumentType(Exception):
    """The file declares a document type."""


def _refuse_doctype(*_: object) -> None:
    raise _DocumentType


def _decoded(data: bytes) -> bytes | str:
    """Return text where the file declares an encoding of several bytes a letter, which expat does not know."""
    data = data.lstrip(b" \t\r\n")  # before the declaration XML allows nothing
    declared = re.match(rb"""<\?xml[^>]{0,200}?\bencoding\s*=\s*["']([\w.:-]+)["']""", data)
    name = declared.group(1).decode("ascii").lower() if declared else "utf-8"
    return data if name.startswith(("utf", "iso-8859", "us-ascii")) else data.decode(name)


def write_xml(path: Path, root: ElementTree.Element) -> None:
    """Write an indented XML file."""
    ElementTree.indent(root)
    # As text first: ElementTree's own encoding to bytes takes ten times as long.
    text = ElementTree.tostring(root, encoding="unicode")
    path.write_text('<?xml version="1.0" encoding="utf-8"?>\n' + text + "\n", encoding="utf-8")


def number(value: Any, path: Path, what: str) -> float:
    """Return a finite number of an annotation file, as a number or as text; AnnotationError if it is none."""
    try:
        if isinstance(value, bool) or (isinstance(value, str) and "_" in value):  # which Python reads as numbers
            raise ValueError
        result = float(value)
        if not math.isfinite(result):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        shown = repr(value)[:40] if isinstance(value, (int, float, str, type(None))) else f"a {type(value).__name__}"
        raise AnnotationError(f"annotation {path}: {what} is {shown}, not a finite number; correct it") from error
    return result


def identity(value: Any, path: Path, what: str) -> str:
    """Return an identifier in one form, so that 7, 7.0 and "7" are the same; AnnotationError if it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise AnnotationError(f"annotation {path}: {what} is missing, or neither a number nor text; export it again")
    try:
        return str(value).strip()
    except ValueError as error:  # an integer of thousands of digits, made from a float or by a script
        raise AnnotationError(f"annotation {path}: {what} is no identifier; export it again") from error


def pairs(values: Any, path: Path, what: str) -> list[tuple[float, float]]:
    """Return a list of [x, y] of an annotation file, at least one; AnnotationError if it is none."""
    if not isinstance(values, list) or not values or any(not isinstance(p, list) or len(p) != 2 for p in values):
        shown = repr(values)[:60]
        raise AnnotationError(f"annotation {path}: {what} is not a list of points [x, y]: {shown}; export it again")
    return [(number(x, path, what), number(y, path, what)) for x, y in values]


def stated_size(width: Any, height: Any) -> tuple[int, int] | None:
    """Return the (width, height) px that a file states; ``None`` where it states none that could be one."""
    try:
        size = int(float(width)), int(float(height))
    except (TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


def deferred(build: Callable[[], Dots]) -> ReadDots:
    """Return a reader of the dots of one image of many, whose error is raised when that image is read."""
    try:
        return fixed(build())
    except AnnotationError as error:
        message = str(error)

    def fail(_width: int, _height: int) -> Dots:
        raise AnnotationError(message)

    return fail


def demand(value: Any, kind: type | tuple[type, ...], path: Path, what: str) -> Any:
    """Return a value of an annotation file that has to be of a kind; AnnotationError if it is not."""
    if not isinstance(value, kind):
        raise AnnotationError(f"annotation {path}: {what} is missing or of the wrong kind; export it again")
    return value


def dots_of(xy: Sequence[tuple[float, float]], classes: Sequence[str]) -> Dots:
    """Return dots with their classes; no classes where every dot has the stand-in name or none."""
    named = any(name not in ("", NO_CLASS) for name in classes)
    return Dots(np.array(xy, dtype=np.float64).reshape(-1, 2), tuple(classes) if named else ())


def positions(record: Record) -> Iterable[tuple[float, float, str]]:
    """Yield x, y and class (the stand-in where there is none) of the dots of a record."""
    if record.points is not None:
        for k, (x, y) in enumerate(record.points.xy):
            yield float(x), float(y), record.classes[k] if record.classes else NO_CLASS


def size_of(record: Record) -> tuple[int, int]:
    """Return (width, height) of the image of an annotated record."""
    if record.points is None:
        raise AnnotationError(f"image {record.image} has no dots to write; annotate it or leave it out")
    return record.points.width, record.points.height


def box_centre(left: float, top: float, width: float, height: float) -> tuple[float, float]:
    """Return the centre of a box given in corner coordinates."""
    return left + width / 2, top + height / 2


def box_around(vertices: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the centre of the smallest upright box around some points."""
    xy = np.asarray(vertices, dtype=np.float64).reshape(-1, 2)
    x, y = (xy.min(axis=0) + xy.max(axis=0)) / 2
    return float(x), float(y)


def line_centre(vertices: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the centre of mass of a line through some points; of one without length the mean of its points."""
    xy = np.asarray(vertices, dtype=np.float64).reshape(-1, 2)
    lengths = np.hypot(*np.diff(xy, axis=0).T)
    if not lengths.sum() > 0:
        return float(xy[:, 0].mean()), float(xy[:, 1].mean())
    x, y = np.average((xy[1:] + xy[:-1]) / 2, axis=0, weights=lengths)
    return float(x), float(y)


def polygon_centre(vertices: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the centre of mass of a polygon; of a degenerate one the mean of its vertices."""
    xy = np.asarray(vertices, dtype=np.float64).reshape(-1, 2)
    middle = xy.mean(axis=0)
    x, y = (xy - middle).T  # near the origin the sums lose no digits
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    thin = 1e-6 * float(np.ptp(xy, axis=0).max()) ** 2  # of its own size, as outlines may be in degrees
    if len(xy) < 3 or not math.isfinite(area) or abs(area) <= thin:
        return float(middle[0]), float(middle[1])
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area)
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area)
    return float(middle[0] + cx), float(middle[1] + cy)


def class_ids(records: Iterable[Record]) -> Mapping[str, int]:
    """Return a number from 0 for each class name over all records, in alphabetical order."""
    names = {name for record in records for *_, name in positions(record)}
    return {name: k for k, name in enumerate(sorted(names) or [NO_CLASS])}
