"""Whether an annotation file can be written anew without loss: what a format holds, and what a file holds besides."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from dotcount.data.formats.base import FORMATS, Format, Sidecar, Table
from dotcount.data.formats.columns import find_columns
from dotcount.data.formats.csv import CsvSidecar, CsvTable
from dotcount.data.formats.delimited import read_sheet
from dotcount.data.formats.structured import NO_CLASS, load_xml, parse_json
from dotcount.data.records import Record
from dotcount.errors import AnnotationError, DotcountError
from dotcount.points import Points

_TOLERANCE = 0.01
_SHOWN = 3
_MAT_HEADER = 128  # bytes
_NUMBERING = re.compile(r"(.*_)?id|version")  # numbers that tie things together, which may be given anew


@dataclass(frozen=True)
class Holds:
    """What a format keeps of a dot: its place, to a hundredth of a pixel, and its class."""

    places: bool
    classes: bool


@lru_cache(maxsize=64)
def holds(name: str) -> Holds:
    """Return what a format keeps of dots, found out by writing some and reading them again.

    Examples
    --------
    >>> holds("csv"), holds("napari")
    (Holds(places=True, classes=True), Holds(places=True, classes=False))
    """
    format = FORMATS.create(name)
    if not format.writable or (isinstance(format, Sidecar) and type(format).prepare is not Sidecar.prepare):
        return Holds(False, False)
    placed, named = (_kept(format, labels) for labels in ((), ("a", "", "b")))
    return Holds(placed, named)


def _kept(format: Format, labels: tuple[str, ...]) -> bool:
    places = [(10.37, 20.13), (1999.99, 3.01), (5.0, 7.0)]
    with tempfile.TemporaryDirectory() as folder:
        record = Record(Path("a.png"), "a.png", Points(np.array(places), 2000, 1500), classes=labels)
        try:
            if isinstance(format, Table):
                path = Path(folder, format.filename)
                format.write(path, [record])
                dots = format.read(path)[0][1].read(2000, 1500)
            else:
                assert isinstance(format, Sidecar)
                path = Path(folder, f"a{format.ending or format.suffixes[0]}")
                format.write(path, record)
                dots = format.read(path, 2000, 1500)
        except DotcountError:
            return False
    read = [label or NO_CLASS for label in dots.classes] or [NO_CLASS] * len(dots.xy)
    wanted = sorted((x, y, label or NO_CLASS) for (x, y), label in zip(places, labels or ("",) * 3))
    found = sorted((float(x), float(y), label) for (x, y), label in zip(dots.xy, read))
    return len(found) == len(wanted) and all(
        a[2] == b[2] and math.dist(a[:2], b[:2]) < _TOLERANCE for a, b in zip(found, wanted)
    )


def what_is_lost(format: Format, original: Path, rewritten: Path) -> list[str]:
    r"""Return what a file holds and one that was written anew from its dots does not, as short phrases.

    Numbers that only tie things together (``id``, ``image_id``) may differ, and so may the names of a csv's columns.

    Examples
    --------
    >>> _ = Path("a.csv").write_text("image,x,y,age\na.png,1.5,2,7\n", encoding="utf-8")
    >>> _ = Path("b.csv").write_text("image,x,y\na.png,1.5,2\n", encoding="utf-8")
    >>> what_is_lost(CsvTable(), Path("a.csv"), Path("b.csv"))
    ['the column age']
    """
    if isinstance(format, CsvTable | CsvSidecar):
        return _lost_columns(original)
    before, after = _content(original), _content(rewritten)
    if before is None or after is None:
        return [] if _bytes(original) == _bytes(rewritten) else ["what it says beside the places of dots"]
    lost = []
    for where, values in before.items():
        kept = after.get(where, set())
        missing = [v for v in values if not _is_kept(v, kept)] if not _NUMBERING.fullmatch(where.split(".")[-1]) else []
        if missing:
            lost.append(f"{where} {str(missing[0])[:30]!r}")
    return _shortened(lost)


def _lost_columns(path: Path) -> list[str]:
    sheet = read_sheet(path)
    columns = find_columns(sheet)
    if columns is None:
        return []
    lost = list(sheet.left_out)
    if len(columns.place) == 4:
        lost.append("the sides of boxes")
    used = {*columns.place, columns.image, columns.label, *(columns.size or ())}
    rows = sheet.rows[int(columns.header) :]
    for k in range(max(map(len, sheet.rows), default=0)):
        if k not in used and any(sheet.text(int(columns.header) + r, k) for r in range(len(rows))):
            lost.append(f"the column {sheet.text(0, k) if columns.header else k + 1}")
    return _shortened(lost)


def _shortened(lost: list[str]) -> list[str]:
    return lost if len(lost) <= _SHOWN else [*lost[:_SHOWN], f"{len(lost) - _SHOWN} more"]


def _content(path: Path) -> dict[str, set[Any]] | None:
    """Return the values in a JSON, XML or other text file, by where they stand; ``None`` for other files."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    found: dict[str, set[Any]] = {}
    try:
        if text.lstrip()[:1] in ("{", "["):
            pairs = _of_json(_parsed(text, path))
        elif text.lstrip()[:1] == "<":
            pairs = _of_xml(load_xml(path))
        else:
            pairs = iter([("text", word) for word in re.split(r"[\s,;|\"]+", text) if word])
        for where, value in pairs:
            found.setdefault(where, set()).add(_plain(value))
    except (AnnotationError, RecursionError):
        return None
    return found


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return data[_MAT_HEADER:] if data.startswith(b"MATLAB 5.0 MAT-file") else data  # the header tells the time


def _parsed(text: str, path: Path) -> Any:
    try:
        return parse_json(text, f"annotation {path}")
    except AnnotationError:  # a value a line
        return [parse_json(line, f"annotation {path}") for line in text.splitlines() if line.strip()]


def _of_json(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _of_json(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _of_json(inner, where)
    elif value is not None and value != "" and value is not False:
        yield where, value


def _of_xml(element: ElementTree.Element, where: str = "") -> Iterator[tuple[str, Any]]:
    where = f"{where}.{element.tag}" if where else str(element.tag)
    for name, value in element.items():
        yield from ((f"{where}.{name}", part) for part in re.split(r"[,;]", value) if part)
    if element.text and element.text.strip():
        yield where, element.text.strip()
    for inner in element:
        yield from _of_xml(inner, where)


def _plain(value: Any) -> Any:
    """Return a number to a hundredth, anything else as text."""
    if isinstance(value, bool):
        return value
    try:
        return round(float(value), 2)
    except (TypeError, ValueError, OverflowError):
        return str(value)


def _is_kept(value: Any, kept: set[Any]) -> bool:
    if value in kept:
        return True
    near = (round(value + d, 2) for d in (-0.01, 0.01)) if isinstance(value, float) else ()
    return any(v in kept for v in near)
