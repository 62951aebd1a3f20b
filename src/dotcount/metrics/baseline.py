"""Counts against the simplest rival: always answering one number."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError
from dotcount.metrics._check import as_pair
from dotcount.metrics.bootstrap import compare_errors

Verdict = Literal["better", "unclear", "no better"]

_FEWEST = 5  # images below which no difference is called certain
_CONSTANT = 0.05  # spread of the predictions, relative to that of the true counts, below which they are one answer
_NEARER = 0.8  # of a rival's error: the mean of these images is told where it would be a much harder rival


def constant_baseline(answer: float, true: npt.ArrayLike) -> float:
    """Return the mean absolute error of always answering ``answer`` for the counts ``true`` (n,), n >= 1.

    Examples
    --------
    >>> constant_baseline(20, [10, 20, 60])
    16.666666666666668
    """
    guess, truth = as_pair(np.full(np.shape(true), float(answer)), true)
    return float(np.abs(guess - truth).mean())


@dataclass(frozen=True)
class BaselineComparison:
    """A model's counts against always answering the mean count of the training images.

    Attributes
    ----------
    n
        Number of images.
    mae
        Mean absolute error of the model, objects.
    answer
        The constant: the mean count of the training images, or of these images where ``known`` is False.
    known
        Whether the mean count in training was known.
    baseline_mae
        Mean absolute error of that answer.
    own_mean, own_mean_mae
        The mean count of these images themselves, and the error of always answering it. No one knows it beforehand:
        a model that is beaten by it does not tell these images apart.
    interval
        95 % paired bootstrap interval of ``mae - baseline_mae``.
    spread
        Standard deviation of the predicted counts over that of the true ones; None where all true counts are equal.
    prediction_mean
        Mean of the predicted counts.

    Examples
    --------
    >>> compare_with_constant([10, 20, 31, 39, 52], [10, 20, 30, 40, 50], training_mean=28.0).verdict
    'better'
    >>> compare_with_constant([30, 30, 30, 30, 30], [10, 20, 30, 40, 50], training_mean=30.0).verdict
    'no better'
    """

    n: int
    mae: float
    answer: float
    known: bool
    baseline_mae: float
    own_mean: float
    own_mean_mae: float
    interval: tuple[float, float]
    spread: float | None
    prediction_mean: float

    @property
    def constant(self) -> bool:
        """Return whether the model gives nearly one count for images whose counts differ."""
        return self.spread is not None and self.spread < _CONSTANT

    @property
    def verdict(self) -> Verdict:
        """Return ``no better``, or ``better`` if the difference is certain, or else ``unclear``."""
        if self.constant or (self.mae >= self.baseline_mae and self.mae > 0):
            return "no better"
        if self.n < _FEWEST or self.interval[1] >= 0 or self.mae >= self.own_mean_mae:
            return "unclear"
        return "better"

    def sentence(self) -> str:
        """Return the verdict in one to three sentences."""
        whose = "the training images" if self.known else "these images"
        rival = f"always answering the mean count of {whose} ({self.answer:,.1f})"
        errors = f"off by {self.mae:,.1f} on average, against {self.baseline_mae:,.1f}"
        if self.verdict == "no better":
            text = f"No better than {rival}: {errors}."
        elif self.verdict == "better":
            text = f"Better than {rival}: {errors}."
            if self.own_mean_mae < _NEARER * self.baseline_mae:
                text += f" The own mean of these images, {self.own_mean:,.1f}, is off by {self.own_mean_mae:,.1f}."
        elif self.n < _FEWEST:
            text = f"Too few images to say whether it is better than {rival}: {errors}."
        elif self.interval[1] >= 0:
            text = f"Not clearly better than {rival}: {errors}; the difference may be chance."
        else:
            text = f"Better than {rival}: {errors}."
        if self.constant:
            text += f" It gives nearly the same count, {self.prediction_mean:,.1f}, for every image."
        elif self.verdict == "unclear" and self.n >= _FEWEST and self.mae >= self.own_mean_mae:
            text += (
                f" But one number would do as well here: their own mean, {self.own_mean:,.1f}, is off by "
                f"{self.own_mean_mae:,.1f}. The model does not tell these images apart."
            )
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with the verdict and the sentence."""
        return asdict(self) | {
            "interval": list(self.interval),
            "verdict": self.verdict,
            "sentence": self.sentence(),
        }


def compare_with_constant(
    predicted: npt.ArrayLike, true: npt.ArrayLike, training_mean: float | None = None, *, seed: int = 0
) -> BaselineComparison:
    """Compare counts with always answering the mean count of the training images.

    Parameters
    ----------
    predicted, true
        (n,) counts, n >= 1.
    training_mean
        Mean number of objects in a training image; None: unknown, the mean of ``true`` stands in for it.
    seed
        Of the bootstrap.

    Raises
    ------
    InputError
        If the lengths differ, there is no image, or a count is not finite.

    Examples
    --------
    >>> comparison = compare_with_constant([11, 19, 58], [10, 20, 60], training_mean=25)
    >>> comparison.mae < comparison.baseline_mae
    True
    """
    guess, truth = as_pair(predicted, true)
    if training_mean is not None and not (np.isfinite(training_mean) and training_mean >= 0):
        raise InputError(f"training_mean must be a count or None; got {training_mean}")
    own = float(truth.mean())
    answer = own if training_mean is None else float(training_mean)
    errors, rival = np.abs(guess - truth), np.abs(answer - truth)
    paired = compare_errors(errors, rival, resamples=2000, seed=seed)
    varied = float(truth.std())
    return BaselineComparison(
        n=len(truth),
        mae=paired.mae_a,
        answer=answer,
        known=training_mean is not None,
        baseline_mae=paired.mae_b,
        own_mean=own,
        own_mean_mae=constant_baseline(own, truth),
        interval=paired.interval,
        spread=float(guess.std()) / varied if varied > 0 else None,
        prediction_mean=float(guess.mean()),
    )
