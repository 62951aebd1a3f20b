"""Tables: one row an image with its count, one row a located point."""

from __future__ import annotations

from dotcount.files import csv_line
from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink

COUNT_COLUMNS = {
    "image": str, "count": float, "low": float, "high": float, "status": str, "error": str, "warning": str,
    "familiarity": float,
}  # fmt: skip
POINT_COLUMNS = {"image": str, "x": float, "y": float, "score": float}
"""Columns of the tables and what they hold, also those of Parquet files."""

_ROWS = 10_000  # made into Python numbers at a time


@SINKS.register("csv")
class CsvTables(Sink):
    """``counts.csv`` and ``points.csv``."""

    title = "counts.csv and points.csv"
    names = ("counts.csv", "points.csv")
    rows = True

    def open(self, out: OutputFolder) -> None:
        """Write the headers of new files."""
        self._counts, self._points = out.grow("counts.csv"), out.grow("points.csv")
        for file, columns in ((self._counts, COUNT_COLUMNS), (self._points, POINT_COLUMNS)):
            if file.new:
                file.write(csv_line(*columns))

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Write a row of counts, and a row for each located point."""
        count, (low, high), familiarity = None, (None, None), None
        if prediction is not None:
            count, (low, high) = prediction.count, prediction.interval or (None, None)
            familiarity = None if prediction.familiarity is None else round(prediction.familiarity, 3)
            for first in range(0, len(prediction.points), _ROWS):
                part = slice(first, first + _ROWS)
                for (x, y), score in zip(prediction.points[part].tolist(), prediction.scores[part].tolist()):
                    self._points.write(csv_line(frame.name, x, y, score))
        warning = "; ".join(frame.warnings)
        self._counts.write(csv_line(frame.name, count, low, high, frame.status, frame.error, warning, familiarity))
