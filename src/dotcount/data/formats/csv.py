"""Dots in csv files: one file for many images (``image,x,y``), or one beside each image (``x,y``).

Columns are found by name in any order and case; ``,``, ``;``, tab or blanks separate; ``;`` may go with a decimal
comma.

Coordinates of a csv are of two kinds. Files whose numbers are all whole hold indices of pixels, as tools that click on
pixels write them; a dot then sits at the pixel's centre, ``x + 1/2``. (Shown for the vgg_cells csv, which list exactly
the non-zero pixels of the dot masks beside them, 0 to 255 in images of 256 px.) Files with any fractional number hold
positions and are taken as they are. Files written by this package say so in their header, ``x_px,y_px``: positions,
whatever the numbers; they do so where every number happens to be whole.

An image without rows is one that nobody annotated, unless a file ``images.csv`` beside the dots lists it
(``image,width,height,count``): then it was looked at and holds nothing.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Sidecar, Table, head, read_rows, read_text
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

IMAGE_NAMES = ("image", "filename", "file", "image_name", "imagename", "image_path", "file_name", "path", "img", "name")
X_NAMES = ("x_px", "x", "xcoord", "x_coord", "pos_x", "cx", "center_x", "centre_x", "column", "col")
Y_NAMES = ("y_px", "y", "ycoord", "y_coord", "pos_y", "cy", "center_y", "centre_y", "row")
CLASS_NAMES = ("class", "label", "category", "type", "class_name")


@dataclass(frozen=True)
class Columns:
    """Where in a row the values stand; ``positions``: the header states that x and y are positions, not indices."""

    x: int
    y: int
    image: int | None
    label: int | None
    positions: bool
    header: bool


def _dialect(text: str) -> str:
    line = text.splitlines()[0] if text else ""
    counts = {mark: line.count(mark) for mark in (",", ";", "\t")}
    return max(counts, key=lambda mark: counts[mark]) if any(counts.values()) else " "


def _reader(text: str, mark: str) -> Any:
    if mark == " ":  # any number of blanks separates
        text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    return csv.reader(io.StringIO(text), delimiter=mark, strict=True)


def _number(cell: str, decimal_comma: bool) -> float:
    return float(cell.replace(",", ".") if decimal_comma else cell)


def _is_number(cell: str, decimal_comma: bool) -> bool:
    try:
        _number(cell, decimal_comma)
    except ValueError:
        return False
    return True


def _find(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(k) for k in known if k in names), None)


def find_columns(first: Sequence[str], decimal_comma: bool = False) -> Columns | None:
    """Return the columns that a first row describes, or ``None`` if it is not that of a dots csv.

    Without a header, two numbers are x and y, and a name with two numbers is image, x and y.
    """
    cells = [cell.strip() for cell in first]
    numeric = [_is_number(cell, decimal_comma) for cell in cells]
    if numeric == [True, True]:
        return Columns(0, 1, None, None, positions=False, header=False)
    if numeric == [False, True, True]:
        return Columns(1, 2, 0, None, positions=False, header=False)
    names = [cell.lower() for cell in cells]
    x, y = _find(names, X_NAMES), _find(names, Y_NAMES)
    if x is None or y is None:
        return None
    # ImageJ's results start with an unnamed number, and their Label is the image, not a class.
    label = _find(names, CLASS_NAMES) if names[0] not in ("", "#") else None
    return Columns(x, y, _find(names, IMAGE_NAMES), label, positions=names[x] == "x_px", header=True)


@dataclass(frozen=True)
class _Row:
    image: str
    x: float
    y: float
    label: str


def _parse(path: Path) -> tuple[list[_Row], Columns]:
    text = read_text(path)
    mark = _dialect(text)
    reader = _reader(text, mark)
    lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    columns = find_columns(lines[0][1], mark == ";") if lines else None
    if columns is None:
        first = ",".join(lines[0][1])[:60] if lines else "nothing"
        raise AnnotationError(f"annotation {path} starts with {first!r}; expected a header such as image,x,y or x,y")
    parsed = []
    for number, row in lines[columns.header :]:
        try:
            x, y = (_number(row[k], mark == ";") for k in (columns.x, columns.y))
        except (IndexError, ValueError) as error:
            raise AnnotationError(
                f"annotation {path}, line {number}: {mark.join(row)[:60]!r} holds no numbers x and y; correct it"
            ) from error
        image = row[columns.image].strip() if columns.image is not None else ""
        label = row[columns.label].strip() if columns.label is not None and columns.label < len(row) else ""
        parsed.append(_Row(image, x, y, label))
    return parsed, columns


def parse(path: Path) -> tuple[list[_Row], Columns]:
    """Return the rows of a dots csv and its columns; AnnotationError names the file, the row and what is wrong."""
    try:
        return _parse(path)
    except csv.Error as error:
        raise AnnotationError(f"annotation {path} is not valid csv ({error}); correct it") from error


def to_positions(xy: np.ndarray, positions: bool) -> np.ndarray:
    """Move whole-number coordinates to the centres of their pixels, unless they are known to be positions."""
    if positions or not len(xy):
        return xy
    finite = xy[np.isfinite(xy)]
    return xy + 0.5 if (finite == np.floor(finite)).all() else xy


def _dots(rows: Sequence[_Row], positions: bool) -> Dots:
    xy = np.array([(row.x, row.y) for row in rows], dtype=np.float64).reshape(-1, 2)
    classes = tuple(row.label for row in rows) if any(row.label for row in rows) else ()
    return Dots(to_positions(xy, positions), classes)


def _columns_of(path: Path) -> Columns | None:
    text = head(path)
    mark = _dialect(text)
    try:
        first = next(_reader(text, mark), None)
    except csv.Error:
        return None
    return find_columns(first, mark == ";") if first else None


def _header(records: Sequence[Record]) -> list[str]:
    """Name the columns so that reading can't take whole-number positions for pixel indices."""
    whole = all(r.points is None or bool((r.points.xy == np.floor(r.points.xy)).all()) for r in records)
    return ["x_px", "y_px"] if whole else ["x", "y"]


