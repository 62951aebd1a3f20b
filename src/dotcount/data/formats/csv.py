"""Dots in csv files: one file for many images (``image,x,y``), or one beside each image (``x,y``).

Columns are found by name in any order and case, boxes by their corners (``xmin,ymin,xmax,ymax``), and a column that
holds nothing but names of images by these; ``,``, ``;``, tab, ``|`` or blanks separate; where commas don't, they may be
decimal.

Coordinates of a csv are of two kinds. Files whose numbers are all whole hold indices of pixels, as tools that click on
pixels write them; a dot then sits at the pixel's centre, ``x + 1/2``. (Shown for the vgg_cells csv, which list exactly
the non-zero pixels of the dot masks beside them, 0 to 255 in images of 256 px.) Files with any fractional number hold
positions and are taken as they are, and so do the corners of boxes. Files written by this package say so in their
header, ``x_px,y_px``: positions, whatever the numbers; they do so where the numbers could be taken for something else.
Shares of the image are read where the header says so (``x_share``, ``x_norm``, ``x_percent``); where numbers only look
like shares, nothing is guessed.

An image without rows is one that nobody annotated, unless one row names it and has no numbers, or a file ``images.csv``
beside the dots lists it (column ``image``; with a column ``count`` only where that is 0): then it was looked at and
holds nothing.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Sidecar, Table, read_rows
from dotcount.data.formats.boxes import corners_centre, written_as_corners
from dotcount.data.formats.columns import IMAGE_NAMES, Columns, Unit, find_columns, image_of, plain, why_not
from dotcount.data.formats.delimited import Sheet, first_rows, read_sheet
from dotcount.data.formats.meaning import require_one_meaning
from dotcount.data.layout import Dots, ReadDots, no_dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError
from dotcount.names import cell

SUFFIXES = (".csv", ".tsv", ".txt")
_LOOKED_INTO = 200  # rows by which a file is recognised


@dataclass(frozen=True)
class CsvRow:
    """One object: its place as written; ``empty``: the row names an image that holds nothing.

    ``box``: a corner and two sides, as written.
    """

    image: str
    x: float
    y: float
    label: str
    empty: bool = False
    size: tuple[int, int] | None = None
    sides: tuple[float, float] | None = None
    plane: str = ""
    box: tuple[float, ...] = ()


def parse(path: Path) -> tuple[list[CsvRow], Columns, tuple[str, ...]]:
    """Return the rows of a dots csv, its columns and what was left out.

    Raises
    ------
    AnnotationError
        With the file, the row and what is wrong.
    """
    sheet = read_sheet(path)
    columns = find_columns(sheet)
    if columns is None:
        first = ",".join(sheet.rows[0])[:60] if sheet.rows else "nothing"
        reason = why_not(sheet) or "expected a header such as image,x,y or x,y"
        raise AnnotationError(f"annotation {path} starts with {first!r}; {reason}")
    require_one_meaning(sheet, columns)
    return [_row(sheet, columns, k) for k in range(int(columns.header), len(sheet.rows))], columns, sheet.left_out


def _row(sheet: Sheet, columns: Columns, k: int) -> CsvRow:
    image = image_of(sheet.text(k, columns.image), columns)
    label = sheet.text(k, columns.label)
    if image and all(not sheet.text(k, column) for column in columns.place):
        return CsvRow(image, 0.0, 0.0, label, empty=True)
    values = [sheet.number(k, column) for column in columns.place]
    box = tuple(values) if columns.sided else ()
    if len(values) == 4:
        if image and not any(values):  # how DeepForest writes an image without objects
            return CsvRow(image, 0.0, 0.0, label, empty=True)
        corners = [*values[:2], values[0] + values[2], values[1] + values[3]] if columns.sided else values
        values = list(corners_centre(corners, sheet.path, f"line {sheet.lines[k]}"))
    size = tuple(sheet.number(k, column) for column in columns.size) if columns.size else None
    sides = tuple(sheet.number(k, column) for column in columns.sides) if columns.sides else None
    stated = (int(size[0]), int(size[1])) if size and all(map(math.isfinite, size)) else None
    both = (sides[0], sides[1]) if sides else None
    return CsvRow(image, values[0], values[1], label, False, stated, both, sheet.text(k, columns.plane), box)


def _whole(rows: Sequence[CsvRow]) -> bool:
    """Return whether all finite coordinates are whole numbers, as indices of pixels are."""
    return all(not math.isfinite(v) or v == math.floor(v) for row in rows for v in (row.x, row.y))


def _unit(rows: Sequence[CsvRow], columns: Columns) -> Unit:
    """Return what the numbers of a whole file are."""
    if columns.unit == "auto" and (len(columns.place) == 4 or not _whole(rows)):
        return "positions"
    return "centres" if columns.unit == "auto" else columns.unit


def _dots(rows: Sequence[CsvRow], path: Path, unit: Unit, stated: bool, width: int, height: int) -> Dots:
    """Return the dots of one image; ``stated``: the header says what the numbers are."""
    for sides in {row.sides for row in rows if row.sides is not None}:
        if sides != (width, height):
            raise AnnotationError(
                f"annotation {path} has width and height {sides[0]:g} x {sides[1]:g} beside x and y, in an image of "
                f"{width} x {height} px; call the corners of boxes xmin, ymin, xmax, ymax, or leave those columns out"
            )
    if len({row.empty for row in rows}) > 1:
        raise AnnotationError(
            f"annotation {path} has a row without a place for an image that has dots in other rows; fill or remove it"
        )
    rows = [row for row in rows if not row.empty]
    boxes = np.array([row.box for row in rows if row.box])
    if len(boxes) and written_as_corners(boxes, np.array([width, height])):
        raise AnnotationError(
            f"annotation {path}: boxes such as {rows[0].box} can only be two corners, not a corner, a width and a "
            "height; call their columns xmin, ymin, xmax, ymax"
        )
    planes = {row.plane for row in rows}
    if len(planes) > 1:
        raise AnnotationError(
            f"annotation {path} has points in {len(planes)} planes of a stack or frames; save each as an image, with "
            "its points, or leave out the column that tells them apart"
        )
    xy = np.array([(row.x, row.y) for row in rows], dtype=np.float64).reshape(-1, 2)
    classes = tuple(row.label for row in rows) if any(row.label for row in rows) else ()
    if (
        not stated
        and unit == "positions"
        and len(xy)
        and max(width, height) > 2
        and bool(((xy >= 0) & (xy <= 1)).all())
    ):
        raise AnnotationError(
            f"annotation {path}: all coordinates lie between 0 and 1, in an image of {width} x {height} px; call the "
            "columns x_share, y_share if they are shares of the image, or x_px, y_px if they are px"
        )
    if unit == "centres":
        xy = xy + 0.5
    elif unit in ("shares", "percent"):
        xy = xy * (np.array([width, height]) / (1 if unit == "shares" else 100))
    return Dots(xy, classes, px=stated, planes=_pages(planes))


def _pages(planes: set[str]) -> tuple[int, ...]:
    """Return the pages, from 0, that the cell of a column called slice, frame or z may name: some count from 1."""
    text = next(iter(planes), "")
    try:
        number = float(text)
    except ValueError:
        return ()
    if not number.is_integer() or not 0 <= number < 1e6:  # a place in µm, a time in s
        return ()
    return (0,) if number == 0 else (int(number) - 1, int(number))


def _telling(read: ReadDots, left_out: tuple[str, ...]) -> ReadDots:
    """Return a reader that tells as well what was left out."""
    return (lambda width, height: replace(read(width, height), left_out=left_out)) if left_out else read


def _columns_of(path: Path) -> Columns | None:
    return find_columns(first_rows(path, _LOOKED_INTO))


def px_needed(records: Sequence[Record]) -> bool:
    """Return whether positions would be taken for indices of pixels, or for shares, unless the header says px."""
    xy = np.concatenate([np.zeros((0, 2)), *(r.points.xy for r in records if r.points is not None)])
    return bool((xy == np.floor(xy)).all()) or any(
        len(r.points) and bool((r.points.xy <= 1).all()) for r in records if r.points is not None
    )


def _header(records: Sequence[Record]) -> list[str]:
    return ["x_px", "y_px"] if px_needed(records) else ["x", "y"]


def is_manifest(path: Path) -> bool:
    """Return whether a file is called ``images.csv`` and lists images rather than dots."""
    if path.name.lower() != "images.csv" or not path.is_file():
        return False
    return _columns_of(path) is None


def read_manifest(path: Path) -> dict[str, int]:
    """Return the count by image name of an ``images.csv``; without a column ``count`` it is 0."""
    rows = read_rows(path)
    names = {plain(key)[0]: key for key in (rows[0] if rows else {})}
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
                writer.writerow([cell(record.name), record.points.width, record.points.height, len(record.points)])


@FORMATS.register("csv")
class CsvTable(Table):
    """One csv for many images: ``image,x,y`` with an optional class."""

    name = "csv"
    title = "csv with the columns image, x, y"
    filename = "dots.csv"
    suffixes = SUFFIXES
    priority = 10

    def recognises(self, path: Path) -> bool:
        """Return whether the first rows name images and places."""
        columns = _columns_of(path)
        return columns is not None and columns.image is not None

    def objection(self, path: Path) -> str | None:
        """Return what is wrong with columns that come near."""
        return why_not(first_rows(path))

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        rows, columns, left_out = parse(path)
        if columns.image is None:
            raise AnnotationError(f"annotation {path} has no column that names the image; add one called image")
        unit = _unit(rows, columns)
        grouped: dict[str, list[CsvRow]] = {}
        for row in rows:
            if not row.image:
                raise AnnotationError(
                    f"annotation {path}: a row at ({row.x:g}, {row.y:g}) names no image; add its name"
                )
            grouped.setdefault(row.image, []).append(row)
        stated = columns.unit != "auto"
        listed = []
        for name, group in grouped.items():
            sizes = {row.size for row in group if row.size is not None}
            if len(sizes) > 1:
                raise AnnotationError(f"annotation {path} states more than one size for image {name}; correct it")
            read = partial(_dots, group, path, unit, stated)
            if all(row.empty for row in group):
                read = partial(no_dots)
            listed.append((name, Listed(_telling(read, left_out), size=next(iter(sizes), None))))
            left_out = ()  # of the whole file, reported once
        return listed

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write ``image,x,y`` and, where there are classes, ``class``."""
        classes = any(record.classes for record in records)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["image", *_header(records), *(["class"] if classes else [])])
            for record in records:
                for k, (x, y) in enumerate(record.points.xy if record.points is not None else ()):
                    label = [cell(record.classes[k]) if record.classes else ""] if classes else []
                    writer.writerow([cell(record.name), repr(float(x)), repr(float(y)), *label])


