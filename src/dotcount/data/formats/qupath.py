"""Tables of measurements of QuPath (https://qupath.readthedocs.io/en/stable/docs/tutorials/exporting_measurements.html).

A row for each object, with ``Image`` and the centroid. Centroids in px are positions; those in µm can't be used, since
the table does not hold the size of a pixel. Rows of regions (annotations) among detections are left out, and reported.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.columns import plain
from dotcount.data.formats.delimited import Sheet, first_rows, read_sheet
from dotcount.data.layout import Dots, fixed
from dotcount.errors import AnnotationError

_IN_MICRONS = "its centroids are in µm, without the size of a pixel; export them in px, or the objects as GeoJSON"


def _names(sheet: Sheet) -> list[tuple[str, str | None]]:
    return [plain(cell) for cell in sheet.rows[0]] if sheet.rows else []


def _is_table(sheet: Sheet) -> bool:
    names = [name for name, _ in _names(sheet)]
    return "image" in names and "centroidx" in names and "centroidy" in names


def _place(sheet: Sheet) -> tuple[int, int] | None:
    named = _names(sheet)
    if ("centroidx", "px") in named and ("centroidy", "px") in named:
        return named.index(("centroidx", "px")), named.index(("centroidy", "px"))
    return None


@FORMATS.register("qupath")
class QuPath(Table):
    """QuPath measurements."""

    name = "qupath"
    title = "QuPath table of measurements"
    suffixes = (".tsv", ".csv", ".txt")
    filename = "measurements.tsv"
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the columns are the image and a centroid in px."""
        sheet = first_rows(path)
        return _is_table(sheet) and _place(sheet) is not None

    def objection(self, path: Path) -> str | None:
        """Return that the centroids are in µm, where they are."""
        sheet = first_rows(path)
        return _IN_MICRONS if _is_table(sheet) and _place(sheet) is None else None

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        sheet = read_sheet(path)
        place = _place(sheet)
        if not _is_table(sheet):
            raise AnnotationError(f"annotation {path} lacks the columns Image, Centroid X, Centroid Y; export it again")
        if place is None:
            raise AnnotationError(f"annotation {path}: {_IN_MICRONS}")
        names = [name for name, _ in _names(sheet)]
        image = names.index("image")
        kind, label = (names.index(n) if n in names else None for n in ("objecttype", "classification"))
        label = label if label is not None else names.index("class") if "class" in names else None
        rows = range(1, len(sheet.rows))
        kinds = {sheet.text(k, kind).lower() for k in rows}
        regions = len(kinds) > 1 and "annotation" in kinds
        grouped: dict[str, tuple[list[tuple[float, float]], list[str], list[int]]] = {}
        for k in rows:
            xy, classes, left = grouped.setdefault(sheet.text(k, image), ([], [], []))
            if regions and sheet.text(k, kind).lower() in ("annotation", "root", "tma core"):
                left.append(k)
            else:
                xy.append((sheet.number(k, place[0]), sheet.number(k, place[1])))
                classes.append(sheet.text(k, label))
        listed = []
        for name, (xy, classes, left) in grouped.items():
            left_out = (f"{len(left)} x region among detections",) if left else ()
            dots = Dots(np.array(xy), tuple(classes) if any(classes) else (), left_out)
            listed.append((name, Listed(fixed(dots))))
        return listed
