"""The interval of a count: its width, what it promises, and the errors that it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt

from dotcount.errors import InputError
from dotcount.typed import Strict, parse


@dataclass(frozen=True)
class ScaledErrors(Strict):
    """Moments of the errors ``e = c - c_hat`` of the calibration images; with ``s^2 = c_hat + 1``.

    What the interval of a sum rests on, see :func:`dotcount.calibration.interval_of_sum`.

    Attributes
    ----------
    mean
        ``m = sum e / sum s^2``, the error that all images share, per object.
    deviation
        Root of ``n / (n - 1) sum (e - m s^2)^2 / sum s^2``.
    total
        ``sum s^2``.

    Examples
    --------
    >>> ScaledErrors(mean=0.01, deviation=0.8, total=2500.0).deviation
    0.8
    """

    mean: float
    deviation: Annotated[float, Ge(0)]
    total: Annotated[float, Gt(0)]


@dataclass(frozen=True)
class CountInterval(Strict):
    """A calibrated interval for a predicted count: ``c_hat -+ scale * sqrt(c_hat + 1)``, cut at zero.

    Split conformal prediction (Lei et al. 2018). If calibration and new images are exchangeable, the interval holds the
    true count of a new image with probability at least ``level``, whatever the model: on average over draws of the
    calibration images where ``confidence`` is None, otherwise for a share ``confidence`` of the draws
    (training-conditional, Vovk 2012). It makes no promise for images of another kind than the ones it was calibrated
    on.

    Attributes
    ----------
    level
        The promised coverage.
    scale
        Finite-sample quantile of ``|c - c_hat| / sqrt(c_hat + 1)``; infinite when there are too few images.
    n
        Number of calibration images.
    reason
        Why there is no finite interval; empty when there is one.
    confidence
        Probability, over draws of the calibration images, that at least ``level`` of the images are covered; None: the
        coverage is ``level`` on average over draws, and of a single draw it may be less.
    part_scale
        The same quantile for parts of an image; None if not calibrated.
    errors
        Moments of the errors; None if unknown, as in models of older versions.

    >>> CountInterval(level=0.9, scale=0.5, n=40).interval(8.0)
    (6.5, 9.5)
    """

    __pydantic_config__ = {**Strict.__pydantic_config__, "allow_inf_nan": True}  # NaN is in no range

    level: Annotated[float, Gt(0), Lt(1)]
    scale: Annotated[float, Ge(0)]
    n: Annotated[int, Ge(0)]
    reason: str = ""
    confidence: Annotated[float, Gt(0), Lt(1)] | None = None
    part_scale: Annotated[float, Ge(0), Lt(math.inf)] | None = None
    errors: ScaledErrors | None = None

    @property
    def finite(self) -> bool:
        """Whether there were enough images for an interval of finite width."""
        return math.isfinite(self.scale)

    @property
    def promise(self) -> str:
        """What the interval promises, for people.

        >>> CountInterval(0.9, 0.5, 40, confidence=0.8).promise
        'the true count of at least 90% of such images, with 80% confidence'
        """
        if self.confidence is None:
            return f"the true count of {self.level:.0%} of such images, on average over draws of calibration images"
        return f"the true count of at least {self.level:.0%} of such images, with {self.confidence:.0%} confidence"

    def interval(self, count: float) -> tuple[float, float]:
        """Return (low, high) for one predicted count; high is infinite when ``scale`` is."""
        return _around(count, self.scale)

    def part(self, count: float) -> tuple[float, float] | None:
        """Return (low, high) for the count in a part of an image, such as a region; None if not calibrated for parts.

        The errors of parts are larger than their share of the image's: what lies on their border may be counted on
        either side, and what cancels in the whole need not in a part.

        >>> CountInterval(0.9, 0.5, 40, part_scale=1.0).part(8.0)
        (5.0, 11.0)
        """
        return None if self.part_scale is None or not self.finite else _around(count, self.part_scale)

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON; an infinite scale becomes ``None``."""
        return asdict(self) | {"scale": self.scale if self.finite else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, object], origin: str = "count interval") -> CountInterval:
        """Rebuild from :meth:`to_dict`; an incomplete or altered mapping is an :class:`InputError`."""
        return parse(cls, with_infinity(values), origin, InputError)


def with_infinity(values: Mapping[str, object]) -> dict[str, object]:
    """Return an interval's values with infinity for a scale of ``None``, which is how JSON holds it."""
    return {key: math.inf if key == "scale" and value is None else value for key, value in values.items()}


def _around(count: float, scale: float) -> tuple[float, float]:
    if not (math.isfinite(count) and count >= 0):
        raise InputError(f"count must be a finite number >= 0; got {count}")
    reach = scale * math.sqrt(count + 1)
    return max(0.0, count - reach), count + reach