@FORMATS.register("csv_per_image")
class CsvSidecar(Sidecar):
    """One csv for each image: ``x,y`` with an optional class; a header alone, or an empty file, means no objects."""

    name = "csv_per_image"
    title = "one csv with the columns x, y for each image"
    suffixes = SUFFIXES
    priority = 10

    def recognises(self, path: Path) -> bool:
        """Return whether the first rows name places and no images."""
        columns = _columns_of(path)
        return columns is not None and columns.image is None

    def objection(self, path: Path) -> str | None:
        """Return what is wrong with columns that come near."""
        return why_not(first_rows(path))

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of one image."""
        rows, columns, left_out = parse(path)
        named = {row.image for row in rows if row.image}
        if len(named) > 1:
            raise AnnotationError(
                f"annotation {path} names {len(named)} images, but goes with one; keep the rows of that"
            )
        read = partial(_dots, rows, path, _unit(rows, columns), columns.unit != "auto")
        return _telling(read, left_out)(width, height)

    def write(self, path: Path, record: Record) -> None:
        """Write ``x,y`` and, where there are classes, ``class``."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*_header([record]), *(["class"] if record.classes else [])])
            for k, (x, y) in enumerate(record.points.xy if record.points is not None else ()):
                writer.writerow([repr(float(x)), repr(float(y)), *map(cell, record.classes[k : k + 1])])
