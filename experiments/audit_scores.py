"""Scores of suspicions against faults that are known, beside two simple baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from dotcount.audit import Suspicion
from dotcount.inference import Prediction
from dotcount.points import BoolArray, FloatArray
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


@dataclass(frozen=True)
class Ranking:
    """Suspicions from the strongest to the weakest: the image, whether it is right, whether it hits what was sought."""

    images: tuple[str, ...]
    right: BoolArray
    hits: BoolArray
    sought: Mapping[str, int]  # number of faults by image

    def scores(self) -> dict[str, float | None]:
        """Return precision and recall along the ranking."""
        return curve(self.right, self.hits, sum(self.sought.values()))

    def spread(self, names: Sequence[str], draws: int = 500) -> dict[str, list[float]]:
        """Return 95 % intervals over images, which are drawn with replacement."""
        rng, place = np.random.default_rng(0), {name: k for k, name in enumerate(names)}
        row = np.array([place[name] for name in self.images], dtype=int)
        sought = np.array([self.sought.get(name, 0) for name in names])
        keys = ("recall_at_precision_0.5", "average_precision")
        found = []
        for _ in range(draws):
            times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
            again = np.repeat(np.arange(len(row)), times[row])
            result = curve(self.right[again], self.hits[again], int((times * sought).sum()))
            found.append([result[key] for key in keys])
        low, high = np.percentile(np.array(found, dtype=float), (2.5, 97.5), axis=0).round(3)
        return {key: [float(low[k]), float(high[k])] for k, key in enumerate(keys)}


def rank(
    found: Sequence[Scored], faults: Sequence[tuple[str, Wrong]], kind: str, within: Mapping[str, float]
) -> Ranking:
    """Compare suspicions with faults (kind, place).

    A suspicion is right if a fault of any kind is within reach of it and was not named by a stronger one; the nearest.
    Those of one kind are sought: others that are found are right, but not asked for.
    """
    left: dict[str, list[tuple[str, Place]]] = {}
    for what, (name, place) in faults:
        left.setdefault(name, []).append((what, place))
    ordered = sorted(found, key=lambda s: -s[2])
    right, hits = np.zeros(len(ordered), bool), np.zeros(len(ordered), bool)
    for k, (name, place, _) in enumerate(ordered):
        near = [(float(np.hypot(place[0] - x, place[1] - y)), what, (x, y)) for what, (x, y) in left.get(name, [])]
        gap, what, other = min(near, default=(np.inf, "", (0.0, 0.0)))
        if gap <= within[name]:
            left[name].remove((what, other))
            right[k], hits[k] = True, what == kind
    return Ranking(tuple(s[0] for s in ordered), right, hits, Counter(w[0] for what, w in faults if what == kind))


def curve(right: BoolArray, hits: BoolArray, sought: int) -> dict[str, float | None]:
    """Return what precision (of all that is right) and recall (of what is sought) come to along a ranking."""
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    recall = np.cumsum(hits) / max(1, sought)
    at_half, enough = recall[precision >= 0.5], precision[recall >= 0.8]
    return {
        "suspicions": len(right),
        "sought": sought,
        "recall_at_precision_0.5": round(float(at_half.max()), 4) if at_half.size else 0.0,
        "precision_at_recall_0.8": round(float(enough.max()), 4) if enough.size else None,
        "recall_of_all": round(float(recall[-1]), 4) if recall.size else 0.0,
        "precision_of_all": round(float(precision[-1]), 4) if precision.size else None,
        "average_precision": round(float(precision[hits].sum() / max(1, sought)), 4),
    }


def rankings(
    without_dot: Sequence[Scored],
    without_object: Sequence[Scored],
    faults: Sequence[Fault],
    within: Mapping[str, float],
) -> dict[str, Ranking]:
    """Return the rankings for removed, added and moved dots."""
    gone = [(f.kind, (f.image, f.before)) for f in faults if f.before is not None]
    there = [(f.kind, (f.image, f.after)) for f in faults if f.after is not None]
    return {
        "removed": rank(without_dot, gone, "removed", within),
        "moved, from": rank(without_dot, gone, "moved", within),
        "added": rank(without_object, there, "added", within),
        "moved, to": rank(without_object, there, "moved", within),
    }


def _pair(xy: FloatArray) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])
