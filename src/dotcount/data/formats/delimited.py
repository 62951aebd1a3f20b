"""Comma-separated text as people have it: other separators, decimal commas, other encodings, a ``sep=`` line.

What the columns mean is the business of :mod:`dotcount.data.formats.columns`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import head, read_text
from dotcount.errors import AnnotationError
from dotcount.names import plain_cell

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # for Excel
_SUMMARY = ("mean", "sd", "min", "max")  # as ImageJ's Summarize calls them
_TOTALS = (*_SUMMARY, "total", "totals", "sum", "count", "average", "median", "std", "stdev", "grand total")
_FILE_NAME = re.compile(r"\.[a-z]\w{1,4}$", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


@dataclass(frozen=True)
class Sheet:
    """Rows of cells, stripped, without empty rows; ``lines`` has the line of each row in the file.

    ``left_out`` tells of rows that were taken away.
    """

    path: Path
    mark: str
    rows: list[list[str]]
    lines: list[int]
    left_out: tuple[str, ...] = ()

    def number(self, row: int, column: int) -> float:
        """Return a number; AnnotationError names file and line if the cell holds none."""
        cells = self.rows[row]
        try:
            return as_number(cells[column], self.mark)
        except (IndexError, ValueError) as error:
            shown = self.mark.join(cells)[:60]
            raise AnnotationError(
                f"annotation {self.path}, line {self.lines[row]}: {shown!r} holds no numbers x and y; correct it"
            ) from error

    def text(self, row: int, column: int | None) -> str:
        """Return the text of a cell; empty where the row has none."""
        cells = self.rows[row]
        return plain_cell(cells[column]) if column is not None and column < len(cells) else ""


def as_number(cell: str, mark: str) -> float:
    """Return the number in a cell; with a comma for the decimal point where commas don't separate cells."""
    if mark != "," and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    if "_" in cell:  # Python's own way to group digits
        raise ValueError(cell)
    return float(cell)


def is_number(cell: str, mark: str) -> bool:
    """Return whether a cell holds a number."""
    try:
        as_number(cell, mark)
    except ValueError:
        return False
    return True


def _split(text: str) -> tuple[str, int, str]:
    """Return the text without a ``sep=`` line, the number of lines taken away, and what separates cells."""
    text, dropped = _without_comments(text)
    text = re.sub(r"\A\s*#[ \t]+(?=\S)", "", text)  # a header as NumPy writes it
    first, _, rest = text.partition("\n")
    stated = _SEPARATOR_LINE.fullmatch(first.strip("\r"))
    if stated:
        return rest, dropped + 1, stated[1]
    line = next((line for line in text.splitlines() if line.strip()), "")
    counts = {mark: line.count(mark) for mark in (",", ";", "\t", "|")}
    return text, dropped, max(counts, key=lambda mark: counts[mark]) if any(counts.values()) else " "


def _without_comments(text: str) -> tuple[str, int]:
    """Return the text without lines of comments before its header, and how many there were.

    A line that begins with ``#`` is a comment if the next one begins so too, or has another number of separators.
    """
    dropped = 0
    while text.startswith("#"):
        first, _, rest = text.partition("\n")
        after = rest.partition("\n")[0]
        alike = all(first.count(mark) == after.count(mark) for mark in ",;\t|")
        if not after.strip() or (alike and not after.startswith("#")) or (alike and first.count(",") > 0):
            break
        text, dropped = rest, dropped + 1
    return text, dropped


def _reader(text: str, mark: str) -> Any:
    if mark == " ":  # any number of blanks separates
        text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    return csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)


def read_sheet(path: Path) -> Sheet:
    """Return the rows of a file.

    Raises
    ------
    AnnotationError
        If it is missing, no text or no csv.
    """
    text, skipped, mark = _split(read_text(path, fallback="cp1252"))
    rows, lines = [], []
    try:
        reader = _reader(text, mark)
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append(cells)
                lines.append(reader.line_num + skipped)
    except csv.Error as error:
        raise AnnotationError(f"annotation {path} is not valid csv ({error}); correct it") from error
    return _without_summary(Sheet(path, mark, rows, lines))


def _without_summary(sheet: Sheet) -> Sheet:
    """Return a sheet without rows of sums at its end, which are no objects.

    They are those that ImageJ's Summarize appends (Mean, SD, Min, Max), and those whose first cell says Total, mean or
    the like where a number or the name of an image stands above.
    """
    rows = sheet.rows
    n = len(rows)
    imagej = bool(rows) and [cell.lower() for cell in rows[0][:2]] == ["", "label"]
    while n > 2 and (_says(rows[n - 1], 1, _SUMMARY) if imagej else _says(rows[n - 1], 0, _TOTALS)):
        n -= 1
    first = {row[0] for row in rows[1:n]}
    objects = imagej or all(is_number(cell, sheet.mark) or _FILE_NAME.search(cell) for cell in first)
    if n == len(rows) or not objects:
        return sheet
    whose = "ImageJ's summary" if imagej else "sums at the end"
    left_out = (f"{len(rows) - n} rows of {whose} ({rows[n][int(imagej)]}, {'SD, ' if imagej else ''}...)",)
    return replace(sheet, rows=rows[:n], lines=sheet.lines[:n], left_out=left_out)


def _says(row: Sequence[str], column: int, words: Sequence[str]) -> bool:
    return len(row) > column and row[column].lower().rstrip(":") in words


def first_rows(path: Path, most: int = 2) -> Sheet:
    """Return the beginning of a file; no rows where it can't be read. Never raises."""
    text, _, mark = _split(head(path) or _latin(path))
    rows: list[list[str]] = []
    try:
        for row in _reader(text, mark):
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append(cells)
            if len(rows) == most:
                break
    except csv.Error:
        pass
    return _without_summary(Sheet(path, mark, rows, [0] * len(rows)))


def _latin(path: Path) -> str:
    """Return the beginning of a file that is text, if not UTF-8; empty for other files."""
    try:
        return read_text(path, fallback="cp1252")[:4096] if path.is_file() else ""
    except AnnotationError:
        return ""
