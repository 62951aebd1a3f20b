"""Localisation: predicted points against dots, by two matchings that differ and are both in use.

*Greedy* (the UOT paper, section 4.3): take pairs from the nearest on, each point and dot at most once. A pair counts at
a threshold t when its distance is <= t. Because pairs are taken in the order of distance, the matching for t is the
first part of the matching for any larger threshold: one pass gives all thresholds.

*Optimal* (NWPU-Crowd and others): the largest one-to-one matching of pairs within sigma, which may be a number of
pixels or one per dot (from head boxes). It never matches fewer than the greedy one.

True positives, false positives and false negatives are integers summed over images, so scorers filled in different
processes merge to the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree

from dotcount.errors import InputError
from dotcount.metrics._check import as_xy
from dotcount.points import FloatArray, IntArray

THRESHOLDS = tuple(range(1, 101))
"""The paper's distance thresholds, px."""


def near_pairs(predicted: FloatArray, points: FloatArray, radius: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Return (prediction, dot, squared distance) of all pairs with distance <= ``radius``, in no particular order."""
    if not len(predicted) or not len(points):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    # The tree compares rounded distances; ask for a hair more and decide here, so that ties at the radius are exact.
    found = KDTree(predicted).sparse_distance_matrix(KDTree(points), radius * (1 + 1e-9), output_type="ndarray")
    guess, dot = found["i"].astype(np.int64), found["j"].astype(np.int64)
    squared = np.square(predicted[guess] - points[dot]).sum(axis=1)
    near = squared <= radius * radius
    return guess[near], dot[near], squared[near]


def greedy_match(
    predicted: npt.ArrayLike, points: npt.ArrayLike, radius: float = 100.0
) -> tuple[IntArray, IntArray, FloatArray]:
    """Match one to one from the nearest pair on; equal distances go by dot, then by prediction.

    Parameters
    ----------
    predicted, points
        (n, 2) and (m, 2) coordinates, px.
    radius
        Pairs farther apart are never matched, px.

    Returns
    -------
    tuple
        Index of the prediction, index of the dot and distance (px) of each matched pair, nearest first.

    Examples
    --------
    >>> guess, dot, distance = greedy_match([[0.0, 0.0], [9.0, 0.0]], [[1.0, 0.0], [50.0, 0.0]], radius=10)
    >>> guess.tolist(), dot.tolist(), distance.tolist()
    ([0], [0], [1.0])
    """
    guess_xy, dot_xy = as_xy(predicted, "predicted"), as_xy(points, "points")
    guess, dot, squared = near_pairs(guess_xy, dot_xy, radius)
    order = np.lexsort((guess, dot, squared))
    free_guess, free_dot = [True] * len(guess_xy), [True] * len(dot_xy)
    left = min(len(guess_xy), len(dot_xy))
    taken: list[int] = []
    # Greedy is sequential by nature; the pass is linear in the pairs and serves all thresholds at once.
    for position, g, d in zip(order.tolist(), guess[order].tolist(), dot[order].tolist()):
        if free_guess[g] and free_dot[d]:
            free_guess[g] = free_dot[d] = False
            taken.append(position)
            if len(taken) == left:
                break
    return guess[taken], dot[taken], np.sqrt(squared[taken])


def optimal_match(
    predicted: npt.ArrayLike, points: npt.ArrayLike, sigma: float | npt.ArrayLike
) -> tuple[IntArray, IntArray]:
    """Return a largest one-to-one matching of pairs within ``sigma`` (Hopcroft-Karp), as prediction and dot indices.

    Only the size of the matching is unique; which of several largest ones is returned is not specified.

    Parameters
    ----------
    predicted, points
        (n, 2) and (m, 2) coordinates, px.
    sigma
        Greatest distance of a match, px: one number, or (m,), one per dot.

    Examples
    --------
    >>> guess, dot = optimal_match([[0.0, 0.0], [4.0, 0.0]], [[1.0, 0.0], [-4.0, 0.0]], sigma=5.0)
    >>> sorted(zip(guess.tolist(), dot.tolist()))
    [(0, 1), (1, 0)]
    """
    guess_xy, dot_xy = as_xy(predicted, "predicted"), as_xy(points, "points")
    reach = _as_sigma(sigma, len(dot_xy))
    guess, dot, squared = near_pairs(guess_xy, dot_xy, float(reach.max(initial=0)))
    near = squared <= np.square(reach[dot])
    guess, dot = guess[near], dot[near]
    if not guess.size:
        return guess, dot
    graph = csr_array((np.ones(guess.size, np.int8), (guess, dot)), shape=(len(guess_xy), len(dot_xy)))
    partner = maximum_bipartite_matching(graph, perm_type="column").astype(np.int64)
    matched = np.flatnonzero(partner >= 0)
    return matched, partner[matched]


def _as_sigma(sigma: float | npt.ArrayLike, count: int) -> FloatArray:
    reach = np.asarray(sigma, dtype=np.float64)
    if reach.ndim > 1 or (reach.ndim == 1 and reach.size != count):
        raise InputError(f"sigma must be one number or one per dot ({count}); got shape {reach.shape}")
    if not np.isfinite(reach).all() or (reach < 0).any():
        raise InputError("sigma must be finite and not negative, in px")
    return np.broadcast_to(reach, (count,))


def object_radii(points: Sequence[FloatArray], least: float) -> FloatArray:
    """Return (B,) an object's radius in each of B images, px: half the median distance of a dot to the nearest other.

    Dots say nothing of the size of what they mark; where objects touch, half their distance is their radius, and where
    they lie apart it is the distance at which a point is still nearer to its own dot than to the next.

    Parameters
    ----------
    points
        B arrays (m_b, 2), px. An image with less than two dots takes the median of the others.
    least
        Smallest radius, px; also that of a set in which no image has two dots.

    Examples
    --------
    >>> import numpy as np
    >>> object_radii([np.array([[0.0, 0.0], [10.0, 0.0]]), np.zeros((0, 2))], least=2.0).tolist()
    [5.0, 5.0]
    """
    radii = np.full(len(points), np.nan)
    for k, xy in enumerate(points):
        if len(xy) > 1:
            radii[k] = np.median(KDTree(xy).query(xy, k=2)[0][:, 1]) / 2
    known = radii[np.isfinite(radii)]
    radii[~np.isfinite(radii)] = np.median(known) if known.size else least
    return np.maximum(radii, least)


def sigma_from_boxes(widths: npt.ArrayLike, heights: npt.ArrayLike, kind: str = "large") -> FloatArray:
    """Return (m,) sigma, px, from head boxes as NWPU-Crowd defines it (Wang et al. 2020, section 4).

    ``"small"``: ``min(w, h) / 2``; ``"large"``: ``sqrt(w^2 + h^2) / 2``.

    Examples
    --------
    >>> sigma_from_boxes([6.0], [8.0]).tolist(), sigma_from_boxes([6.0], [8.0], "small").tolist()
    ([5.0], [3.0])
    """
    w, h = np.asarray(widths, dtype=np.float64), np.asarray(heights, dtype=np.float64)
    if kind == "small":
        return np.minimum(w, h) / 2
    if kind == "large":
        return np.hypot(w, h) / 2
    raise InputError(f"kind must be 'small' or 'large'; got {kind!r}")


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> FloatArray:
    """Return part / whole with 0 where there is nothing to divide."""
    top, bottom = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom > 0)


def harmonic(precision: float, recall: float) -> float:
    """Return ``2 p r / (p + r)``, and 0 when both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


@dataclass(frozen=True)
class GreedyResult:
    """Greedy matching over thresholds: curves (t,), and their means.

    Attributes
    ----------
    thresholds, precision, recall
        (t,) each; thresholds in px. A set with no predictions and no dots at all scores 1.
    ap, ar
        Mean of ``precision`` and of ``recall`` over the thresholds.
    f
        Harmonic mean of ``ap`` and ``ar``.

    Examples
    --------
    >>> scorer = GreedyScorer(thresholds=(1, 5))
    >>> scorer.update([[0.0, 0.0]], [[3.0, 0.0]])
    >>> scorer.compute().recall.tolist()
    [0.0, 1.0]
    """

    thresholds: FloatArray
    precision: FloatArray
    recall: FloatArray
    ap: float
    ar: float
    f: float

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            "ap": self.ap,
            "ar": self.ar,
            "f": self.f,
            "thresholds": self.thresholds.tolist(),
            "precision": self.precision.tolist(),
            "recall": self.recall.tolist(),
        }


