"""How like the training images an image is, from statistics of the network's own features of them; no torch here."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt

from dotcount.errors import InputError
from dotcount.points import FloatArray
from dotcount.typed import Strict

WARN_BELOW = 0.5
"""Familiarity below which an image is called unlike the training images."""

TIMES_AS_LARGE = 4.0
"""How many times the area of the largest training image an image may have until its interval is not promised."""

BRIGHTNESS_MARGIN = 0.05
"""How far beyond the mean brightness of the training images that of an image may lie until it is told."""


@dataclass(frozen=True)
class Familiarity(Strict):
    """Statistics of the training images' features, sizes and brightness.

    Each channel of the network's last layer has a mean m and a standard deviation s over the cells of an image, see
    :mod:`dotcount.inference.features`. An image is described by ``f = (m / (s + ground), log(s + ground))``, (k,) for
    all channels, which vary about as much from one image with few objects to the next as between images with many.
    With ``z = (f - mean) / unit``, the few axes V along which training images vary most, the variances ``v`` along them
    and the mean variance ``rest`` along all others, the distance of an image is that of Mahalanobis under probabilistic
    principal components (Tipping & Bishop 1999)::

        d^2 = (sum_j (V_j z)^2 / v_j + (|z|^2 - |V z|^2) / rest) / k

    Its familiarity is ``1 / (1 + (d / threshold)^2)``: 1/2 where d is the threshold, which held-out images stay below.

    Attributes
    ----------
    layers
        Names of the modules whose input is pooled, in the order of the features.
    features, axes
        Numbers k of features and of axes.
    statistics
        Base64 of little-endian float32, (k,) each: ``mean``, ``unit``, each axis divided by ``sqrt(v)``, and, if
        relative, ``ground``, twice.
    variances
        v of each axis.
    rest
        Mean variance along all other directions.
    threshold
        Distance at which the familiarity is 1/2.
    images, held_out
        Numbers of images that the statistics, and the threshold, rest on.
    brightness
        Least and largest mean brightness of these images as the network sees them.
    area
        Largest area of them, px.

    Examples
    --------
    >>> import numpy as np
    >>> rule = Familiarity.of(("last_layer",), np.zeros(4), np.ones(4), np.eye(4)[:1], np.array([2.0]), 1.0, 3.0)
    >>> rule.of_features(np.zeros(4)), round(rule.of_features(np.full(4, 3 * 1.069045)), 3)
    (1.0, 0.5)
    """

    layers: tuple[str, ...]
    features: Annotated[int, Ge(1)]
    axes: Annotated[int, Ge(0)]
    statistics: str
    variances: tuple[Annotated[float, Gt(0)], ...]
    rest: Annotated[float, Gt(0)]
    threshold: Annotated[float, Gt(0)]
    images: Annotated[int, Ge(0)] = 0
    held_out: Annotated[int, Ge(0)] = 0
    brightness: tuple[float, float] = (0.0, 1.0)
    area: Annotated[int, Ge(0)] = 0
    relative: bool = False

    def __post_init__(self) -> None:
        try:
            size = len(base64.b64decode(self.statistics, validate=True))
        except ValueError as error:
            raise ValueError("statistics must be base64") from error
        rows = 2 + self.axes + self.relative
        if size != 4 * rows * self.features or len(self.variances) != self.axes:
            raise ValueError(f"statistics must hold {rows} rows of {self.features} numbers")
        if not np.isfinite(self._rows).all() or not (self._rows[1] > 0).all():
            raise ValueError("statistics must be finite, and units positive")
        if self.relative and (self.features % 2 or not (self._rows[-1] > 0).all()):
            raise ValueError("relative statistics must be of pairs of features, and their ground positive")

    @classmethod
    def of(
        cls,
        layers: Sequence[str],
        mean: FloatArray,
        unit: FloatArray,
        axes: FloatArray,
        variances: FloatArray,
        rest: float,
        threshold: float,
        ground: FloatArray | None = None,
    ) -> Familiarity:
        """Return the rule of these statistics; the rest is filled in with :func:`dataclasses.replace`.

        ``ground`` (k / 2,) makes them relative.
        """
        below = np.zeros((0, mean.size)) if ground is None else np.tile(ground, 2)[None]
        rows = np.concatenate([mean[None], unit[None], axes / np.sqrt(variances)[:, None], below]).astype("<f4")
        text = base64.b64encode(rows.tobytes()).decode("ascii")
        return cls(
            tuple(layers),
            mean.size,
            len(axes),
            text,
            tuple(map(float, variances)),
            float(rest),
            float(threshold),
            relative=ground is not None,
        )

    @cached_property
    def _rows(self) -> npt.NDArray[np.float64]:
        numbers = np.frombuffer(base64.b64decode(self.statistics), dtype="<f4").astype(np.float64)
        return numbers.reshape(-1, self.features)

    def distance(self, features: FloatArray) -> float:
        """Return d of an image from its features: means, then standard deviations, of all layers of the network.

        Raises
        ------
        InputError
            If they can't be those that the statistics are of: the network is another one.
        """
        exact = features.shape == (self.features,)
        if not exact and not (self.relative and features.ndim == 1 and features.size >= self.features):
            raise InputError(f"the statistics are of {self.features} features, the network has {features.size}")
        mean, unit, *scaled = self._rows[: 2 + self.axes]
        if self.relative:
            features = described(features, self._rows[-1, : self.features // 2])
        z = (features - mean) / unit
        along = np.array([axis @ z for axis in scaled])
        outside = float(z @ z) - float(along**2 @ np.array(self.variances))
        return math.sqrt((float(along @ along) + max(outside, 0.0) / self.rest) / self.features)

    def of_features(self, features: FloatArray) -> float:
        """Return the familiarity, 0 (a stranger) to 1, of the features (k,) of an image; 0 where one is not finite."""
        if not np.isfinite(features).all():
            return 0.0
        return float(1 / (1 + (self.distance(features) / self.threshold) ** 2))

    def larger(self, area: float) -> float | None:
        """Return how many times the largest training image an area is, if more than :data:`TIMES_AS_LARGE`."""
        return area / self.area if self.area and area > TIMES_AS_LARGE * self.area else None

    def doubts(self, familiarity: float | None, area: float, brightness: float) -> list[str]:
        """Return in words what sets an image apart from the training images, for the column ``warning``.

        Parameters
        ----------
        familiarity
            Of the image; None if unknown.
        area
            px of the image as the network sees it.
        brightness
            Mean of it, in [0, 1].
        """
        found, (dark, bright) = [], self.brightness
        if familiarity is not None and familiarity < WARN_BELOW:
            found.append(f"unlike the training images (familiarity {familiarity:.2f}): the interval may not hold")
        if not dark - BRIGHTNESS_MARGIN <= brightness <= bright + BRIGHTNESS_MARGIN:
            found.append(f"mean brightness {brightness:.2f} outside the {dark:.2f} to {bright:.2f} of training")
        times = self.larger(area)
        if times is not None:
            found.append(f"{times:,.0f} times as large as the largest training image: no interval is promised")
        return found


def described(features: FloatArray, ground: FloatArray) -> FloatArray:
    """Return (..., 2 c) of the last c channels: mean by standard deviation, and the logarithm of the latter.

    Parameters
    ----------
    features
        (..., 2 C) means, then standard deviations, of all C channels of an image.
    ground
        (c,) what is added to the standard deviations.

    Examples
    --------
    >>> described(np.array([9.0, 3.0, 9.0, 1.0]), np.array([0.5])).round(3).tolist()
    [2.0, 0.405]
    """
    half = features.shape[-1] // 2
    means, spread = features[..., half - ground.size : half], features[..., 2 * half - ground.size :] + ground
    return np.concatenate([means / spread, np.log(spread)], axis=-1)
