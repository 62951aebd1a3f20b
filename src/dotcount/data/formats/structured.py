"""Safe loading of JSON and XML annotation files, and small helpers that their readers share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from dotcount.data.formats.base import read_text
from dotcount.data.layout import Dots
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
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"annotation {path} is not valid JSON (line {error.lineno}: {error.msg})") from error
    except RecursionError as error:
        raise AnnotationError(f"annotation {path} is nested too deeply to be an annotation; replace it") from error


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
    """Return the root of an XML file; document types and entities are refused, as annotation tools write none."""
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AnnotationError(f"annotation {path} declares a document type or entities, which is not safe; remove them")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, RecursionError, ValueError) as error:
        raise AnnotationError(f"annotation {path} is not valid XML ({error}); correct it") from error


def write_xml(path: Path, root: ElementTree.Element) -> None:
    """Write an indented XML file."""
    ElementTree.indent(root)
    # As text first: ElementTree's own encoding to bytes takes ten times as long.
    text = ElementTree.tostring(root, encoding="unicode")
    path.write_text('<?xml version="1.0" encoding="utf-8"?>\n' + text + "\n", encoding="utf-8")


def number(value: Any, path: Path, what: str) -> float:
    """Return a number of an annotation file; AnnotationError if it is none."""
    try:
        result = float(value)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"annotation {path}: {what} is {str(value)[:40]!r}, not a number; correct it") from error
    return result


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


def polygon_centre(vertices: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the centre of mass of a polygon; of a degenerate one the mean of its vertices."""
    xy = np.asarray(vertices, dtype=np.float64).reshape(-1, 2)
    middle = xy.mean(axis=0)
    x, y = (xy - middle).T  # near the origin the sums lose no digits
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    if len(xy) < 3 or not math.isfinite(area) or abs(area) < 1e-9:
        return float(middle[0]), float(middle[1])
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area)
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area)
    return float(middle[0] + cx), float(middle[1] + cy)


def class_ids(records: Iterable[Record]) -> Mapping[str, int]:
    """Return a number from 0 for each class name over all records, in alphabetical order."""
    names = {name for record in records for *_, name in positions(record)}
    return {name: k for k, name in enumerate(sorted(names) or [NO_CLASS])}
