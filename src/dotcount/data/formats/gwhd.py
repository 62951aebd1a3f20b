"""Tables in which one cell holds the boxes of an image, as the Global Wheat Head data have them.

Of 2021: ``image_name,BoxesString,domain`` with ``x_min y_min x_max y_max`` of the boxes, separated by ``;``, and
``no_box`` for an image without (https://zenodo.org/records/5092309). Of 2020: ``image_id,width,height,bbox,source``, a
row for each box, ``"[x_min, y_min, width, height]"``; an image without boxes is not listed there: nobody looked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.boxes import corners_centre, written_as_corners
from dotcount.data.formats.columns import IMAGE_NAMES, plain
from dotcount.data.formats.delimited import Sheet, first_rows, read_sheet
from dotcount.data.formats.structured import deferred, number, stated_size
from dotcount.data.layout import Dots
from dotcount.errors import AnnotationError

_LISTS = ("boxesstring", "boxstring", "boxes")
_ONE = ("bbox", "box")
_NONE = ("no_box", "nobox", "[]", "")
_CELL = re.compile(r"\[\s*[^\[\],]+(,[^\[\],]+){3}\]")


def _columns(sheet: Sheet) -> tuple[int, int, bool] | None:
    """Return the columns of the image and of the boxes, and whether the latter are corners; ``None``: another table."""
    if len(sheet.rows) < 2:
        return None
    names = [plain(cell)[0] for cell in sheet.rows[0]]
    image = next((names.index(name) for name in IMAGE_NAMES if name in names), None)
    several = next((names.index(name) for name in _LISTS if name in names), None)
    one = next((names.index(name) for name in _ONE if name in names), None)
    if image is None:
        return None
    cell = sheet.text(1, several)
    if several is not None and (cell in _NONE or all(len(box.split()) == 4 for box in cell.split(";"))):
        return image, several, True
    return (image, one, False) if one is not None and _CELL.fullmatch(sheet.text(1, one)) else None


@FORMATS.register("gwhd")
class GlobalWheat(Table):
    """Boxes in one cell."""

    name = "gwhd"
    title = "table with the boxes of an image in one cell"
    suffixes = (".csv", ".tsv", ".txt")
    filename = "boxes.csv"
    priority = 20
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether a column names images and another holds boxes."""
        return _columns(first_rows(path)) is not None

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        sheet = read_sheet(path)
        columns = _columns(sheet)
        if columns is None:
            raise AnnotationError(f"annotation {path} lacks a column of images or one of boxes; export it again")
        image, boxes, corners = columns
        names = [plain(cell)[0] for cell in sheet.rows[0]]
        sides = [names.index(n) if n in names else None for n in ("width", "height")]
        grouped: dict[str, list[int]] = {}
        for k in range(1, len(sheet.rows)):
            grouped.setdefault(sheet.text(k, image), []).append(k)
        listed: list[tuple[str, Listed]] = []
        for name, rows in grouped.items():
            size = stated_size(*(sheet.text(rows[0], side) for side in sides))
            lines = [(sheet.text(k, boxes), sheet.lines[k]) for k in rows]
            if corners:  # a row for each image: a second one says something else of it
                listed += [(name, Listed(deferred(partial(_by_corners, path, [line])))) for line in lines]
            else:
                listed.append((name, Listed(deferred(partial(_by_sides, path, lines, size)), size=size)))
        return listed


def _by_corners(path: Path, lines: Sequence[tuple[str, int]]) -> Dots:
    xy = []
    for text, line in lines:
        for box in (text if text not in _NONE else "").split(";"):
            if box.strip():
                values = [number(value, path, f"line {line}: a corner") for value in box.split()]
                if len(values) != 4:
                    raise AnnotationError(f"annotation {path}, line {line}: the box {box[:40]!r} has no four corners")
                xy.append(corners_centre(values, path, f"line {line}"))
    return Dots(np.array(xy))


def _by_sides(path: Path, lines: Sequence[tuple[str, int]], size: tuple[int, int] | None) -> Dots:
    boxes = []
    for text, line in lines:
        if not _CELL.fullmatch(text):
            raise AnnotationError(f"annotation {path}, line {line}: {text[:40]!r} is no box [x, y, width, height]")
        boxes.append([number(value, path, f"line {line}: a box") for value in text.strip("[] ").split(",")])
    found = np.array(boxes)
    if size is not None and written_as_corners(found, np.array(size)):
        raise AnnotationError(f"annotation {path}: boxes such as {lines[0][0]} can only be corners; write their sides")
    return Dots(found[:, :2] + found[:, 2:] / 2)
