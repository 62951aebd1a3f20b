"""Suspicions as a table, and decisions about them, which a person writes into its last column."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from dotcount.audit.suspicions import Kind, Place, Suspicion
from dotcount.data.formats.base import read_rows
from dotcount.errors import DataError
from dotcount.files import CsvWriter

COLUMNS = ("image", "kind", "score", "dot", "x", "y", "to_x", "to_y", "other", "accept")
YES, NO = ("yes", "y", "1", "true", "x"), ("no", "n", "0", "false", "")


def cells(suspicion: Suspicion) -> tuple[object, ...]:
    """Return the cells of a row, all but the last; the dot is counted from 1.

    Examples
    --------
    >>> cells(Suspicion("a.png", "missing", 0.9, place=(12.0, 40.5)))
    ('a.png', 'missing', 0.9, None, 12.0, 40.5, None, None, None)
    """
    x, y = suspicion.place or (None, None)
    to_x, to_y = suspicion.target or (None, None)
    dot = None if suspicion.dot is None else suspicion.dot + 1
    return suspicion.image, suspicion.kind, round(suspicion.score, 3), dot, x, y, to_x, to_y, suspicion.other


def write_suspicions(path: Path, found: Iterable[Suspicion]) -> None:
    """Write suspicions in their order; the column ``accept`` is left to a person.

    Examples
    --------
    >>> from pathlib import Path
    >>> write_suspicions(Path("suspicions.csv"), [Suspicion("a.png", "missing", 0.9, place=(12.0, 40.5))])
    >>> read_decisions(Path("suspicions.csv"))
    []
    """
    with CsvWriter(path, COLUMNS) as sink:
        for suspicion in found:
            sink.write(*cells(suspicion), None)


def read_decisions(path: Path) -> list[Suspicion]:
    r"""Return the suspicions that were accepted: their column ``accept`` says yes, y, 1, true or x.

    Raises
    ------
    DataError
        If the file can't be read, lacks a column, or a cell holds what is not understood.

    Examples
    --------
    >>> from pathlib import Path
    >>> header, row = "image,kind,score,dot,x,y,to_x,to_y,other,accept", "a.png,missing,0.9,,12,40.5,,,,yes"
    >>> _ = Path("decided.csv").write_text(f"{header}\n{row}\n")
    >>> read_decisions(Path("decided.csv"))[0].place
    (12.0, 40.5)
    """
    rows = read_rows(path)
    lacking = [name for name in COLUMNS if rows and name not in rows[0]]
    if lacking:
        raise DataError(
            f"{path} lacks the column {lacking[0]}; decide in the suspicions.csv of an audit or on its page"
        )
    accepted = []
    for line, row in enumerate(rows, start=2):
        answer = row["accept"].strip().lower()
        if answer not in YES + NO:
            raise DataError(f"{path}, line {line}: accept is {row['accept'][:20]!r}; write yes or no")
        if answer in YES:
            accepted.append(_suspicion(path, line, row))
    return accepted


def _suspicion(path: Path, line: int, row: dict[str, str]) -> Suspicion:
    kind = row["kind"]
    needed = {"exchanged": (), "missing": ("x", "y"), "misplaced": ("dot", "x", "y", "to_x", "to_y")}
    try:
        if kind not in get_args(Kind):
            raise ValueError(f"kind {kind[:20]!r} is not known")
        for name in needed.get(kind, ("dot", "x", "y")):
            if not row[name]:
                raise ValueError(f"{name} is empty")
        return Suspicion(
            row["image"],
            kind,  # type: ignore[arg-type]
            float(row["score"]),
            int(row["dot"]) - 1 if row["dot"] else None,
            _place(row["x"], row["y"]),
            _place(row["to_x"], row["to_y"]),
            row["other"] or None,
        )
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}; leave all but the column accept as it was") from error


def _place(x: str, y: str) -> Place | None:
    return (float(x), float(y)) if x and y else None
