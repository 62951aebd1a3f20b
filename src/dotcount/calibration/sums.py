"""Intervals for counts that are put together: the sum over a folder, the mean of a video, the difference of two images.

Errors of single images cancel in a sum, an error that all images share adds up. With errors ``e = c - c_hat`` of n
calibration images, ``s^2 = c_hat + 1`` and ``m = sum e / sum s^2``, the error of ``sum_i w_i c_hat_i`` over new images
has the mean ``m sum_i w_i s_i^2`` and, m being estimated, the variance

    v (sum_g (sum_{i in g} |w_i| s_i)^2 + (sum_i w_i s_i^2)^2 / S),

where v is n / (n - 1) sum (e - m s^2)^2 / S and S is sum s^2, both over the calibration images, the errors of one group
g (a video, say) are taken to be fully dependent, and those of two groups independent. The interval is Student's with
n - 1 degrees of freedom: exact for normal errors whose variance is in proportion to the count, and near it for sums of
many. v weighs images by their counts, so that errors that grow faster than that don't make the interval too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from dotcount.errors import InputError
from dotcount.metadata import CountInterval
from dotcount.metrics._check import as_calibration, as_counts
from dotcount.points import FloatArray

LEAST = 5
"""Calibration images below which a standard deviation says little."""

STRANGERS = 0.15
"""Share of unfamiliar images beyond which a set is called one of another kind; of one's own kind it is 0.05."""


@dataclass(frozen=True)
class CombinedCount:
    """A sum, mean or difference of predicted counts with its interval.

    Attributes
    ----------
    value
        The combination of the predicted counts.
    low, high
        The interval; None where there is none.
    level
        Its coverage, on average over draws of the calibration images.
    reason
        Why there is no interval; empty where there is one.

    Examples
    --------
    >>> CombinedCount(120.0, 101.0, 139.0, 0.9).described()
    '120.0 (90% interval 101.0 to 139.0)'
    """

    value: float
    low: float | None
    high: float | None
    level: float | None
    reason: str = ""

    def described(self) -> str:
        """Return value and interval in words."""
        if self.low is None or self.high is None or self.level is None:
            return f"{self.value:,.1f}"
        return f"{self.value:,.1f} ({self.level:.0%} interval {self.low:,.1f} to {self.high:,.1f})"


def interval_of_sum(
    interval: CountInterval | None, counts: npt.ArrayLike, *, groups: Sequence[Hashable] | None = None
) -> CombinedCount:
    """Return the sum of predicted counts with its interval.

    Parameters
    ----------
    interval
        Of the model (``metadata.interval``).
    counts
        (k,) predicted counts of images of the kind of the calibration images.
    groups
        (k,) to which group each image belongs, by any name: the errors of one group are taken to be fully dependent,
        as in frames of one video or tiles of one photo. None: every image is independent of the others.

    Examples
    --------
    >>> from dotcount.calibration import calibrate
    >>> interval = calibrate(predicted=[100] * 20, true=[90, 110] * 10)
    >>> total = interval_of_sum(interval, [100.0] * 50)
    >>> round(total.low), round(total.high)
    (4765, 5235)
    >>> alone = interval.interval(100.0)
    >>> total.high - total.low < 50 * (alone[1] - alone[0])
    True
    """
    values = as_counts(counts, "counts")
    return _weighted(interval, values, np.ones(values.size), groups)


def interval_of_mean(
    interval: CountInterval | None, counts: npt.ArrayLike, *, groups: Sequence[Hashable] | None = None
) -> CombinedCount:
    """Return the mean of predicted counts with its interval.

    The frames of a video show the same scene: give them one group, ``groups=["video"] * len(counts)``. Their mean is
    then hardly more certain than a single frame.

    Parameters
    ----------
    interval, counts, groups
        As for :func:`interval_of_sum`.

    Raises
    ------
    InputError
        If there is no count.

    Examples
    --------
    >>> from dotcount.calibration import calibrate
    >>> interval = calibrate(predicted=[100] * 20, true=[90, 110] * 10)
    >>> mean = interval_of_mean(interval, [100.0] * 50, groups=["video"] * 50)
    >>> round(mean.low), round(mean.high)
    (82, 118)
    """
    values = as_counts(counts, "counts")
    if not values.size:
        raise InputError("counts is empty: a mean needs at least one image")
    return _weighted(interval, values, np.full(values.size, 1 / values.size), groups)


