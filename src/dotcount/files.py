"""Writing results so that nothing half-written is ever seen under its final name."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from dotcount.errors import OutputError


def require_writable(path: Path) -> None:
    """Raise an :class:`OutputError` if the folder ``path`` can't be made or written to; creates nothing.

    Asked before hours of work, so that they aren't lost at the end.
    """
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
        if place.is_file():
            break
    if not place.is_dir():
        raise OutputError(f"can't write to {path}: {place} is a file, not a folder; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"can't write to {path}: no permission in {place}; choose another --out")


def make_folder(path: Path) -> Path:
    """Create the folder ``path`` with its parents and return it."""
    require_writable(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't write to {path}: {error.strerror or error}; choose another --out") from error
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; renamed onto it at the end, removed when the block fails."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror or error}; choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class CsvWriter:
    """A context manager that writes rows; the file appears, complete, when the block ends without an error.

    Parameters
    ----------
    path
        The file to write; its folder is made if needed.
    columns
        Names in the first line.
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self.path = path
        self.columns = tuple(columns)
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._file: IO[str]
        self._writer: Any

    def __enter__(self) -> CsvWriter:
        make_folder(self.path.parent)
        try:
            self._file = self._temporary.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {error.strerror or error}; choose another --out") from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(self.columns)
        return self

    def write(self, *values: object) -> None:
        """Write one row; floats are written with up to four decimals, None as an empty field."""
        try:
            self._writer.writerow([_text(value) for value in values])
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {error.strerror or error}; free some space") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            if kind is None:
                self._temporary.replace(self.path)
        except OSError as failure:
            raise OutputError(f"can't write {self.path}: {failure.strerror or failure}; free some space") from failure
        finally:
            self._temporary.unlink(missing_ok=True)


def _text(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):  # numpy's float64 is one
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return value