class GreedyScorer:
    """Accumulate the greedy matching over images.

    Parameters
    ----------
    thresholds
        Increasing distances, px; by default the paper's 1, 2, ..., 100.

    Examples
    --------
    >>> scorer = GreedyScorer()
    >>> scorer.update(predicted=[[0.0, 0.0], [90.0, 0.0]], points=[[10.0, 0.0]])
    >>> result = scorer.compute()
    >>> round(result.ap, 3), round(result.ar, 3)
    (0.455, 0.91)
    """

    def __init__(self, thresholds: Sequence[float] = THRESHOLDS) -> None:
        self.thresholds = np.asarray(thresholds, dtype=np.float64)
        if not self.thresholds.size or (np.diff(self.thresholds) <= 0).any() or not (self.thresholds >= 0).all():
            raise InputError(f"thresholds must be increasing distances in px, at least one; got {thresholds}")
        self.true_positives = np.zeros(self.thresholds.size, np.int64)
        self.n_predicted = self.n_points = self.n_images = 0

    def update(self, predicted: npt.ArrayLike, points: npt.ArrayLike) -> None:
        """Add one image: (n, 2) predictions and (m, 2) dots, px."""
        guess_xy, dot_xy = as_xy(predicted, "predicted"), as_xy(points, "points")
        guess, dot, _ = greedy_match(guess_xy, dot_xy, float(self.thresholds[-1]))
        squared = np.square(guess_xy[guess] - dot_xy[dot]).sum(axis=1)  # ascending, and exact on integer coordinates
        self.true_positives += np.searchsorted(squared, np.square(self.thresholds), side="right")
        self.n_predicted += len(guess_xy)
        self.n_points += len(dot_xy)
        self.n_images += 1

    def merge(self, other: GreedyScorer) -> None:
        """Add what another scorer with the same thresholds has seen."""
        if not np.array_equal(self.thresholds, other.thresholds):
            raise InputError("scorers with different thresholds can't be merged")
        self.true_positives += other.true_positives
        self.n_predicted += other.n_predicted
        self.n_points += other.n_points
        self.n_images += other.n_images

    def compute(self) -> GreedyResult:
        """Return the curves and means over all images so far."""
        if not self.n_predicted and not self.n_points:
            precision = recall = np.ones(self.thresholds.size)
        else:
            precision = _ratio(self.true_positives, self.n_predicted)
            recall = _ratio(self.true_positives, self.n_points)
        ap, ar = float(precision.mean()), float(recall.mean())
        return GreedyResult(self.thresholds, precision, recall, ap, ar, harmonic(ap, ar))