def interval_of_difference(interval: CountInterval | None, count: float, other: float) -> CombinedCount:
    """Return ``count - other``, for two images or dates, with its interval.

    The errors are taken to be independent. Two pictures of one place by one camera share a part of theirs, which
    cancels; the interval is then wider than it need be.

    Parameters
    ----------
    interval
        Of the model.
    count, other
        Predicted counts.

    Examples
    --------
    >>> from dotcount.calibration import calibrate
    >>> interval = calibrate(predicted=[100] * 20, true=[90, 110] * 10)
    >>> change = interval_of_difference(interval, 130.0, 100.0)
    >>> change.value, change.low > 0
    (30.0, True)
    """
    return _weighted(interval, as_counts([count, other], "counts"), np.array([1.0, -1.0]), None, -math.inf)


def interval_of_parts(interval: CountInterval | None, count: float) -> CombinedCount:
    """Return the count in a part of one image, such as a region, with its interval; see :meth:`CountInterval.part`.

    Examples
    --------
    >>> from dotcount.metadata import CountInterval
    >>> interval_of_parts(CountInterval(0.9, 0.5, 40, part_scale=1.0), 8.0).described()
    '8.0 (90% interval 5.0 to 11.0)'
    """
    found = None if interval is None else interval.part(count)
    if interval is None or found is None:
        return CombinedCount(float(count), None, None, None, "the model is not calibrated for parts of an image")
    return CombinedCount(float(count), *found, interval.level)


def combined(
    interval: CountInterval | None, value: float, common: float, squares: float, *, least: float = 0.0
) -> CombinedCount:
    """Return a combination of counts with its interval, from what was added up on the way.

    Parameters
    ----------
    interval
        Of the model.
    value
        ``sum_i w_i c_hat_i``.
    common
        ``sum_i w_i (c_hat_i + 1)``.
    squares
        ``sum_g (sum_{i in g} |w_i| sqrt(c_hat_i + 1))^2`` over the groups.
    least
        Where the interval is cut.

    Examples
    --------
    >>> from dotcount.calibration import calibrate
    >>> interval = calibrate(predicted=[99] * 20, true=[89, 109] * 10)
    >>> combined(interval, value=99.0, common=100.0, squares=100.0) == interval_of_sum(interval, [99.0])
    True
    """
    reason = _lack(interval)
    if interval is None or interval.errors is None or reason:
        return CombinedCount(value, None, None, None, reason)
    middle = value + interval.errors.mean * common
    spread = interval.errors.deviation * math.sqrt(squares + common**2 / interval.errors.total)
    reach = float(special.stdtrit(interval.n - 1, (1 + interval.level) / 2)) * spread
    return CombinedCount(value, max(least, middle - reach), middle + reach, interval.level)


def void(images: int, without: int = 0, unlike: int = 0) -> str:
    """Return why no interval is promised for what is put together from counts; empty if one is.

    Parameters
    ----------
    images
        Counts that are put together.
    without
        Those that have no interval of their own.
    unlike
        Those of images that are unlike the training images.

    Examples
    --------
    >>> void(20, unlike=2), void(20, unlike=15)
    ('', '15 of 20 images are unlike the training images')
    """
    if not images:
        return "nothing was counted"
    if without:
        return f"{without:,} of {images:,} counts have none"
    if unlike > max(1, STRANGERS * images):
        return f"{unlike:,} of {images:,} images are unlike the training images"
    return ""


def _weighted(
    interval: CountInterval | None,
    counts: FloatArray,
    weights: FloatArray,
    groups: Sequence[Hashable] | None,
    least: float = 0.0,
) -> CombinedCount:
    counts = as_calibration(counts, counts)[0]
    if groups is not None and len(groups) != counts.size:
        raise InputError(f"groups must name a group for each of the {counts.size} counts; got {len(groups)}")
    size = np.sqrt(counts + 1)
    names = list(range(counts.size)) if groups is None else list(groups)
    number = {name: k for k, name in enumerate(dict.fromkeys(names))}
    of_group = np.bincount([number[name] for name in names], np.abs(weights) * size, minlength=1)
    return combined(
        interval, float(weights @ counts), float(weights @ size**2), float((of_group**2).sum()), least=least
    )


def _lack(interval: CountInterval | None) -> str:
    if interval is None:
        return "the model is not calibrated"
    if interval.errors is None:
        return "the model was calibrated by an older version, which kept no errors; calibrate it again"
    if interval.n < LEAST:
        return f"{interval.n} calibration images are too few for the interval of a sum; at least {LEAST} are needed"
    return ""