def is_manifest(path: Path) -> bool:
    """Return whether a file is called ``images.csv`` and lists images rather than dots."""
    if path.name.lower() != "images.csv" or not path.is_file():
        return False
    return _columns_of(path) is None


def read_manifest(path: Path) -> dict[str, int]:
    """Return the count by image name of an ``images.csv``; without a column ``count`` it is 0."""
    rows = read_rows(path)
    names = {key.strip().lower(): key for key in (rows[0] if rows else {})}
    image = next((names[k] for k in IMAGE_NAMES if k in names), None)
    count = names.get("count")
    try:
        if rows and image is None:
            raise KeyError("image")
        return {row[image]: int(row[count] or 0) if count else 0 for row in rows if image and row[image].strip()}
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(f"manifest {path} needs a column image; count, if there, is a whole number") from error


def write_manifest(path: Path, records: Sequence[Record]) -> None:
    """Write ``image,width,height,count`` for every annotated record."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "width", "height", "count"])
        for record in records:
            if record.points is not None:
                writer.writerow([record.name, record.points.width, record.points.height, len(record.points)])


@FORMATS.register("csv")
class CsvTable(Table):
    """One csv for many images: ``image,x,y`` with an optional class."""

    name = "csv"
    title = "csv with the columns image, x, y"
    filename = "dots.csv"
    suffixes = (".csv", ".tsv", ".txt")

    def recognises(self, path: Path) -> bool:
        """Return whether the first row names an image and two coordinates."""
        columns = _columns_of(path)
        return columns is not None and columns.image is not None

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        rows, columns = parse(path)
        if columns.image is None:
            raise AnnotationError(f"annotation {path} has no column that names the image; add one called image")
        whole = all(not math.isfinite(v) or v == math.floor(v) for row in rows for v in (row.x, row.y))
        positions = columns.positions or not whole
        grouped: dict[str, list[_Row]] = {}
        for row in rows:
            grouped.setdefault(row.image, []).append(row)
        return [
            (name, Listed(lambda _w, _h, rows=group: _dots(rows, positions)))  # type: ignore[misc]
            for name, group in grouped.items()
        ]

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write ``image,x,y`` and, where there are classes, ``class``."""
        classes = any(record.classes for record in records)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["image", *_header(records), *(["class"] if classes else [])])
            for record in records:
                for k, (x, y) in enumerate(record.points.xy if record.points is not None else ()):
                    label = [record.classes[k] if record.classes else ""] if classes else []
                    writer.writerow([record.name, repr(float(x)), repr(float(y)), *label])


@FORMATS.register("csv_per_image")
class CsvSidecar(Sidecar):
    """One csv for each image: ``x,y`` with an optional class; a header alone means no objects."""

    name = "csv_per_image"
    title = "one csv with the columns x, y for each image"
    suffixes = (".csv", ".tsv", ".txt")

    def recognises(self, path: Path) -> bool:
        """Return whether the first row names two coordinates and no image."""
        columns = _columns_of(path)
        return columns is not None and columns.image is None

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of one image."""
        rows, columns = parse(path)
        return _dots(rows, columns.positions)

    def write(self, path: Path, record: Record) -> None:
        """Write ``x,y`` and, where there are classes, ``class``."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*_header([record]), *(["class"] if record.classes else [])])
            for k, (x, y) in enumerate(record.points.xy if record.points is not None else ()):
                writer.writerow([repr(float(x)), repr(float(y)), *(record.classes[k : k + 1])])
