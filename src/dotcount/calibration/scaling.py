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
        (n,) the calibration images' counts, each scaled by the factor fitted on the others: what an interval or an
        error may be computed from without looking at its own answer.

    Examples
    --------
    >>> fit_count_scale([8, 16, 24, 8, 16], [10, 20, 30, 10, 20]).held_out.round(6).tolist()
    [10.0, 20.0, 30.0, 10.0, 20.0]
    """

    scale: float
    held_out: FloatArray


def fit_count_scale(predicted: npt.ArrayLike, true: npt.ArrayLike, *, always: bool = False) -> CountScale:
    """Fit ``scale = sum_k c_k / sum_k c_hat_k`` (the ratio estimator: no mean error is left) if that helps.

    Minimising a transport distance gives less mass than dots where objects are hard to see (the mass of an uncertain
    dot is a power of its probability), about in proportion to the count; a factor removes most of that. It is used only
    if it lowers the mean absolute error of the same images when each is scaled by the factor of the others
    (leave-one-out), so that a model without bias is left alone; only between 1/2 and 2; and only with :data:`LEAST`
    images: the factor of two says more of these two than of the next.

    Parameters
    ----------
    predicted, true
        (n,) counts of images that the model was not trained on.
    always
        Scale even where that does not lower the error: totals over many images gain from a mean error of zero.

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
    """
    guess, truth = as_calibration(predicted, true)
    unscaled = CountScale(1.0, guess)
    others_true, others_guess = truth.sum() - truth, guess.sum() - guess
    if guess.size < (2 if always else LEAST) or not (others_guess > 0).all() or not (others_true > 0).all():
        return unscaled
    scale = float(truth.sum() / guess.sum())
    if not 1 / LARGEST <= scale <= LARGEST:
        return unscaled
    held_out = guess * others_true / others_guess
    if not always and np.abs(held_out - truth).mean() >= np.abs(guess - truth).mean():
        return unscaled
    return CountScale(scale, held_out)
