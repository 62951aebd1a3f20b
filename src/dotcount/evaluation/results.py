"""What an evaluation comes to, as typed values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from dotcount.data import Record
from dotcount.evaluation.reading import ByteImage
from dotcount.files import CsvWriter, write_text
from dotcount.inference.result import Prediction
from dotcount.metrics import Scores
from dotcount.points import FloatArray, Points

PREDICTION_COLUMNS = (
    "image",
    "true",
    "count",
    "low",
    "high",
    "difference",
    "points",
    "status",
    "error",
    "warning",
    "familiarity",
)


@dataclass(frozen=True, eq=False)
class Row:
    """One image of an evaluation: its counts, and a small picture (h, w, 3) where it is kept for the report.

    Examples
    --------
    >>> Row("a.png", true=10, count=12.5, interval=(9.0, 16.0), points=12).difference
    2.5
    """

    name: str
    true: int | None
    count: float | None
    interval: tuple[float, float] | None
    points: int | None
    error: str | None = None
    familiarity: float | None = None
    warnings: tuple[str, ...] = ()
    thumbnail: ByteImage | None = None

    @property
    def held(self) -> bool | None:
        """Return whether the true count lies in the interval; None without one."""
        if self.interval is None or self.true is None:
            return None
        return self.interval[0] <= self.true <= self.interval[1]

    @property
    def difference(self) -> float | None:
        """Return predicted minus true count."""
        return None if self.count is None or self.true is None else self.count - self.true


@dataclass(frozen=True, eq=False)
class Example:
    """An image with its dots and prediction, kept for the report.

    Attributes
    ----------
    radius
        An object's in this image, px.
    shown
        (h, w, 3) the image as the network saw it, reduced if it is large.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = dotcount.open_collection(write_dataset("data", train=0, val=0, test=2, size=96))
    >>> example = dotcount.evaluate(dotcount.load("cells"), collection).worst[0]
    >>> example.shown.shape, abs(example.difference) < 50
    ((96, 96, 3), True)
    """

    record: Record
    points: Points
    prediction: Prediction
    radius: float
    shown: ByteImage

    @property
    def difference(self) -> float:
        """Return predicted minus true count."""
        return self.prediction.count - len(self.points)


@dataclass(frozen=True)
class IntervalCoverage:
    """Share of the images whose true count lies in the interval that was predicted, beside what was promised.

    Examples
    --------
    >>> IntervalCoverage(level=0.9, coverage=0.85, n=40).fails, IntervalCoverage(level=0.9, coverage=0.6, n=40).fails
    (False, True)
    """

    level: float
    coverage: float
    n: int

    @property
    def fails(self) -> bool:
        """Whether so few would hardly happen (1 in 100) if the level were met."""
        return bool(stats.binom.cdf(round(self.coverage * self.n), self.n, self.level) < 0.01)


@dataclass(frozen=True)
class EvaluationMetrics(Scores):
    """Scores of a model on a set of images, and what they are of.

    Attributes
    ----------
    game
        GAME(1), GAME(2), ...: mean errors over patches, see :func:`dotcount.metrics.game`.
    interval
        How often intervals held; None if the model gives none.
    interval_by_subset
        The same for each of ``subsets`` that has images with an interval.
    void
        Why the interval's promise does not hold on these images, a sentence each; empty where nothing speaks against
        it.
    failed
        Images that could not be read; they take no part in the scores.
    split, recipe, model
        Part of the data (``all``), its format, name of the architecture.
    seconds
        Time it took.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = dotcount.open_collection(write_dataset("data", train=0, val=0, test=2, size=96))
    >>> metrics = dotcount.evaluate(dotcount.load("cells"), collection).metrics
    >>> metrics.counting.n, metrics.failed, metrics.split
    (2, 0, 'test')
    """

    game: tuple[float, ...]
    interval: IntervalCoverage | None
    interval_by_subset: Mapping[str, IntervalCoverage]
    void: tuple[str, ...]
    failed: int
    split: str
    recipe: str
    model: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        interval = {} if self.interval is None else {"interval": asdict(self.interval)}
        return (
            super().to_dict()
            | {"game": {f"{level}": value for level, value in enumerate(self.game, start=1)}}
            | interval
            | {"interval_by_subset": {name: asdict(one) for name, one in self.interval_by_subset.items()}}
            | {"void": list(self.void)}
            | {name: getattr(self, name) for name in ("failed", "split", "recipe", "model", "seconds")}
        )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of :func:`evaluate`.

    Attributes
    ----------
    metrics
        What ``metrics.json`` holds.
    rows
        One row per image in the order of the collection.
    worst, best
        Images with the largest and the smallest absolute count error.

    Examples
    --------
    >>> from pathlib import Path
    >>> import dotcount
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = dotcount.open_collection(write_dataset("data", train=0, val=0, test=2, size=96))
    >>> evaluation = dotcount.evaluate(dotcount.load("cells"), collection)
    >>> len(evaluation.rows), evaluation.metrics.counting.n
    (2, 2)
    >>> evaluation.save(Path("scores"))
    >>> sorted(path.name for path in Path("scores").iterdir())
    ['metrics.json', 'predictions.csv']
    """

    metrics: EvaluationMetrics
    rows: tuple[Row, ...]
    worst: tuple[Example, ...]
    best: tuple[Example, ...]

    @property
    def scored(self) -> list[Row]:
        """Return the rows that take part in the scores."""
        return [row for row in self.rows if row.error is None]

    @property
    def true(self) -> FloatArray:
        """Return (n,) annotated counts of the scored rows."""
        return np.array([row.true for row in self.scored], dtype=np.float64)

    @property
    def predicted(self) -> FloatArray:
        """Return (n,) predicted counts of the scored rows."""
        return np.array([row.count for row in self.scored], dtype=np.float64)

    def save(self, out: Path) -> None:
        """Write ``metrics.json`` and ``predictions.csv`` into the folder ``out``."""
        with CsvWriter(out / "predictions.csv", PREDICTION_COLUMNS) as sink:
            for row in self.rows:
                low, high = row.interval or (None, None)
                status = "error" if row.error else "ok"
                warning, familiarity = "; ".join(row.warnings), row.familiarity
                values = (row.name, row.true, row.count, low, high, row.difference, row.points, status, row.error)
                sink.write(*values, warning, None if familiarity is None else round(familiarity, 3))
        write_text(out / "metrics.json", json.dumps(self.metrics.to_dict(), indent=2, allow_nan=False) + "\n")
