"""Scores of suspicions against faults that are known, beside two simple baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from dotcount.audit import Suspicion
from dotcount.inference import Prediction
from dotcount.points import FloatArray
from experiments.audit_faults import Fault

Place = tuple[float, float]
Scored = tuple[str, Place, float]  # image, place, score
Wrong = tuple[str, Place]


def places_without_dot(found: Iterable[Suspicion]) -> list[Scored]:
    """Return where suspicions say that an object has no dot: missing ones, and where misplaced ones should be."""
    places = [(s, s.place if s.kind == "missing" else s.target) for s in found if s.kind in ("missing", "misplaced")]
    return [(s.image, place, s.score) for s, place in places if place is not None]


def dots_without_object(found: Iterable[Suspicion]) -> list[Scored]:
    """Return which dots suspicions say should not be where they are."""
    kinds = ("spurious", "misplaced", "doubled")
    return [(s.image, s.place, s.score) for s in found if s.kind in kinds and s.place is not None]


def nearest_peak(
    predictions: Mapping[str, Prediction], dots: Mapping[str, FloatArray], within: Mapping[str, float]
) -> tuple[list[Scored], list[Scored]]:
    """Return the simple rule: peaks that no dot is near, by their mass, and dots that no peak is near, by distance.

    Peaks and dots are matched one to one, nearest first as far as possible, up to the given distance.
    """
    without_dot: list[Scored] = []
    without_object: list[Scored] = []
    for name, prediction in predictions.items():
        peaks, xy = prediction.points, dots[name]
        free_peak, free_dot = np.ones(len(peaks), bool), np.ones(len(xy), bool)
        if len(peaks) and len(xy):
            gaps = np.linalg.norm(peaks[:, None] - xy, axis=2)
            rows, columns = linear_sum_assignment(np.minimum(gaps, 2 * within[name]))
            near = gaps[rows, columns] <= within[name]
            free_peak[rows[near]], free_dot[columns[near]] = False, False
        nearest = gaps.min(0) if len(peaks) and len(xy) else np.full(len(xy), np.inf)
        without_dot += [(name, _pair(peaks[k]), float(prediction.scores[k])) for k in np.flatnonzero(free_peak)]
        without_object += [(name, _pair(xy[k]), float(nearest[k])) for k in np.flatnonzero(free_dot)]
    return without_dot, without_object


def count_residuals(
    predictions: Mapping[str, Prediction], dots: Mapping[str, FloatArray]
) -> tuple[list[Scored], list[Scored]]:
    """Return the rule that knows counts only: every peak of an image by how many dots it lacks, every dot by the rest.

    An image with more predicted objects than dots lacks dots; which ones, the residual does not say, so that its peaks
    all have its score.
    """
    without_dot: list[Scored] = []
    without_object: list[Scored] = []
    for name, prediction in predictions.items():
        residual = prediction.count - len(dots[name])
        if residual > 0:
            without_dot += [(name, _pair(p), residual / max(1, len(prediction.points))) for p in prediction.points]
        else:
            without_object += [(name, _pair(p), -residual / max(1, len(dots[name]))) for p in dots[name]]
    return without_dot, without_object


def scored(
    found: Sequence[Scored],
    wrong: Sequence[Wrong],
    sought: set[int],
    within: Mapping[str, float],
) -> dict[str, float | None]:
    """Return precision and recall along the ranking.

    A suspicion is right if one of the places in ``wrong`` is within reach of it and was not named before; nearest
    first. Recall is over the indices ``sought`` of ``wrong``: others that are found are right, but not asked for.
    """
    by_image: dict[str, list[int]] = {}
    for k, (name, _) in enumerate(wrong):
        by_image.setdefault(name, []).append(k)
    open_ = {name: set(rows) for name, rows in by_image.items()}
    right, hits = [], []
    for name, place, _ in sorted(found, key=lambda s: -s[2]):
        near = [(float(np.hypot(*np.subtract(place, wrong[k][1]))), k) for k in open_.get(name, ())]
        gap, k = min(near, default=(np.inf, -1))
        good = gap <= within[name]
        if good:
            open_[name].discard(k)
        right.append(good)
        hits.append(good and k in sought)
    n = np.arange(1, len(right) + 1)
    precision, recall = np.cumsum(right) / n, np.cumsum(hits) / max(1, len(sought))
    at_half = recall[precision >= 0.5]
    enough = precision[recall >= 0.8]
    return {
        "suspicions": len(found),
        "sought": len(sought),
        "recall_at_precision_0.5": round(float(at_half.max()), 4) if at_half.size else 0.0,
        "precision_at_recall_0.8": round(float(enough.max()), 4) if enough.size else None,
        "recall_of_all": round(float(recall[-1]), 4) if recall.size else 0.0,
        "precision_of_all": round(float(precision[-1]), 4) if precision.size else None,
        "average_precision": round(_average_precision(np.array(hits, bool), np.array(right, bool), len(sought)), 4),
    }


def _average_precision(hits: np.ndarray, right: np.ndarray, sought: int) -> float:
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float(precision[hits].sum() / max(1, sought)) if len(hits) else 0.0


def evaluated(
    without_dot: Sequence[Scored],
    without_object: Sequence[Scored],
    faults: Sequence[Fault],
    within: Mapping[str, float],
) -> dict[str, dict[str, float | None]]:
    """Return the scores for removed, added and moved dots."""
    gone = [(f.kind, (f.image, f.before)) for f in faults if f.before is not None]
    there = [(f.kind, (f.image, f.after)) for f in faults if f.after is not None]
    rows = {
        "removed": (without_dot, gone, "removed"),
        "moved, from": (without_dot, gone, "moved"),
        "added": (without_object, there, "added"),
        "moved, to": (without_object, there, "moved"),
    }
    return {
        name: scored(found, [w for _, w in wrong], {k for k, (kind, _) in enumerate(wrong) if kind == asked}, within)
        for name, (found, wrong, asked) in rows.items()
    }


def _pair(xy: FloatArray) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])
