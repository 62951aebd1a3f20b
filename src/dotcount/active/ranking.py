"""An order in which to annotate images: where the model is likely to err, and has seen little alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dotcount.errors import InputError
from dotcount.inference import Prediction
from dotcount.points import FloatArray

GRID = 8
"""Squares along each side over which the spread of objects in an image is described."""


@dataclass(frozen=True)
class Outlook:
    """What a prediction says about annotating its image.

    Attributes
    ----------
    name
        The image.
    error
        Expected error of the count, objects; see :func:`expected_error`.
    features
        What the image looks like to the model: density of objects (log), their spread over the image, share of the
        image without any, and mean mass of the points.

    Examples
    --------
    >>> Outlook("a.png", 2.5, (0.1, 0.2, 0.3, 0.4)).error
    2.5
    """

    name: str
    error: float
    features: tuple[float, ...]


def expected_error(prediction: Prediction) -> float:
    r"""Return how far the count of an image may be off, objects, as its own prediction tells.

    .. math:: \sqrt{\sum_i s_i (1 - s_i) + (c - n)^2}

    A point of mass :math:`s_i` (cut off at 1) is an object with about that probability, which adds the variance of a
    Bernoulli variable. Count :math:`c` and number :math:`n` of points are two answers to one question; how far they
    are apart is added. It needs no calibration, and serves to compare images, not to state an error.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> model = dotcount.load("cells", device="cpu")
    >>> sparse, crowded = (model.predict(generate("cells", size=96, count=(n, n))[0]) for n in (10, 200))
    >>> expected_error(sparse) < expected_error(crowded)
    True
    """
    mass = np.clip(prediction.scores, 0, 1)
    return float(np.sqrt((mass * (1 - mass)).sum() + (prediction.count - len(prediction.points)) ** 2))


def outlook(name: str, prediction: Prediction) -> Outlook:
    """Return what a prediction says about annotating its image.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> prediction = dotcount.load("cells", device="cpu").predict(generate("cells", size=96)[0])
    >>> len(outlook("a.png", prediction).features)
    4
    """
    squares = _squares(prediction.density)
    mean = squares.mean()
    features = (
        float(np.log1p(1e6 * max(prediction.count, 0) / (prediction.width * prediction.height))),
        float(squares.std() / mean) if mean > 1e-9 else 0.0,
        float((squares < 0.5 * mean).mean()),
        float(np.clip(prediction.scores, 0, 2).mean()) if len(prediction.scores) else 0.0,
    )
    return Outlook(name, expected_error(prediction), features)


def _squares(density: np.ndarray) -> FloatArray:
    """Return the number of objects in each of :data:`GRID` x :data:`GRID` parts of a density."""
    rows = np.array_split(np.asarray(density, dtype=np.float64), min(GRID, density.shape[0]), axis=0)
    parts = [np.array_split(row, min(GRID, density.shape[1]), axis=1) for row in rows]
    return np.array([[part.sum() for part in row] for row in parts])


def order(candidates: Sequence[Outlook], annotated: Sequence[Outlook] = (), *, diversity: float = 0.0) -> list[str]:
    """Return the names of the images, those first that a model may gain most from.

    On two data sets this needed no fewer dots than a random order, whatever the weight (docs/results/annotating.md); it
    shows where a model is unsure of itself.

    One image after the other is taken, the one with the largest :math:`e^{1 - w} d^w`: :math:`e` is its rank by
    expected error, from 0 to 1, and :math:`d` that by its distance, in standardised features, from what is annotated or
    taken; 0 for what is equal to one of these.

    Parameters
    ----------
    candidates
        Images without dots.
    annotated
        Images with dots.
    diversity
        The weight :math:`w`, in [0, 1]: 0, the default, looks at the expected error alone, 1 at the distance alone.

    Raises
    ------
    InputError
        If ``diversity`` is out of range.

    Examples
    --------
    >>> images = [Outlook("a", 9.0, (0.0,)), Outlook("b", 8.0, (0.1,)), Outlook("c", 1.0, (5.0,))]
    >>> order(images, diversity=0), order(images, diversity=1)
    (['a', 'b', 'c'], ['c', 'a', 'b'])
    """
    if not 0 <= diversity <= 1:
        raise InputError(f"diversity is {diversity}; it must lie between 0 and 1")
    if not candidates:
        return []
    features = np.array([each.features for each in (*candidates, *annotated)], dtype=np.float64)
    spread = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    own, known = features[: len(candidates)], features[len(candidates) :]
    # Before anything is annotated the middle of all images stands for what is known.
    start = known if len(known) else np.zeros((1, features.shape[1]))
    away = np.sqrt(((own[:, None] - start[None]) ** 2).sum(axis=2)).min(axis=1)
    errors = _ranks(np.array([each.error for each in candidates]))
    left = np.arange(len(candidates))
    taken: list[str] = []
    while len(left):
        distances = np.where(away[left] > 0, _ranks(away[left]), 0)
        worth = errors[left] ** (1 - diversity) * distances**diversity
        best = left[int(np.argmax(worth))]
        taken.append(candidates[best].name)
        left = left[left != best]
        away = np.minimum(away, np.sqrt(((own - own[best]) ** 2).sum(axis=1)))
    return taken


def _ranks(values: FloatArray) -> FloatArray:
    """Return ranks from above 0 to 1, equal for equal values."""
    _, places = np.unique(values, return_inverse=True)
    return (places + 1.0) / (places.max() + 1.0)
