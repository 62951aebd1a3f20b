"""Tables of results: rows are streamed to a temporary file that gets its name when all is written."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from dotcount.errors import OutputError
from dotcount.prediction.files import make_folder

if TYPE_CHECKING:
    from dotcount.prediction.predictor import Outcome

COUNT_COLUMNS = ("image", "count", "low", "high", "status", "error")
POINT_COLUMNS = ("image", "x", "y", "score")


class CsvSink:
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

    def __enter__(self) -> CsvSink:
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


class PredictionSink:
    """Writes ``counts.csv`` and ``points.csv`` of a prediction run into a folder."""

    def __init__(self, folder: Path) -> None:
        self.counts = CsvSink(folder / "counts.csv", COUNT_COLUMNS)
        self.points = CsvSink(folder / "points.csv", POINT_COLUMNS)

    def __enter__(self) -> PredictionSink:
        self.counts.__enter__()
        try:
            self.points.__enter__()
        except BaseException as error:
            self.counts.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, outcome: Outcome) -> None:
        """Add one image: a row of counts, and a row for each located point."""
        name, prediction = outcome.source.name, outcome.prediction
        if prediction is None:
            self.counts.write(name, None, None, None, outcome.status, outcome.error)
            return
        low, high = prediction.interval or (None, None)
        self.counts.write(name, prediction.count, low, high, outcome.status, None)
        for (x, y), score in zip(prediction.points, prediction.scores):
            self.points.write(name, x, y, score)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.points.__exit__(kind, error, trace)
        finally:
            self.counts.__exit__(kind, error, trace)


def _text(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):  # numpy's float64 is one
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return value
