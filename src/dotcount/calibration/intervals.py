"""Intervals for a single predicted count, calibrated on held-out images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dotcount.metadata import CountInterval
from dotcount.metrics._check import as_calibration
from dotcount.metrics.bootstrap import check_level


def calibrate(predicted: npt.ArrayLike, true: npt.ArrayLike, *, level: float = 0.9) -> CountInterval:
    """Calibrate a :class:`CountInterval` on images that the model was not trained on.

    ``scale`` is the k-th smallest of the n residuals ``|c - c_hat| / sqrt(c_hat + 1)``, ``k = ceil((n + 1) level)``.
    With ``k > n`` (fewer than ``level / (1 - level)`` images) no finite interval keeps the promise.

    Parameters
    ----------
    predicted, true
        (n,) counts; none at all is allowed and gives the infinite interval.
    level
        Wanted coverage, between 0 and 1.

    Examples
    --------
    >>> interval = calibrate(predicted=[10] * 20, true=[9, 11] * 10, level=0.9)
    >>> interval.n, interval.finite
    (20, True)
    >>> calibrate([10, 12], [9, 11]).reason
    '2 calibration images are too few for a 90% interval; at least 9 are needed'
    """
    check_level(level)
    guess, truth = as_calibration(predicted, true)
    n = truth.size
    rank = math.ceil((n + 1) * level - 1e-9)
    if rank > n:
        needed = math.ceil(level / (1 - level) - 1e-9)
        reason = f"{n} calibration images are too few for a {level:.0%} interval; at least {needed} are needed"
        return CountInterval(level, math.inf, n, reason)
    residuals = np.abs(truth - guess) / np.sqrt(guess + 1)
    return CountInterval(level, float(np.sort(residuals)[rank - 1]), n)
