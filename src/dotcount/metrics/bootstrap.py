"""Uncertainty of scores: bootstrap intervals of a mean, and a paired test of two runs.

All random draws are seeded, so that the same scores give the same interval.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from dotcount.errors import InputError
from dotcount.metrics._check import as_counts, as_pair
from dotcount.points import FloatArray

_CHUNK = 2_000_000  # numbers drawn at a time, which bounds the memory of a bootstrap over many images


def check_level(level: float) -> None:
    """Raise an InputError unless ``level`` lies between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, for example 0.95; got {level}")


def bootstrap_mean(
    values: npt.ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile-bootstrap interval of the mean of ``values`` (n,), one value per image.

    The interval describes how the mean would vary over other draws of as many images, not over training seeds. With one
    image it has no width, which says nothing about certainty.

    Raises
    ------
    InputError
        If there is no value, or ``level`` is not between 0 and 1.

    Examples
    --------
    >>> low, high = bootstrap_mean([1.0, 2.0, 3.0, 6.0])
    >>> 1.0 <= low < 3.0 < high <= 6.0
    True
    """
    sample = as_counts(values, "values")
    check_level(level)
    if not sample.size:
        raise InputError("values is empty: a mean needs at least one image")
    if sample.size == 1:
        return float(sample[0]), float(sample[0])
    interval = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        batch=_batch(sample.size),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class PairedComparison:
    """Two runs on the same images; negative differences mean that the first run is better.

    Attributes
    ----------
    n
        Number of images.
    mae_a, mae_b
        Mean absolute error of each run.
    difference
        ``mae_a - mae_b``.
    interval
        Paired bootstrap interval of the difference, at ``level``.
    p_value
        Two-sided sign-flip permutation test of "swapping the two runs on any image changes nothing".

    Examples
    --------
    >>> comparison = compare_paired([10, 21, 29], [14, 26, 37], [10, 20, 30])
    >>> comparison.mae_a < comparison.mae_b, comparison.n
    (True, 3)
    """

    n: int
    mae_a: float
    mae_b: float
    difference: float
    interval: tuple[float, float]
    level: float
    p_value: float

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self) | {"interval": list(self.interval)}


def sign_flip_p_value(differences: npt.ArrayLike, *, permutations: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p-value of the sign-flip test that ``differences`` (n,) are symmetric about zero.

    All ``2^n`` sign vectors are enumerated when there are at most ``permutations`` of them; otherwise that many are
    drawn, and the observed one is counted too, ``p = (1 + hits) / (1 + permutations)``, which never reports zero.

    Examples
    --------
    >>> sign_flip_p_value([1.0, 2.0, 3.0])
    0.25
    """
    sample = as_counts(differences, "differences")
    if not sample.size:
        raise InputError("differences is empty: a test needs at least one image")
    if sample.size == 1:
        return 1.0
    # Sums of the same numbers in another order may differ in the last digits; rounded, those are ties, not misses.
    digit = 1e-12 * float(np.abs(sample).sum()) or 1.0

    def distance(values: FloatArray, axis: int = -1) -> FloatArray:
        return np.asarray(np.rint(np.abs(values.sum(axis=axis)) / digit))

    result = stats.permutation_test(
        (sample,),
        distance,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=permutations,
        batch=_batch(sample.size),
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _batch(n: int) -> int:
    """Return how many resamples of n images are held at a time."""
    return max(1, _CHUNK // n)


def compare_paired(
    predicted_a: npt.ArrayLike,
    predicted_b: npt.ArrayLike,
    true: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Compare the absolute count errors of two runs on the same images, image by image.

    Parameters
    ----------
    predicted_a, predicted_b, true
        (n,) counts, in the same order of images.
    level, resamples, seed
        Of the interval and of the test.

    Examples
    --------
    >>> compare_paired([10, 21, 29], [14, 26, 37], [10, 20, 30]).difference
    -5.0
    """
    guess_a, truth = as_pair(predicted_a, true)
    guess_b, _ = as_pair(predicted_b, true)
    errors = np.abs(guess_a - truth), np.abs(guess_b - truth)
    return compare_errors(*errors, level=level, resamples=resamples, seed=seed)


def compare_errors(
    errors_a: npt.ArrayLike, errors_b: npt.ArrayLike, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> PairedComparison:
    """Compare absolute errors (n,) of two methods on the same images; means over several seeds will do.

    See :func:`compare_paired` for the rest.

    Examples
    --------
    >>> compare_errors([1.0, 2.0], [3.0, 6.0]).difference
    -3.0
    """
    first, second = as_counts(errors_a, "errors_a"), as_counts(errors_b, "errors_b")
    if first.shape != second.shape or not first.size:
        raise InputError(f"errors_a and errors_b need one value per image each; got {first.size} and {second.size}")
    differences = first - second
    return PairedComparison(
        n=first.size,
        mae_a=float(first.mean()),
        mae_b=float(second.mean()),
        difference=float(differences.mean()),
        interval=bootstrap_mean(differences, level=level, resamples=resamples, seed=seed),
        level=level,
        p_value=sign_flip_p_value(differences, permutations=resamples, seed=seed),
    )
