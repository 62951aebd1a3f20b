"""A predictor against annotated images: scores, one row an image, and the pictures worth looking at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dotcount.data import Collection, Record
from dotcount.errors import DataError
from dotcount.evaluation.promises import by_familiarity, coverage, coverage_by_subset, void_promises
from dotcount.evaluation.reading import CountedImage, SetCounter
from dotcount.evaluation.results import Evaluation, EvaluationMetrics, Example, Row
from dotcount.inference.counter import ImageCounter
from dotcount.inference.result import Prediction
from dotcount.metrics import (
    GreedyScorer,
    Localization,
    ObjectRadiusResult,
    OptimalScorer,
    by_count,
    by_count_quantile,
    by_label,
    game,
    metrics_summary,
    object_radii,
)
from dotcount.metrics.subsets import Grouping
from dotcount.points import Points

SIGMAS = (4.0, 8.0, 16.0)
"""Distances, px, at which the optimal matching is reported beside the paper's greedy one."""

THUMBNAILS = 1000
"""Images, the first of a set, of which a small picture is kept."""

_PUBLISHED_BINS = {"jhu_crowd": "jhu", "nwpu": "nwpu"}
"""Benchmarks whose published figures are split by the true count, and the name of the bins."""


@dataclass
class _Gallery:
    """Keeps the examples with the largest and the smallest error without keeping all maps in memory."""

    size: int
    worst: list[Example] = field(default_factory=list)
    best: list[Example] = field(default_factory=list)

    def add(self, record: Record, points: Points, radius: float, counted: CountedImage) -> None:
        assert counted.prediction is not None
        error = abs(counted.prediction.count - len(points))
        full = self.size <= len(self.worst)
        if full and not (self.size and (error > _error(self.worst[-1]) or error < _error(self.best[-1]))):
            return
        example = Example(record, points, counted.prediction, radius, counted.shown())
        self.worst = sorted([*self.worst, example], key=lambda e: -_error(e))[: self.size]
        self.best = sorted([*self.best, example], key=_error)[: self.size]


def _error(example: Example) -> float:
    return abs(example.difference)


def select_split(collection: Collection, split: str | None) -> Collection:
    """Return the annotated part of a split.

    ``None`` takes all records; so does the default split ``test`` of a collection that knows no splits.

    Raises
    ------
    DataError
        If the split does not exist or holds no annotated image.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("data", train=3, val=0, test=2, size=64))
    >>> len(select_split(collection, "test")), len(select_split(collection, None))
    (2, 5)
    """
    chosen = collection
    if split is not None and (collection.splits or split != "test"):
        chosen = collection.split(split)
    records = [record for record in chosen.records if record.points is not None or record.error is not None]
    if not any(record.error is None for record in records):
        reason = chosen.errors()[0].error if chosen.errors() else "none carries dots"
        raise DataError(f"{collection.root} has no image to evaluate on: {reason}")
    return chosen.where(records)


