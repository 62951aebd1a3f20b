"""Tables of results: rows are streamed to a temporary file that gets its name when all is written."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from dotcount.files import CsvWriter

if TYPE_CHECKING:
    from dotcount.prediction.predictor import Outcome

COUNT_COLUMNS = ("image", "count", "low", "high", "status", "error")
POINT_COLUMNS = ("image", "x", "y", "score")


class PredictionSink:
    """Writes ``counts.csv`` and ``points.csv`` of a prediction run into a folder."""

    def __init__(self, folder: Path) -> None:
        self.counts = CsvWriter(folder / "counts.csv", COUNT_COLUMNS)
        self.points = CsvWriter(folder / "points.csv", POINT_COLUMNS)

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
