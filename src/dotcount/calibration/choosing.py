"""Choosing one of several ways to count, or one checkpoint of a training, on held-out images.

Either choice also gives the counts as if each image had not taken part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError
from dotcount.metrics._check import as_calibration
from dotcount.points import BoolArray, FloatArray, IntArray

SMOOTHED = 3
"""Epochs over which the errors of checkpoints are averaged."""


@dataclass(frozen=True)
class Choice:
    """The best way to count and what it does to images that had no say in it.

    Attributes
    ----------
    best
        Index of the candidate with the lowest error over all images; the first on ties.
    held_out
        (n,) every image's count by the candidate that is best for the other images. Their errors, unlike those of
        ``best``, are not too low because the best of many was picked: what an interval should be computed from.

    Examples
    --------
    >>> choose_best([[9, 30], [5, 22]], [9, 25]).held_out.tolist()
    [5.0, 30.0]
    """

    best: int
    held_out: FloatArray


def choose_best(candidates: npt.ArrayLike, true: npt.ArrayLike, select: Literal["mae", "rmse"] = "mae") -> Choice:
    """Choose the candidate with the lowest error, over all images and leaving out each in turn.

    Parameters
    ----------
    candidates
        (k, n) counts of n images in k ways, for example with several test-time augmentations.
    true
        (n,) numbers of dots.
    select
        ``mae``, the mean absolute error, or ``rmse``, the root of the mean squared one.

    Raises
    ------
    InputError
        If there is no candidate, the shapes differ, or a count is negative.

    Examples
    --------
    >>> choose_best([[12, 22, 33], [10, 21, 30]], [10, 20, 30]).best
    1
    """
    counts, errors = _errors(candidates, true, select)
    total = errors.sum(axis=1)
    chosen = (total[:, None] - errors).argmin(axis=0)
    return Choice(int(total.argmin()), counts[chosen, np.arange(counts.shape[1])])


def choose_checkpoint(candidates: npt.ArrayLike, true: npt.ArrayLike, select: Literal["mae", "rmse"] = "mae") -> Choice:
    """Choose the checkpoint of a training: the latest that is not worse, beyond chance, than the best before it.

    The lowest of many errors on a few images is low by luck: it favours an early, lucky epoch. So each image's error is
    averaged over the last :data:`SMOOTHED` epochs, and an epoch is kept if its mean error exceeds the lowest so far by
    at most one standard error of the difference, over images (the one-standard-error rule of Breiman et al. 1984, with
    paired errors). Of one image, which has no standard error, the epoch with the lowest averaged error is kept. The
    rule looks back only, so that it can be followed while training.

    Parameters
    ----------
    candidates
        (k, n) counts of n images at k epochs, in order.
    true
        (n,) numbers of dots.
    select
        As in :func:`choose_best`.

    Returns
    -------
    Choice
        ``held_out`` holds each image's count at the epoch that the other images would keep.

    Examples
    --------
    Two images, one of which is counted right by chance at first:

    >>> choose_checkpoint([[9, 30], [5, 22], [8, 24], [8, 25]], [9, 25]).best
    3
    """
    counts, errors = _errors(candidates, true, select)
    smooth, n = _smoothed(errors), errors.shape[1]
    everyone = int(_kept(smooth, np.zeros((1, n), dtype=bool))[0])
    if n < 2:
        return Choice(everyone, counts[everyone])
    others = _kept(smooth, np.eye(n, dtype=bool))
    return Choice(everyone, counts[others, np.arange(n)])


def checkpoint_to_keep(candidates: npt.ArrayLike, true: npt.ArrayLike, select: Literal["mae", "rmse"] = "mae") -> int:
    """Return :attr:`Choice.best` of :func:`choose_checkpoint` alone, which is quick enough after every epoch.

    Examples
    --------
    >>> checkpoint_to_keep([[9, 30], [5, 22], [8, 24], [8, 25]], [9, 25])
    3
    """
    errors = _errors(candidates, true, select)[1]
    return int(_kept(_smoothed(errors), np.zeros((1, errors.shape[1]), dtype=bool))[0])


def _smoothed(errors: FloatArray) -> FloatArray:
    return np.stack([errors[max(0, k + 1 - SMOOTHED) : k + 1].mean(axis=0) for k in range(len(errors))])


def _kept(errors: FloatArray, without: BoolArray) -> IntArray:
    """Return (m,) the checkpoint kept by the errors (k, n), leaving out the images of each row of a mask (m, n).

    A row of the mask names one image at most.
    """
    number = errors.shape[1] - without.sum(axis=1)
    best, kept = np.zeros(len(without), dtype=np.int64), np.zeros(len(without), dtype=np.int64)

    def mean(values: FloatArray) -> FloatArray:
        return (values.sum() - without @ values) / np.maximum(number, 1)

    for epoch in range(1, len(errors)):
        for former in np.unique(best):
            rows = best == former
            excess = errors[epoch] - errors[former]
            lower = rows & (mean(excess) < 0)
            best[lower] = kept[lower] = epoch
            variance = np.maximum(mean(excess**2) - mean(excess) ** 2, 0) * number / np.maximum(number - 1, 1)
            margin = np.where(number > 1, np.sqrt(variance / np.maximum(number, 1)), 0.0)
            kept[rows & ~lower & (mean(excess) <= margin)] = epoch
    return kept


def _errors(
    candidates: npt.ArrayLike, true: npt.ArrayLike, select: Literal["mae", "rmse"]
) -> tuple[FloatArray, FloatArray]:
    """Return the counts (k, n) and their absolute or squared errors."""
    counts = np.asarray(candidates, dtype=np.float64)
    if counts.ndim != 2 or not len(counts):
        raise InputError(f"candidates must be counts (k, n) of n images in k ways; got shape {counts.shape}")
    truth = np.stack([as_calibration(row, true)[1] for row in counts])
    return counts, np.abs(counts - truth) if select == "mae" else (counts - truth) ** 2
