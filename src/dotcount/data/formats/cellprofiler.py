"""Tables of objects of CellProfiler (``MyExpt_Nuclei.csv``), whose images stand in another one (``MyExpt_Image.csv``).

``ImageNumber`` leads from one to the other; ``FileName_...`` names the image. ``Location_Center_X`` and ``_Y`` are
counted from the centre of the first pixel. An image without objects has a row in the table of images alone. Tables of
objects that name their images themselves are plain csv.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.columns import find_columns, plain
from dotcount.data.formats.delimited import Sheet, first_rows, read_sheet
from dotcount.data.layout import Dots, fixed
from dotcount.errors import AnnotationError

_PLACES = (("locationcenterx", "locationcentery"), ("areashapecenterx", "areashapecentery"))


def _names(sheet: Sheet) -> list[str]:
    return [plain(cell)[0] for cell in sheet.rows[0]] if sheet.rows else []


def _images(path: Path) -> Path | None:
    """Return the table of images that goes with a table of objects: that of the same beginning, else the only one."""
    tables = sorted(p for p in path.parent.glob("*Image.csv") if p != path)
    begin = path.stem.rpartition("_")[0]
    own = [p for p in tables if p.stem.rpartition("_")[0] == begin]
    found = own or tables
    return found[0] if len(found) == 1 else None


@FORMATS.register("cellprofiler")
class CellProfiler(Table):
    """CellProfiler's objects, with their images in a second table."""

    name = "cellprofiler"
    title = "CellProfiler's table of objects, beside that of images"
    suffixes = (".csv",)
    filename = "Objects.csv"
    priority = 20
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the rows are objects with a place and the number of an image that another table names."""
        sheet = first_rows(path)
        names = _names(sheet)
        if not {"imagenumber", "objectnumber"} <= set(names) or not any(set(place) <= set(names) for place in _PLACES):
            return False
        columns = find_columns(sheet)
        return (columns is None or columns.image is None) and _images(path) is not None

    def objection(self, path: Path) -> str | None:
        """Return that the table of images is missing, or one of several."""
        sheet = first_rows(path)
        if {"imagenumber", "objectnumber"} <= set(_names(sheet)) and _images(path) is None:
            columns = find_columns(sheet)
            if columns is None or columns.image is None:
                return "its ImageNumber leads to a table such as MyExpt_Image.csv; put that one beside it"
        return None

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        table = _images(path)
        sheet = read_sheet(path)
        names = _names(sheet)
        place = next((pair for pair in _PLACES if set(pair) <= set(names)), None)
        if table is None or place is None or "imagenumber" not in names:
            raise AnnotationError(f"annotation {path} has no ImageNumber, no centres or no table of images beside it")
        files = _file_names(table)
        x, y = (names.index(name) for name in place)
        grouped: dict[str, list[tuple[float, float]]] = {number: [] for number in files}
        for k in range(1, len(sheet.rows)):
            number = sheet.text(k, names.index("imagenumber"))
            if number not in files:
                raise AnnotationError(f"annotation {path} has objects of image {number[:20]}, which {table} lacks")
            grouped[number].append((sheet.number(k, x) + 0.5, sheet.number(k, y) + 0.5))
        return [(files[number], Listed(fixed(Dots(np.array(xy))))) for number, xy in grouped.items()]


def _file_names(table: Path) -> dict[str, str]:
    """Return the file of each image by its number."""
    sheet = read_sheet(table)
    names = _names(sheet)
    columns = [k for k, name in enumerate(names) if name.startswith("filename")]
    if "imagenumber" not in names or len(columns) != 1:
        said = ", ".join(sheet.rows[0][k] for k in columns)[:80] or "none"
        raise AnnotationError(
            f"annotation {table} has to have ImageNumber and one column FileName_..., that of the images to count; it "
            f"has {said}"
        )
    number = names.index("imagenumber")
    return {sheet.text(k, number): sheet.text(k, columns[0]) for k in range(1, len(sheet.rows))}
