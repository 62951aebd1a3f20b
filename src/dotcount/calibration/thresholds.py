"""The least mass of a point, chosen on held-out images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError
from dotcount.inference.peaks import DEFAULT_THRESHOLD, find_peaks
from dotcount.metrics.matching import THRESHOLDS, GreedyScorer
from dotcount.points import FloatArray


@dataclass(frozen=True)
class ThresholdChoice:
    """The peak threshold with the best F on validation, and what every candidate scored.

    Attributes
    ----------
    threshold, f
        The choice and its F.
    candidates, f_by_candidate
        (k,) each.

    Examples
    --------
    >>> choice = choose_threshold([[[0.0, 0.7, 0.0]]], [[[6.0, 2.0]]], stride=4, candidates=[0.5, 0.9])
    >>> choice.threshold, choice.f_by_candidate.tolist()
    (0.5, [1.0, 0.0])
    """

    threshold: float
    f: float
    candidates: FloatArray
    f_by_candidate: FloatArray


def choose_threshold(
    densities: Iterable[npt.ArrayLike],
    points: Iterable[npt.ArrayLike],
    stride: float,
    *,
    sigma: float | None = None,
    candidates: npt.ArrayLike | None = None,
    method: str = "mass",
    radius: int = 1,
) -> ThresholdChoice:
    """Choose the peak threshold that maximises F on validation images.

    Parameters
    ----------
    densities, points
        (h, w) maps and (m, 2) dots (px), one of each per image; may be generators.
    stride
        Side of a cell, px.
    sigma
        Score by the greedy matching within this distance, px; by default by the paper's F over 1, ..., 100 px.
    candidates
        Thresholds to try, objects; by default 0.1, 0.15, ..., 1. Of equally good ones the nearest to half an object is
        chosen, so that an easy validation set does not push it to an end.
    method, radius
        As in :func:`find_peaks`.

    Examples
    --------
    >>> choose_threshold([[[0.0, 0.7, 0.0]]], [[[6.0, 2.0]]], stride=4, candidates=[0.5, 0.9]).threshold
    0.5
    """
    levels = np.arange(2, 21) / 20 if candidates is None else np.unique(np.asarray(candidates, dtype=np.float64))
    if not levels.size:
        raise InputError("candidates is empty: give at least one threshold to try")
    distances = THRESHOLDS if sigma is None else (sigma,)
    scorers = [GreedyScorer(distances) for _ in levels]
    for density, dots in zip(densities, points, strict=True):
        xy, scores = find_peaks(density, stride, float(levels[0]), method=method, radius=radius)
        kept, alone = -1, GreedyScorer(distances)
        for level, scorer in zip(levels, scorers):
            if (count := int((scores >= level).sum())) != kept:  # otherwise the same points: match them once
                kept, alone = count, GreedyScorer(distances)
                alone.update(xy[:count], dots)
            scorer.merge(alone)
    if not scorers[0].n_images:
        raise InputError("densities is empty: a threshold is chosen on at least one validation image")
    values = np.array([scorer.compute().f for scorer in scorers])
    equal = np.flatnonzero(values >= values.max() - 1e-12)
    best = int(equal[np.abs(levels[equal] - DEFAULT_THRESHOLD).argmin()])
    return ThresholdChoice(float(levels[best]), float(values[best]), levels, values)
