r"""Mass penalties ``rho * phi`` and their conjugates ``rho * phi*(z / rho)`` (paper Eq. 9, 10, 13).

========== ======================= ========================================== ========
name       phi(x)                  phi*(z)                                    phi(0)
========== ======================= ========================================== ========
kl         x ln x - x + 1          e^z - 1                                    1
quadratic  (x - 1)^2               z^2 / 4 + z for z >= -2, otherwise -1      1
========== ======================= ========================================== ========

As ``rho`` goes to infinity both become the constraint that the mass must not change: 0 for x = 1, infinite otherwise,
with the conjugate z.

``slope`` is the derivative of the conjugate: the factor by which the penalty lets the mass change,
``q = u slope(-alpha)``.
"""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dotcount.errors import InputError, UnknownNameError
from dotcount.registry import did_you_mean

LARGEST_RHO = 1e30
"""Strengths may be between the inverse of this and this."""


class PenaltyKind(enum.IntEnum):
    """The penalties, as numbers for compiled loops."""

    KL = 0
    QUADRATIC = 1
    EQUALITY = 2


@dataclass(frozen=True)
class Penalty(ABC):
    """A strictly convex penalty ``rho * phi`` on the ratio of transported to given mass.

    Parameters
    ----------
    rho
        Strength, in units of the cost; positive and finite.
    """

    rho: float
    kind: ClassVar[PenaltyKind]

    def __post_init__(self) -> None:
        if not 1.0 / LARGEST_RHO <= self.rho <= LARGEST_RHO:
            raise InputError(
                f"rho must be positive, between {1 / LARGEST_RHO:g} and {LARGEST_RHO:g}, or infinite for the dots; "
                f"got {self.rho}"
            )

    @property
    def at_zero(self) -> float:
        """``rho * phi(0)``: the price per unit of mass that is not transported at all."""
        return self.rho

    @abstractmethod
    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``rho * phi*(z / rho)``, elementwise."""

    @abstractmethod
    def conjugate_and_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return :meth:`conjugate` and :meth:`slope` together, cheaper than one by one."""

    @abstractmethod
    def slope(self, z: Tensor) -> Tensor:
        """Return the first derivative of :meth:`conjugate`, elementwise; never negative."""

    @abstractmethod
    def curvature(self, z: Tensor) -> Tensor:
        """Return the second derivative of :meth:`conjugate`, elementwise; never negative."""

    @abstractmethod
    def primal(self, ratio: Tensor) -> Tensor:
        """Return ``rho * phi(ratio)`` for ``ratio >= 0``, elementwise."""

    @abstractmethod
    def primal_slope(self, ratio: Tensor) -> Tensor:
        """Return the derivative of :meth:`primal`, elementwise; may be infinite at 0."""

    @abstractmethod
    def fenchel_young(self, ratio: Tensor, z: Tensor) -> Tensor:
        """Return ``primal(ratio) + conjugate(z) - z * ratio >= 0`` without cancellation, elementwise."""


class KL(Penalty):
    """``phi(x) = x ln x - x + 1``."""

    kind = PenaltyKind.KL

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``rho (e^{z/rho} - 1)``."""
        return self.rho * torch.expm1(z / self.rho)

    def conjugate_and_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``rho (e^{z/rho} - 1)`` and ``e^{z/rho}``."""
        excess = torch.expm1(z / self.rho)
        slope = torch.where(excess > -0.5, excess + 1.0, torch.exp(z / self.rho))  # neither of which cancels
        return self.rho * excess, slope

    def slope(self, z: Tensor) -> Tensor:
        """Return ``e^{z/rho}``."""
        return torch.exp(z / self.rho)

    def curvature(self, z: Tensor) -> Tensor:
        """Return ``e^{z/rho} / rho``."""
        return torch.exp(z / self.rho) / self.rho

    def primal(self, ratio: Tensor) -> Tensor:
        """Return ``rho (x ln x - x + 1)``."""
        return self.rho * (torch.xlogy(ratio, ratio) - ratio + 1.0)

    def primal_slope(self, ratio: Tensor) -> Tensor:
        """Return ``rho ln x``."""
        return self.rho * ratio.log()

    def fenchel_young(self, ratio: Tensor, z: Tensor) -> Tensor:
        """Return ``rho KL(x | e^{z/rho})``."""
        # rho KL(x | m) with m = e^{z/rho}; near m as x (r - ln(1 + r)) with r = m/x - 1, which is exact there.
        target = torch.exp(z / self.rho)
        positive = ratio > 0
        safe = torch.where(positive, ratio, 1.0)
        excess = (target - safe) / safe
        close = safe * (excess - torch.log1p(excess))
        far = target - safe + safe * (safe.log() - z / self.rho)
        return self.rho * torch.where(positive, torch.where(excess.abs() < 0.5, close, far).clamp(min=0.0), target)


