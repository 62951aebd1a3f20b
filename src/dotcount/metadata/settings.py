"""The settings with which a model counts: how images are brought to it, and peaks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from annotated_types import Gt, Interval

from dotcount.errors import UsageError
from dotcount.intensity import IntensityRule
from dotcount.resize import ResizeRule
from dotcount.selection import POINTS, ImageSelection
from dotcount.typed import Strict


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
class ScaleRule(Strict):
    """The scale of the training images as they were brought, before any resizing; None where it is not known.

    Attributes
    ----------
    pixel_size
        Side of a pixel on the ground, m.
    object_size
        Median distance of an object's centre to its nearest neighbour's, px: the median over the images.
    object_sizes
        The 5 % and 95 % quantiles of that distance over the images.

    Examples
    --------
    >>> ScaleRule(pixel_size=0.6, object_size=13.9, object_sizes=(9.1, 21.0)).pixel_size
    0.6
    """

    pixel_size: Annotated[float, Gt(0)] | None = None
    object_size: Annotated[float, Gt(0)] | None = None
    object_sizes: tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)]] | None = None


@dataclass(frozen=True)
class PeakRule(Strict):
    """From a density map to points; the arguments of :func:`dotcount.inference.find_peaks`.

    Attributes
    ----------
    method
        ``mass`` or ``nms``, peaks above the threshold; ``count``, as many points as the rounded count.
    radius
        Windows are ``(2 radius + 1)^2`` cells.
    threshold
        Least mass of a point, objects.

    Examples
    --------
    >>> PeakRule(method="nms", radius=2).threshold
    0.5
    """

    method: Literal["mass", "nms", "count"] = "mass"
    radius: Annotated[int, Interval(ge=1, le=64)] = 1
    threshold: Annotated[float, Interval(ge=0, le=1000)] = 0.5

    def placing(self, points: str) -> PeakRule:
        """Return the rule for a choice of points: ``auto``: this one; ``count``; ``peaks``: those, ``mass`` if none.

        Raises
        ------
        UsageError
            For another word.

        Examples
        --------
        >>> PeakRule(threshold=0.4).placing("count").method
        'count'
        """
        if points not in POINTS:
            raise UsageError(f"`points` must be one of {', '.join(POINTS)}; got {points!r}")
        if points == "count":
            return replace(self, method="count")
        return replace(self, method="mass") if points == "peaks" and self.method == "count" else self
