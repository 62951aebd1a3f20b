"""The settings with which a model counts: how images are brought to it, peaks, the interval of a count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, Lt

from dotcount.errors import InputError
from dotcount.intensity import IntensityRule
from dotcount.resize import ResizeRule
from dotcount.selection import ImageSelection
from dotcount.typed import Strict, parse


@dataclass(frozen=True)
class CountInterval(Strict):
    """A calibrated interval for a predicted count: ``c_hat -+ scale * sqrt(c_hat + 1)``, cut at zero.

    Split conformal prediction (Lei et al. 2018): if calibration and new images are exchangeable, the interval holds the
    true count with probability at least ``level``, on average over images, whatever the model. It makes no promise for
    images of another kind than the ones it was calibrated on.

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

    >>> CountInterval(level=0.9, scale=0.5, n=40).interval(8.0)
    (6.5, 9.5)
    """

    __pydantic_config__ = {**Strict.__pydantic_config__, "allow_inf_nan": True}  # NaN is in no range

    level: Annotated[float, Gt(0), Lt(1)]
    scale: Annotated[float, Ge(0)]
    n: Annotated[int, Ge(0)]
    reason: str = ""

    @property
    def finite(self) -> bool:
        """Whether there were enough images for an interval of finite width."""
        return math.isfinite(self.scale)

    def interval(self, count: float) -> tuple[float, float]:
        """Return (low, high) for one predicted count; high is infinite when ``scale`` is."""
        if not (math.isfinite(count) and count >= 0):
            raise InputError(f"count must be a finite number >= 0; got {count}")
        reach = self.scale * math.sqrt(count + 1)
        return max(0.0, count - reach), count + reach

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON; an infinite scale becomes ``None``."""
        return asdict(self) | {"scale": self.scale if self.finite else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, object], origin: str = "count interval") -> CountInterval:
        """Rebuild from :meth:`to_dict`; an incomplete or altered mapping is an :class:`InputError`."""
        return parse(cls, with_infinity(values), origin, InputError)


@dataclass(frozen=True)
class InputRule(Strict):
    """From a file's pixels to what the network sees.

    Attributes
    ----------
    resize
        How large images are made.
    intensity
        From stored values to brightness, fitted on the training images.
    channels
        What the three channels are.
    selection
        What is read of files that hold more than one picture.

    Examples
    --------
    >>> from dotcount.data import ResizeRule
    >>> InputRule(ResizeRule(max_side=2048)).resize.size(4096, 3000)
    (2048, 1500)
    """

    resize: ResizeRule = field(default_factory=ResizeRule)
    intensity: IntensityRule = field(default_factory=IntensityRule)
    channels: Literal["rgb"] = "rgb"
    selection: ImageSelection = field(default_factory=ImageSelection)


@dataclass(frozen=True)
class PeakRule(Strict):
    """From a density map to points; the arguments of :func:`dotcount.inference.find_peaks`.

    Attributes
    ----------
    method
        ``mass`` or ``nms``.
    radius
        Windows are ``(2 radius + 1)^2`` cells.
    threshold
        Least mass of a point, objects.

    Examples
    --------
    >>> PeakRule(method="nms", radius=2).threshold
    0.5
    """

    method: Literal["mass", "nms"] = "mass"
    radius: Annotated[int, Interval(ge=1, le=64)] = 1
    threshold: Annotated[float, Interval(ge=0, le=1000)] = 0.5


def with_infinity(values: Mapping[str, object]) -> dict[str, object]:
    """Return an interval's values with infinity for a scale of ``None``, which is how JSON holds it."""
    return {key: math.inf if key == "scale" and value is None else value for key, value in values.items()}