class Quadratic(Penalty):
    """``phi(x) = (x - 1)^2``."""

    kind = PenaltyKind.QUADRATIC

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``z^2 / (4 rho) + z``, ``-rho`` below ``-2 rho``."""
        z = z.clamp(min=-2.0 * self.rho)
        return z * z / (4.0 * self.rho) + z

    def conjugate_and_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return both; see :meth:`conjugate` and :meth:`slope`."""
        return self.conjugate(z), self.slope(z)

    def slope(self, z: Tensor) -> Tensor:
        """Return ``1 + z / (2 rho)``, 0 below ``-2 rho``."""
        return (1.0 + z / (2.0 * self.rho)).clamp(min=0.0)

    def curvature(self, z: Tensor) -> Tensor:
        """Return ``1 / (2 rho)``, 0 below ``-2 rho``."""
        return (z > -2.0 * self.rho).to(z.dtype) / (2.0 * self.rho)

    def primal(self, ratio: Tensor) -> Tensor:
        """Return ``rho (x - 1)^2``."""
        return self.rho * (ratio - 1.0) ** 2

    def primal_slope(self, ratio: Tensor) -> Tensor:
        """Return ``2 rho (x - 1)``."""
        return 2.0 * self.rho * (ratio - 1.0)

    def fenchel_young(self, ratio: Tensor, z: Tensor) -> Tensor:
        """Return ``rho (x - 1 - z / (2 rho))^2``, below ``-2 rho`` its continuation."""
        inside = self.rho * (ratio - 1.0 - z / (2.0 * self.rho)) ** 2
        beyond = ratio * (self.rho * ratio - 2.0 * self.rho - z)
        return torch.where(z >= -2.0 * self.rho, inside, beyond)


class Equality(Penalty):
    """The limit of every penalty for an infinite strength: the mass must not change."""

    kind = PenaltyKind.EQUALITY

    def __init__(self) -> None:
        super().__init__(math.inf)

    def __post_init__(self) -> None:
        """Nothing is to be checked."""

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``z``."""
        return z

    def conjugate_and_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z`` and 1."""
        return z, torch.ones_like(z)

    def slope(self, z: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(z)

    def curvature(self, z: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(z)

    def primal(self, ratio: Tensor) -> Tensor:
        """Return 0 for a ratio of 1, otherwise infinity."""
        return torch.where(ratio == 1.0, 0.0, math.inf).to(ratio)

    def primal_slope(self, ratio: Tensor) -> Tensor:
        """Return NaN: there is none."""
        return torch.full_like(ratio, math.nan)

    def fenchel_young(self, ratio: Tensor, z: Tensor) -> Tensor:
        """Return 0 for a ratio of 1, otherwise infinity; see :mod:`dotcount.transport.rescaling`."""
        return self.primal(ratio) + torch.zeros_like(z)


PENALTIES: dict[str, type[Penalty]] = {"kl": KL, "quadratic": Quadratic}


def penalty(name: str, rho: float) -> Penalty:
    """Return the penalty called ``name`` with strength ``rho``, :class:`Equality` for an infinite one."""
    if name not in PENALTIES:
        known = ", ".join(PENALTIES)
        raise UnknownNameError(f"unknown penalty {name!r}.{did_you_mean(name, PENALTIES)} Known: {known}.")
    return Equality() if rho == math.inf else PENALTIES[name](rho)
