"""The settings with which a model counts: how images are brought to it, and peaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from dotcount.intensity import IntensityRule
from dotcount.resize import ResizeRule
from dotcount.selection import ImageSelection
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
