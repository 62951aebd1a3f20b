"""Intervals for a single predicted count, calibrated on held-out images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from dotcount.errors import InputError
from dotcount.metadata import CountInterval, ScaledErrors
from dotcount.metrics._check import as_calibration
from dotcount.metrics.bootstrap import check_level
from dotcount.points import FloatArray


def calibrate(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    *,
    level: float = 0.9,
    confidence: float | None = None,
    parts: npt.ArrayLike | None = None,
) -> CountInterval:
    """Calibrate a :class:`CountInterval` on images that the model was not trained on.

    ``scale`` is the k-th smallest of the n residuals ``|c - c_hat| / sqrt(c_hat + 1)``, with k of
    :func:`conformal_rank`. Where no k will do, there are too few images, and no finite interval keeps the promise.

    Parameters
    ----------
    predicted, true
        (n,) counts; none at all is allowed and gives the infinite interval.
    level
        Wanted coverage, between 0 and 1.
    confidence
        Probability over draws of the calibration images that the coverage is at least ``level``; None: it is
        ``level`` on average over draws.
    parts
        (n, k) residuals of k parts of each image, in the same unit, see :func:`dotcount.calibration.part_residuals`.

    Examples
    --------
    >>> interval = calibrate(predicted=[10] * 20, true=[9, 11] * 10, level=0.9)
    >>> interval.n, interval.finite
    (20, True)
    >>> calibrate([10, 12], [9, 11]).reason
    '2 calibration images are too few for a 90% interval; at least 9 are needed'
    >>> calibrate([10] * 12, [9] * 12, confidence=0.8).reason
    '12 calibration images are too few for a 90% interval with 80% confidence; at least 16 are needed'
    """
    guess, truth = as_calibration(predicted, true)
    scaled = (truth - guess) / np.sqrt(guess + 1)
    n = truth.size
    errors = _moments(truth - guess, guess + 1) if n > 1 else None
    rank = conformal_rank(n, level, confidence)
    if rank is None:
        sure = "" if confidence is None else f" with {confidence:.0%} confidence"
        reason = (
            f"{n} calibration images are too few for a {level:.0%} interval{sure}; "
            f"at least {images_needed(level, confidence)} are needed"
        )
        return CountInterval(level, math.inf, n, reason, confidence, errors=errors)
    return CountInterval(
        level,
        float(np.sort(np.abs(scaled))[rank - 1]),
        n,
        confidence=confidence,
        part_scale=None if parts is None else _part_scale(parts, n, rank),
        errors=errors,
    )


def conformal_rank(n: int, level: float, confidence: float | None = None) -> int | None:
    """Return which of n sorted residuals bounds the error of a new image, from 1; None if not even the largest does.

    If all n + 1 residuals are exchangeable and differ, the share of new images whose residual is at most the k-th
    smallest follows a Beta(k, n + 1 - k) law over draws of the n. Its mean is k / (n + 1): without ``confidence``, k is
    the smallest with ``k / (n + 1) >= level``. With it, k is the smallest with ``P(Beta(k, n + 1 - k) >= level) >=
    confidence``; the probability is that of at most k - 1 of n independent hits, each of probability ``level``. Where
    residuals are equal, the coverage is only larger (Vovk, Conditional validity of inductive conformal predictors,
    2012).

    Examples
    --------
    >>> conformal_rank(50, 0.9), conformal_rank(50, 0.9, confidence=0.8)
    (46, 48)
    >>> conformal_rank(15, 0.9, confidence=0.8) is None
    True
    """
    check_level(level)
    if confidence is None:
        rank = math.ceil((n + 1) * level - 1e-9)
        return rank if rank <= n else None
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, for example 0.8, or be None; got {confidence}")
    sure = special.bdtr(np.arange(n), n, level) >= confidence - 1e-12
    return int(sure.argmax()) + 1 if sure.any() else None


def images_needed(level: float, confidence: float | None = None) -> int:
    """Return the least number of calibration images for a finite interval.

    Examples
    --------
    >>> images_needed(0.9), images_needed(0.9, 0.8)
    (9, 16)
    """
    if confidence is None:
        return math.ceil(level / (1 - level) - 1e-9)
    return max(1, math.ceil(math.log1p(-confidence) / math.log(level) - 1e-9))


def _moments(errors: FloatArray, squares: FloatArray) -> ScaledErrors:
    total, n = float(squares.sum()), errors.size
    mean = float(errors.sum()) / total
    variance = float(((errors - mean * squares) ** 2).sum()) / total * n / (n - 1)
    return ScaledErrors(mean, math.sqrt(variance), total)


def _part_scale(parts: npt.ArrayLike, n: int, rank: int) -> float:
    """Return the largest of the quantiles of the parts of each size: one residual an image, so that they are alike."""
    residuals: FloatArray = np.abs(np.asarray(parts, dtype=np.float64))
    if residuals.ndim != 2 or len(residuals) != n or not np.isfinite(residuals).all():
        raise InputError(f"parts must be finite residuals (n, k) of the {n} images; got shape {residuals.shape}")
    return float(np.sort(residuals, axis=0)[rank - 1].max())