@dataclass(frozen=True)
class OptimalResult:
    """Optimal matching within sigma: counts summed over images, and their ratios.

    Examples
    --------
    >>> scorer = OptimalScorer()
    >>> scorer.update([[0.0, 0.0], [90.0, 0.0]], [[3.0, 0.0]], sigma=8.0)
    >>> scorer.compute().to_dict()["fp"]
    1
    """

    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f: float

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return dict(vars(self))


class OptimalScorer:
    """Accumulate the optimal matching within sigma over images.

    Examples
    --------
    >>> scorer = OptimalScorer()
    >>> scorer.update(predicted=[[0.0, 0.0], [90.0, 0.0]], points=[[3.0, 0.0]], sigma=8.0)
    >>> result = scorer.compute()
    >>> result.precision, result.recall
    (0.5, 1.0)
    """

    def __init__(self) -> None:
        self.tp = self.fp = self.fn = self.n_images = 0

    def update(self, predicted: npt.ArrayLike, points: npt.ArrayLike, sigma: float | npt.ArrayLike) -> None:
        """Add one image; ``sigma`` (px) is one number or one per dot."""
        guess_xy, dot_xy = as_xy(predicted, "predicted"), as_xy(points, "points")
        matched = len(optimal_match(guess_xy, dot_xy, sigma)[0])
        self.tp += matched
        self.fp += len(guess_xy) - matched
        self.fn += len(dot_xy) - matched
        self.n_images += 1

    def merge(self, other: OptimalScorer) -> None:
        """Add what another scorer has seen."""
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn
        self.n_images += other.n_images

    def compute(self) -> OptimalResult:
        """Return counts and ratios over all images so far; no predictions and no dots at all score 1."""
        nothing = not (self.tp + self.fp + self.fn)
        precision = 1.0 if nothing else float(_ratio(self.tp, self.tp + self.fp))
        recall = 1.0 if nothing else float(_ratio(self.tp, self.tp + self.fn))
        return OptimalResult(self.tp, self.fp, self.fn, precision, recall, harmonic(precision, recall))
