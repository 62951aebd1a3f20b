"""One factor on all counts, fitted on held-out images, against a model that counts too few or too many as a rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dotcount.metrics._check import as_calibration
from dotcount.points import FloatArray

LARGEST = 2.0
"""Factor beyond which (or below its inverse) nothing is scaled: such a model needs training, not a correction."""

LEAST = 5
"""Images below which no factor is fitted. Of two it would be fitted in a third of the cases where a model has no bias,
and make the counts of other images worse by a tenth."""


@dataclass(frozen=True)
class CountScale:
    """The factor and what it does to images that it was not fitted on.

    Attributes
    ----------
    scale
        Factor on the density, and so on the count; 1 where none was found.
    held_out
        (n,) the calibration images' counts, each scaled as the others would have it: by the factor fitted on them, if
        it helps them. An interval or an error may be computed from these without looking at its own answer.
    error
        Standard error of the factor, as a share of it: of the mean error that is left on many new images. None where
        no factor was found, or of fewer than two images.

    Examples
    --------
    >>> fit_count_scale([8, 16, 24, 8, 16], [10, 20, 30, 10, 20]).held_out.round(6).tolist()
    [10.0, 20.0, 30.0, 10.0, 20.0]
    """

    scale: float
    held_out: FloatArray
    error: float | None = None


def fit_count_scale(
    predicted: npt.ArrayLike, true: npt.ArrayLike, *, always: bool = False, prior: float | None = None
) -> CountScale:
    """Fit ``scale = sum_k c_k / sum_k c_hat_k`` (the ratio estimator: no mean error is left) if that helps.

    Minimising a transport distance gives less mass than dots where objects are hard to see (the mass of an uncertain
    dot is a power of its probability), about in proportion to the count; a factor removes most of that. It is used only
    if it lowers the mean absolute error of the same images when each is scaled by the factor of the others
    (leave-one-out), so that a model without bias is left alone; only between 1/2 and 2; and only with :data:`LEAST`
    images: the factor of two says more of these two than of the next.

    The standard error of the factor, as a share of it, is ``e = sqrt(n / (n - 1) sum_k (c_k - scale c_hat_k)^2) /
    sum_k c_k`` (Cochran, Sampling Techniques, 1977, 6.4, without the correction for a finite population).

    Parameters
    ----------
    predicted, true
        (n,) counts of images that the model was not trained on.
    always
        Scale even where that does not lower the error: totals over many images gain from a mean error of zero.
    prior
        How far from 1 factors usually lie, as a standard deviation of their logarithm: few images then move it less,
        ``log scale`` by ``t^2 / (t^2 + e^2)`` of what the ratio says. t is the prior, or the logarithm itself where
        that is larger, so that a model which is far off is corrected in full. None: the ratio as it is.

    Raises
    ------
    InputError
        If the shapes differ, or a predicted count is negative.

    Examples
    --------
    >>> fit_count_scale([8, 16, 24, 8, 16], [10, 20, 30, 10, 20]).scale
    1.25
    >>> fit_count_scale([8, 16], [10, 20]).scale
    1.0
    >>> few = [8, 16, 24], [14, 14, 32]
    >>> [round(fit_count_scale(*few, always=True, prior=prior).scale, 3) for prior in (None, 0.1)]
    [1.25, 1.164]
    """
    guess, truth = as_calibration(predicted, true)
    unscaled = CountScale(1.0, guess)
    others_true, others_guess = truth.sum() - truth, guess.sum() - guess
    if guess.size < (2 if always else LEAST) or not (others_guess > 0).all() or not (others_true > 0).all():
        return unscaled
    ratio = float(truth.sum() / guess.sum())
    if not 1 / LARGEST <= ratio <= LARGEST:
        return unscaled
    scale, others, error = np.array(ratio), others_true / others_guess, _error(guess, truth)
    if prior is not None:
        scale, others = _shrunk(scale, error, prior), _shrunk(others, _errors_without(guess, truth), prior)
    held_out = guess * others
    if not always:
        # Whether to scale is a choice, too, in which no image may have a say for itself.
        helped = [_helps(np.delete(guess, k), np.delete(truth, k)) for k in range(guess.size)]
        held_out = np.where(helped, held_out, guess)
        if not _helps(guess, truth):
            return CountScale(1.0, held_out)
    return CountScale(float(scale), held_out, error)


def _helps(guess: FloatArray, truth: FloatArray) -> bool:
    """Return whether the factor of the others lowers the mean absolute error."""
    others_true, others_guess = truth.sum() - truth, guess.sum() - guess
    if guess.size < 2 or not (others_guess > 0).all():
        return False
    scaled = guess * others_true / others_guess
    return bool(np.abs(scaled - truth).mean() < np.abs(guess - truth).mean())


def _error(guess: FloatArray, truth: FloatArray) -> float:
    """Return the standard error of the ratio, as a share of it."""
    residual = truth - truth.sum() / guess.sum() * guess
    return float(np.sqrt((residual**2).sum() * truth.size / (truth.size - 1)) / truth.sum())


def _errors_without(guess: FloatArray, truth: FloatArray) -> FloatArray:
    """Return (n,) the standard error without each image in turn; of a single image that is left, infinity."""
    number = truth.size - 1
    if number < 2:
        return np.full(truth.size, np.inf)
    others = truth.sum() - truth
    ratio = others / (guess.sum() - guess)
    squares = [float((a * b).sum()) - a * b for a, b in ((truth, truth), (truth, guess), (guess, guess))]
    residual = np.maximum(squares[0] - 2 * ratio * squares[1] + ratio**2 * squares[2], 0)
    return np.asarray(np.sqrt(residual * number / (number - 1)) / others)


def _shrunk(ratio: FloatArray, error: FloatArray | float, prior: float) -> FloatArray:
    deviation = np.log(ratio)
    square = np.maximum(prior, np.abs(deviation)) ** 2
    return np.asarray(np.exp(deviation * square / (square + np.square(error))))
