"""Writing a csv of dots the way its owner wrote it: names and order of columns, separator, decimal comma, and unit."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dotcount.data.formats.columns import Columns, Unit, find_columns
from dotcount.data.formats.csv import px_needed
from dotcount.data.formats.delimited import read_sheet
from dotcount.data.records import Record
from dotcount.errors import DotcountError
from dotcount.names import cell

_MARKS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class OwnCsv:
    """How a csv is laid out.

    Attributes
    ----------
    header
        The names of the columns as they stand there.
    columns
        What they mean.
    mark
        What separates cells.
    decimal
        ``,`` or ``.``.
    image
        What a column with the name of the image says where the file is of one image; else empty.
    indices
        Whether all numbers are whole, and so indices of pixels. They stay so while all dots lie in the middle of one.
    empties
        Whether images that hold nothing have a row without a place.
    """

    header: tuple[str, ...]
    columns: Columns
    mark: str
    decimal: str
    image: str = ""
    indices: bool = False
    empties: bool = False

    @classmethod
    def of(cls, path: Path) -> OwnCsv | None:
        """Return the layout of a file; ``None`` where there is none to keep: no file, no header, boxes, blanks."""
        try:
            sheet = read_sheet(path)
            columns = find_columns(sheet)
        except DotcountError:
            return None
        if columns is None or not columns.header or len(columns.place) != 2 or sheet.mark not in _MARKS:
            return None
        if columns.imagej or columns.sides is not None or columns.plane is not None:
            return None
        rows = range(1, len(sheet.rows))
        image = sheet.text(1, columns.image) if rows else ""
        written = [sheet.text(k, column) for k in rows for column in columns.place]
        decimal = "," if sheet.mark != "," and any("," in number for number in written) else "."
        whole = columns.unit == "auto" and all(number.lstrip("+-").isdigit() for number in written if number)
        empties = columns.image is not None and "" in written
        return cls(tuple(sheet.rows[0]), columns, sheet.mark, decimal, image, whole and any(written), empties)

    def write(self, path: Path, records: Sequence[Record], *, of_many: bool) -> None:
        """Write dots; ``of_many``: the file is of many images, whose names stand in it."""
        columns, unit, header = self.columns, self.columns.unit, list(self.header)
        if unit == "auto" and self.indices and _in_the_middle(records):
            unit = "centres"
        elif unit == "auto" and (self.indices or px_needed(records)):  # else it would be unclear what the numbers are
            unit = "positions"
            for column, name in zip(columns.place, ("x_px", "y_px")):
                header[column] = name
        label = columns.label
        if label is None and any(record.classes for record in records):
            label = len(header)
            header.append("class")
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.mark, lineterminator="\n")
            writer.writerow(header)
            for record in records:
                if of_many and self.empties and record.points is not None and not len(record.points):
                    writer.writerow([cell(record.name) if k == columns.image else "" for k in range(len(header))])
                for k, place in enumerate(_places(record, unit)):
                    row = [""] * len(header)
                    for column, value in zip(columns.place, place):
                        row[column] = _number(value, whole=self.indices).replace(".", self.decimal)
                    for column, side in zip(columns.size or (), _size(record)):
                        row[column] = str(side)
                    if columns.image is not None:
                        row[columns.image] = cell(record.name if of_many else self.image or record.image.name)
                    if label is not None and record.classes:
                        row[label] = cell(record.classes[k])
                    writer.writerow(row)


def _in_the_middle(records: Sequence[Record]) -> bool:
    """Return whether all dots lie in the middle of a pixel."""
    return all(bool((r.points.xy % 1 == 0.5).all()) for r in records if r.points is not None)


def _number(value: float, *, whole: bool) -> str:
    return str(int(value)) if whole and value.is_integer() else repr(value)


def _size(record: Record) -> tuple[int, int]:
    return (0, 0) if record.points is None else (record.points.width, record.points.height)


def _places(record: Record, unit: Unit) -> list[tuple[float, float]]:
    """Return the places of dots in the unit of a file."""
    if record.points is None:
        return []
    xy, size = record.points.xy, _size(record)
    if unit == "centres":
        xy = xy - 0.5
    elif unit in ("shares", "percent"):
        xy = (xy / size * (1 if unit == "shares" else 100)).round(9)
    return [(float(x), float(y)) for x, y in xy]
