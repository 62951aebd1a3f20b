"""Count errors over images, and the patch error GAME of one image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError
from dotcount.metadata import CountingMetrics
from dotcount.metrics._check import as_density, as_pair, as_xy
from dotcount.metrics.bootstrap import bootstrap_mean
from dotcount.points import FloatArray


def count_errors(predicted: npt.ArrayLike, true: npt.ArrayLike) -> tuple[float, float, float]:
    """Return MAE, RMSE and bias (mean of predicted - true) of counts (n,), n >= 1.

    >>> count_errors([12, 8], [10, 10])
    (2.0, 2.0, 0.0)
    """
    guess, truth = as_pair(predicted, true)
    error = guess - truth
    return float(np.abs(error).mean()), float(np.sqrt(np.square(error).mean())), float(error.mean())


def counting_metrics(
    predicted: npt.ArrayLike, true: npt.ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> CountingMetrics:
    """Score predicted counts (n,) against true counts (n,), n >= 1.

    Raises
    ------
    InputError
        If the lengths differ, there is no image, or a count is not finite.

    Examples
    --------
    >>> metrics = counting_metrics([12, 8], [10, 10])
    >>> metrics.mae, metrics.nae, metrics.bias
    (2.0, 0.2, 0.0)
    """
    guess, truth = as_pair(predicted, true)
    mae, rmse, bias = count_errors(guess, truth)
    if (truth < 0).any():
        raise InputError(f"true counts must not be negative; got {truth.min():g}")
    error = guess - truth
    occupied = truth > 0
    return CountingMetrics(
        n=truth.size,
        mae=mae,
        rmse=rmse,
        nae=float((np.abs(error)[occupied] / truth[occupied]).mean()) if occupied.any() else None,
        bias=bias,
        mae_ci95=bootstrap_mean(np.abs(error), resamples=resamples, seed=seed),
    )


def _shares(cells: int, stride: float, length: float, parts: int) -> FloatArray:
    """Return (parts, cells): the share of each cell's extent, cut at the image border, in each of equal parts."""
    edges = np.minimum(np.arange(cells + 1) * stride, length)
    borders = np.linspace(0, length, parts + 1)
    overlap = np.minimum(edges[1:], borders[1:, None]) - np.maximum(edges[:-1], borders[:-1, None])
    extent = np.diff(edges)
    inside = extent > 0  # cells that lie wholly in the padding count nowhere
    return np.where(inside, np.clip(overlap, 0, None) / np.where(inside, extent, 1), 0.0)


def game(density: npt.ArrayLike, points: npt.ArrayLike, *, stride: float, height: int, width: int, level: int) -> float:
    """Return the patch error GAME(L) of one image: ``sum_k |p_k - c_k|`` over ``4^L`` equal regions.

    Guerrero-Gomez-Olmedo et al. 2015. A cell on the border of two regions gives each the share of its area, so any
    image size works; GAME(0) is the absolute count error. The score of a set of images is the mean over them.

    Parameters
    ----------
    density
        (h, w) expected number of objects by cell; cells wholly outside the image are padding and don't count.
    points
        (m, 2) dots, px; a dot outside the image belongs to the nearest region.
    stride
        Side of a cell, px.
    height, width
        Image size, px.
    level
        L >= 0.

    Examples
    --------
    >>> density, dots = [[2.0, 0.0]], [[1.0, 1.0], [5.0, 1.0]]
    >>> [game(density, dots, stride=4, height=4, width=8, level=level) for level in (0, 1)]
    [0.0, 2.0]
    """
    cells, xy = as_density(density, stride), as_xy(points, "points")
    if height < 1 or width < 1 or level < 0:
        raise InputError(f"image size must be >= 1 px and level >= 0; got {width} x {height}, level {level}")
    parts = 2**level
    rows, columns = _shares(cells.shape[0], stride, height, parts), _shares(cells.shape[1], stride, width, parts)
    guess = rows @ cells @ columns.T
    region = np.clip(np.floor(xy * parts / (width, height)), 0, parts - 1).astype(np.int64)
    truth = np.bincount(region[:, 1] * parts + region[:, 0], minlength=parts * parts).reshape(parts, parts)
    return float(np.abs(guess - truth).sum())
