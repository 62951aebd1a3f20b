"""Choosing one of several ways to count on held-out images, and the counts as if each image had not taken part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError
from dotcount.metrics._check import as_calibration
from dotcount.points import FloatArray


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
    """

    best: int
    held_out: FloatArray


def choose_best(candidates: npt.ArrayLike, true: npt.ArrayLike, select: Literal["mae", "rmse"] = "mae") -> Choice:
    """Choose the candidate with the lowest error, over all images and leaving out each in turn.

    Parameters
    ----------
    candidates
        (k, n) counts of n images in k ways: checkpoints of a training, sizes at which images are looked at.
    true
        (n,) numbers of dots.
    select
        ``mae``, the mean absolute error, or ``rmse``, the root of the mean squared one.

    Raises
    ------
    InputError
        If there is no candidate, the shapes differ, or a count is negative.
    """
    counts = np.asarray(candidates, dtype=np.float64)
    if counts.ndim != 2 or not len(counts):
        raise InputError(f"candidates must be counts (k, n) of n images in k ways; got shape {counts.shape}")
    truth = np.stack([as_calibration(row, true)[1] for row in counts])
    errors = np.abs(counts - truth) if select == "mae" else (counts - truth) ** 2
    total = errors.sum(axis=1)
    chosen = (total[:, None] - errors).argmin(axis=0)
    return Choice(int(total.argmin()), counts[chosen, np.arange(counts.shape[1])])
