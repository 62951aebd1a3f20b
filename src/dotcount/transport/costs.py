"""Ground costs between pixels and dots, as monotone functions of a distance.

Coordinates are dimensionless: pixels divided by ``length_scale``. Every cost is ``h(d)`` with ``h`` non-decreasing and
``d`` the Euclidean (or, for ``l1``, the city-block) distance, so that bounds on ``d`` over a block of pixels give
bounds on the cost over it.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.errors import InputError, UnknownNameError
from dotcount.registry import did_you_mean


class CostKind(enum.IntEnum):
    """The costs, as numbers for compiled loops; their names are those of the option, in lower case."""

    L1 = 0
    L2 = 1
    SQL2 = 2
    WFR = 3


COSTS = tuple(kind.name.lower() for kind in CostKind)


@dataclass(frozen=True)
class Cost:
    """A ground cost.

    ``l1``: ``|dx| + |dy|``. ``l2``: ``sqrt(dx^2 + dy^2)`` (the paper's best). ``sql2``: ``dx^2 + dy^2``.
    ``wfr``: ``-2 ln cos(min(d / delta, pi/2))``, infinite from ``d = pi delta / 2`` on (paper Eq. 12).

    Parameters
    ----------
    name
        One of ``l1``, ``l2``, ``sql2``, ``wfr``.
    delta
        Length of ``wfr`` in units of ``length_scale``; must be given for it and for no other cost.

    Raises
    ------
    UnknownNameError, InputError
        For another name, and for a ``delta`` that is missing, not positive or out of place.
    """

    name: str
    delta: float | None = None

    def __post_init__(self) -> None:
        if self.name not in COSTS:
            raise UnknownNameError(
                f"unknown cost {self.name!r}.{did_you_mean(self.name, COSTS)} Known: {', '.join(COSTS)}."
            )
        if self.name == "wfr":
            if self.delta is None or not math.isfinite(self.delta) or self.delta <= 0:
                raise InputError(f"cost 'wfr' needs delta > 0 (in units of length_scale); got {self.delta}")
        elif self.delta is not None:
            raise InputError(f"delta belongs to cost 'wfr'; leave it out for cost {self.name!r} (got {self.delta})")

    @property
    def kind(self) -> CostKind:
        """The cost as a number."""
        return CostKind[self.name.upper()]

    @property
    def reach(self) -> float:
        """Distance from which the cost is infinite, in units of ``length_scale``."""
        return math.inf if self.delta is None else 0.5 * math.pi * self.delta

    def width(self, epsilon: float) -> float:
        """Distance over which ``exp(-c / epsilon)`` falls by a factor e, near 0; in units of ``length_scale``."""
        if self.name in ("l1", "l2"):
            return epsilon
        return math.sqrt(epsilon) * (1.0 if self.delta is None else self.delta)

    def blur(self, width: float) -> float:
        """Epsilon of a given :meth:`width`."""
        if self.name in ("l1", "l2"):
            return width
        return (width / (1.0 if self.delta is None else self.delta)) ** 2

    def of_difference(self, dx: Tensor, dy: Tensor) -> Tensor:
        """Return the cost for coordinate differences ``dx``, ``dy`` (broadcast; dimensionless)."""
        if self.name == "l1":
            return dx.abs() + dy.abs()
        squared = dx * dx + dy * dy
        if self.name == "sql2":
            return squared
        distance = squared.sqrt_()
        if self.delta is None:
            return distance
        angle = distance / self.delta
        cost = torch.cos(angle.clamp(max=0.5 * math.pi)).log_().mul_(-2.0)
        return cost.masked_fill_(angle >= 0.5 * math.pi, math.inf)
