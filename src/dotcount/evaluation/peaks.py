"""From a density map to points: local maxima, scored by the mass around them.

Maps trained by optimal transport are sharp: an object's unit of mass lies in one cell or a few neighbours. A plain
maximum of the map would split an object whose mass straddles two cells, and a sum over 3 x 3 cells would merge objects
two cells apart. So maxima are sought in the map smoothed by the binomial kernel (1 2 1) x (1 2 1) / 4, which keeps both
apart, and a peak is scored by the mass of its 3 x 3 cells; where windows overlap, a cell is shared in proportion to the
peaks' smoothed values, so that no mass counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dotcount.errors import InputError
from dotcount.evaluation._check import as_density
from dotcount.evaluation.matching import GreedyScorer
from dotcount.points import BoolArray, FloatArray

DEFAULT_THRESHOLD = 0.5
"""Least mass of a peak, objects; half an object. A better one is chosen on validation by :func:`choose_threshold`."""

_FLOOR = 1e-3  # smoothed values below this many objects are no candidates: numerical dust of a softplus or ReLU head
_BINOMIAL = np.array([0.5, 1.0, 0.5])


def _smooth(cells: FloatArray) -> FloatArray:
    once = ndimage.correlate1d(cells, _BINOMIAL, axis=0, mode="constant")
    return ndimage.correlate1d(once, _BINOMIAL, axis=1, mode="constant")


def _window_sum(cells: FloatArray, radius: int = 1) -> FloatArray:
    ones = np.ones(2 * radius + 1)
    return ndimage.correlate1d(ndimage.correlate1d(cells, ones, axis=0, mode="constant"), ones, axis=1, mode="constant")


def _local_maxima(smoothed: FloatArray, cells: FloatArray, radius: int) -> BoolArray:
    """Return (h, w) whether a cell comes first in its window, by smoothed value, then value, then reading order.

    The order is strict, so a plateau has one maximum, not none and not many; the map's border is like any other place.
    """
    order = np.lexsort((np.arange(cells.size), -cells.ravel(), -smoothed.ravel()))
    flat = np.empty(cells.size, np.int64)
    flat[order] = np.arange(cells.size, 0, -1)
    rank = flat.reshape(cells.shape)
    best = ndimage.maximum_filter(rank, size=2 * radius + 1, mode="constant", cval=0)
    return (rank == best) & (smoothed > _FLOOR)


def find_peaks(
    density: npt.ArrayLike,
    stride: float,
    threshold: float = DEFAULT_THRESHOLD,
    *,
    radius: int = 1,
    image_size: tuple[int, int] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Locate objects in a density map by non-maximum suppression with sub-cell refinement.

    Parameters
    ----------
    density
        (h, w) expected number of objects by cell, finite and >= 0.
    stride
        Side of a cell, px.
    threshold
        Least score of a peak, objects.
    radius
        A peak is the maximum of ``(2 radius + 1)^2`` cells.
    image_size
        (height, width) of the image, px; cells with their centre outside are padding, and points are kept inside.

    Returns
    -------
    xy : (n, 2)
        Points, px, in the order of decreasing score: the centre of mass of each peak's 3 x 3 cells.
    scores : (n,)
        Mass of those cells, objects.

    Raises
    ------
    InputError
        If the map is not two-dimensional, not finite or negative, or stride or radius is not positive.
    """
    cells = as_density(density, stride)
    if radius < 1:
        raise InputError(f"radius must be at least 1 cell; got {radius}")
    if not cells.size:
        return np.zeros((0, 2)), np.zeros(0)
    y, x = (np.arange(n) + 0.5 for n in cells.shape)
    if image_size is not None:
        cells = np.where((y[:, None] * stride < image_size[0]) & (x * stride < image_size[1]), cells, 0.0)
    smoothed = _smooth(cells)
    peaks = _local_maxima(smoothed, cells, radius)
    strength = np.where(peaks, smoothed, 0.0)
    claimed = _window_sum(strength)
    share = np.divide(cells, claimed, out=np.zeros_like(cells), where=claimed > 0)
    row, column = np.nonzero(peaks)
    mass, mass_x, mass_y = (
        smoothed[row, column] * _window_sum(share * weight)[row, column] for weight in (1.0, x, y[:, None])
    )
    keep = np.flatnonzero((mass >= threshold) & (mass > 0))
    keep = keep[np.argsort(-mass[keep], kind="stable")]
    xy = np.stack([mass_x[keep], mass_y[keep]], axis=1) / mass[keep, None] * stride
    if image_size is not None:
        xy = np.minimum(xy, np.nextafter((image_size[1], image_size[0]), 0.0))
    return xy, mass[keep]


@dataclass(frozen=True)
class ThresholdChoice:
    """The peak threshold with the best F on validation, and what every candidate scored.

    Attributes
    ----------
    threshold, f
        The choice and its F.
    candidates, f_by_candidate
        (k,) each.
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
        Thresholds to try, objects; by default 0.05, 0.1, ..., 1. The lowest of equally good ones is chosen.
    radius
        As in :func:`find_peaks`.
    """
    levels = np.arange(1, 21) / 20 if candidates is None else np.unique(np.asarray(candidates, dtype=np.float64))
    if not levels.size:
        raise InputError("candidates is empty: give at least one threshold to try")
    scorers = [GreedyScorer() if sigma is None else GreedyScorer([sigma]) for _ in levels]
    for density, dots in zip(densities, points, strict=True):
        xy, scores = find_peaks(density, stride, float(levels[0]), radius=radius)
        for level, scorer in zip(levels, scorers):
            scorer.update(xy[scores >= level], dots)
    if not scorers[0].n_images:
        raise InputError("densities is empty: a threshold is chosen on at least one validation image")
    values = np.array([scorer.compute().f for scorer in scorers])
    best = int(values.argmax())
    return ThresholdChoice(float(levels[best]), float(values[best]), levels, values)
