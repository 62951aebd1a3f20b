"""Tables as Parquet files: one row an image with its count, one row a located point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame, printable
from dotcount.prediction.output import GrowingFile, OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.prediction.sinks.csv import COUNT_COLUMNS, POINT_COLUMNS
from dotcount.tables import require_tables, write_rows

_POINTS = 10_000  # on a line of what is kept until the end


@SINKS.register("parquet")
class ParquetTables(Sink):
    """``counts.parquet`` and ``points.parquet``, with the columns of the csv tables.

    A Parquet file ends with a table of its contents, so that none can be continued. Rows are kept as JSON lines, which
    can, and become the tables at the end, a row group at a time.
    """

    title = "counts.parquet and points.parquet"
    names = ("counts.parquet", "points.parquet")
    rows = True

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        require_tables()
        self._out = out
        self._counts = out.grow("counts.parquet.rows", scratch=True)
        self._points = out.grow("points.parquet.rows", scratch=True)

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Keep a row of counts, and a row for each located point."""
        row: dict[str, Any] = dict.fromkeys(COUNT_COLUMNS)
        row |= {"image": frame.name, "status": frame.status, "error": frame.error}
        row["warning"] = printable("; ".join(frame.warnings)) or None
        if prediction is not None:
            low, high = prediction.interval or (None, None)
            row |= {"count": prediction.count, "low": low, "high": high, "familiarity": prediction.familiarity}
            for first in range(0, len(prediction.points), _POINTS):
                part = slice(first, first + _POINTS)
                points = [frame.name, prediction.points[part].tolist(), prediction.scores[part].tolist()]
                self._points.write(json.dumps(points) + "\n")
        self._counts.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """Write the tables."""
        with self._out.file("counts.parquet") as path:
            write_rows(path, COUNT_COLUMNS, map(json.loads, self._counts.lines()))
        with self._out.file("points.parquet") as path:
            write_rows(path, POINT_COLUMNS, _points(self._points))


def _points(kept: GrowingFile) -> Iterator[dict[str, Any]]:
    for image, points, scores in map(json.loads, kept.lines()):
        for (x, y), score in zip(points, scores):
            yield {"image": image, "x": x, "y": y, "score": score}