def evaluate(
    predictor: ImageCounter,
    collection: Collection,
    split: str | None = "test",
    *,
    examples: int = 4,
    progress: Callable[[int, int], None] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Predict every annotated image of a split and score counts and points.

    Parameters
    ----------
    predictor
        See :func:`dotcount.load`.
    collection
        See :func:`dotcount.data.open_collection`.
    split
        Name of the split, see :func:`select_split`.
    examples
        How many of the worst and how many of the best images to keep for pictures.
    progress
        Called with (images done, images in all).
    seed
        Of the bootstrap intervals.

    Returns
    -------
    Evaluation
        Distances of points are px of the original images. An image that can't be read is a row with its error, is
        counted in ``metrics.failed`` and takes no part in the scores.

    Raises
    ------
    DataError
        If there is no such split, or no image of it could be evaluated.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = dotcount.open_collection(write_dataset("data", train=0, val=0, test=2, size=96))
    >>> evaluate(dotcount.load("cells"), collection, split="test").metrics.counting.n
    2
    """
    started = time.perf_counter()
    chosen = select_split(collection, split)
    greedy, optimal, patches = GreedyScorer(), {sigma: OptimalScorer() for sigma in SIGMAS}, []
    objects, radii = OptimalScorer(), _object_radii(predictor, chosen)
    gallery, rows, records = _Gallery(examples), list[Row](), list[Record]()
    reader = SetCounter(predictor, chosen)
    for done, record in enumerate(chosen.records, start=1):
        counted = reader.count(record)
        prediction = counted.prediction
        rows.append(_row(record, counted, len(rows) < THUMBNAILS))
        if prediction is not None and record.points is not None:
            records.append(record)
            greedy.update(prediction.points, record.points.xy)
            for sigma, scorer in optimal.items():
                scorer.update(prediction.points, record.points.xy, sigma)
            objects.update(prediction.points, record.points.xy, radii[record.name])
            patches.append(_patch_errors(predictor, prediction, record.points))
            gallery.add(record, record.points, radii[record.name], counted)
        if progress is not None:
            progress(done, len(chosen.records))
    if not records:
        raise DataError(f"none of {len(rows)} images of {collection.root} could be read; the first: {rows[0].error}")
    scored = [row for row in rows if row.error is None]
    true = np.array([row.true for row in scored], dtype=np.float64)
    groupings: dict[str, Grouping] = {"count": by_count_quantile(true)} if len(scored) >= 8 else {}
    groupings |= by_familiarity(scored)
    if collection.format in _PUBLISHED_BINS:
        groupings[f"count, {collection.format}"] = by_count(true, _PUBLISHED_BINS[collection.format])
    groupings |= _label_groups(records)
    interval = coverage(predictor.interval, scored)
    scores = metrics_summary(
        np.array([row.count for row in scored], dtype=np.float64),
        true,
        training_mean=_training_mean(predictor),
        groupings=groupings,
        localization=Localization(
            greedy.compute(),
            {f"sigma {sigma:g} px": scorer.compute() for sigma, scorer in optimal.items()},
            ObjectRadiusResult(float(np.median(list(radii.values()))), objects.compute()),
        ),
        seed=seed,
    )
    metrics = EvaluationMetrics(
        **vars(scores),
        game=tuple(float(value) for value in np.mean(patches, axis=0)),
        interval=interval,
        interval_by_subset=coverage_by_subset(predictor.interval, scored, groupings),
        void=void_promises(interval, scored, sum(map(reader.learned, records))),
        failed=len(rows) - len(scored),
        split=split or "all",
        recipe=collection.format,
        model=predictor.name,
        seconds=round(time.perf_counter() - started, 3),
    )
    return Evaluation(metrics, tuple(rows), tuple(gallery.worst), tuple(gallery.best))


def _object_radii(predictor: ImageCounter, chosen: Collection) -> dict[str, float]:
    """Return an object's radius, px, in each image with dots; no less than a cell, within which no model can place."""
    records = [record for record in chosen.records if record.points is not None]
    xy = [record.points.xy for record in records if record.points is not None]
    return dict(zip((record.name for record in records), object_radii(xy, predictor.stride).tolist()))


def _training_mean(predictor: ImageCounter) -> float | None:
    """Return the mean count of the images that a model was trained on; None if unknown."""
    training = predictor.metadata.training
    return training.mean_count if training is not None else None


def _row(record: Record, counted: CountedImage, pictured: bool) -> Row:
    prediction = counted.prediction
    if prediction is None:
        return Row(record.name, record.count, None, None, None, counted.error)
    return Row(
        record.name,
        record.count,
        prediction.count,
        prediction.interval,
        len(prediction.points),
        familiarity=prediction.familiarity,
        warnings=prediction.warnings,
        thumbnail=counted.thumbnail() if pictured else None,
    )


def _patch_errors(predictor: ImageCounter, prediction: Prediction, points: Points) -> list[float]:
    """GAME(1) to GAME(3), on the grid of the model: where the image was resized, the dots go along."""
    size = prediction.width / prediction.stride[0], prediction.height / prediction.stride[1]
    width, height = (max(1, round(predictor.stride * cells)) for cells in size)
    xy = points.resize(width, height).xy
    return [
        game(prediction.density, xy, stride=predictor.stride, height=height, width=width, level=level)
        for level in (1, 2, 3)
    ]


def _label_groups(records: list[Record]) -> dict[str, Grouping]:
    """Group by each label that has 2 to 20 values; more are names rather than kinds."""
    keys = sorted({key for record in records for key in record.labels})
    columns = {key: [record.labels.get(key) for record in records] for key in keys}
    return {key: dict(by_label(column)) for key, column in columns.items() if 2 <= len(set(column) - {None}) <= 20}
