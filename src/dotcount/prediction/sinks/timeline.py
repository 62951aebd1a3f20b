"""Counts over time, of videos: a table and a plot for each."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np

from dotcount.files import csv_line
from dotcount.inference.result import Prediction
from dotcount.points import FloatArray
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.report.timeline import timeline_picture

_WINDOW = 5.0
COLUMNS = ("frame", "seconds", "count", "low", "high", "smoothed")


def smoothed(seconds: FloatArray, counts: FloatArray, window: float) -> FloatArray:
    """Return (n,) the median of the counts within ``window / 2`` s of each time.

    Examples
    --------
    >>> import numpy as np
    >>> smoothed(np.array([0.0, 1.0, 2.0]), np.array([5.0, 50.0, 6.0]), 2.0).tolist()
    [27.5, 6.0, 28.0]
    """
    if len(seconds) == 0:
        return counts
    start = np.searchsorted(seconds, seconds - window / 2 - 1e-9)
    end = np.searchsorted(seconds, seconds + window / 2 + 1e-9)
    return np.array([np.median(counts[a:b]) for a, b in zip(start, end)])


@SINKS.register("timeline")
class Timeline(Sink):
    """``timeline/NAME.csv`` and ``timeline/NAME.png`` for each video.

    Counts are of single frames: an object counts in each frame that shows it, and nothing is said of how many different
    ones there were.

    Parameters
    ----------
    window
        Length of the smoothing, s: the column ``smoothed`` is the median of the counts within half of it; 0: none.
    """

    title = "counts of videos over time, as tables and plots"
    names = ("timeline/",)

    def __init__(self, window: float = _WINDOW) -> None:
        self.window = window

    @property
    def described(self) -> str:
        """See :attr:`Sink.described`."""
        return super().described if self.window == _WINDOW else f"{super().described} smoothed {self.window:g} s"

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._out, self._file = out, out.grow("timeline/rows", scratch=True)

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Keep one row."""
        if prediction is None or frame.meta.time is None:
            return
        video, _, number = frame.name.rpartition("#")
        row = [video, int(number), frame.meta.time, prediction.count, *(prediction.interval or (None, None))]
        self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """Write the table and the plot of each video."""
        videos = defaultdict(list)
        for video, *row in map(json.loads, self._file.text().splitlines()):
            videos[video].append(row)
        for video, rows in videos.items():
            seconds, counts = (np.array([row[k] for row in rows], float) for k in (1, 2))
            smooth = smoothed(seconds, counts, self.window) if self.window > 0 else None
            lines = [csv_line(*row, None if smooth is None else smooth[k]) for k, row in enumerate(rows)]
            with self._out.file(f"timeline/{video}.csv") as path:
                path.write_text(csv_line(*COLUMNS) + "".join(lines), encoding="utf-8")
            known = all(row[3] is not None for row in rows)
            band = np.array([row[3:5] for row in rows], float) if known else None
            with self._out.file(f"timeline/{video}.png") as path:
                timeline_picture(video, seconds, counts, band, smooth, self.window).save(path, format="PNG")
