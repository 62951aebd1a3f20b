"""The options of a solve, with their defaults, which stand here only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from dotcount.errors import InputError
from dotcount.transport.costs import Cost
from dotcount.transport.penalties import Penalty, penalty
from dotcount.transport.problem import LARGEST_SCALE


class SolverKeywords(TypedDict, total=False):
    """The options of a solve by name, for type checkers and completion; :class:`SolverOptions` has their defaults."""

    stride: float
    cost: str
    penalty: str
    epsilon: float
    rho: float | str | Sequence[float | str]
    length_scale: float | None
    delta: float | None
    tol: float
    tol_gradient: float | None
    max_iter: int
    method: str


@dataclass(frozen=True)
class SolverOptions:
    """The options of :func:`dotcount.transport.solve`, checked; see there for what they mean.

    Raises
    ------
    InputError, UnknownNameError
        For values that are out of range, and for names of costs and penalties that there are not.

    Examples
    --------
    >>> from dotcount.transport import SolverOptions
    >>> SolverOptions(epsilon=0.05).strengths
    (1.0, 1.0)
    """

    stride: float = 1.0
    cost: str = "l2"
    penalty: str = "kl"
    epsilon: float = 0.01
    rho: float | str | Sequence[float | str] = 1.0
    length_scale: float | None = None
    delta: float | None = None
    tol: float = 1e-4
    tol_gradient: float | None = None
    max_iter: int = 500
    method: str = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= LARGEST_SCALE or 0 < self.epsilon < 1.0 / LARGEST_SCALE:
            raise InputError(
                f"epsilon must be finite and not negative: 0, or between {1 / LARGEST_SCALE:g} and {LARGEST_SCALE:g}; "
                f"got {self.epsilon}"
            )
        for name in ("stride", "length_scale", "tol", "tol_gradient"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} must be positive and finite; got {value}")
        if self.max_iter < 1:
            raise InputError(f"max_iter must be at least 1; got {self.max_iter}")

    @property
    def strengths(self) -> tuple[float, float]:
        """Strength of the penalties on pixels and dots; infinity may be given as text, which JSON can hold."""
        both = (self.rho, self.rho) if isinstance(self.rho, str | float | int) else self.rho
        try:
            pixels, dots = (float(one) for one in both)
        except (TypeError, ValueError) as error:
            raise InputError(f"rho must be one number or two, for pixels and dots; got {self.rho!r}") from error
        return pixels, dots

    @property
    def ground_cost(self) -> Cost:
        """The cost."""
        return Cost(self.cost, self.delta)

    @property
    def pixel_penalty(self) -> Penalty:
        """The penalty on the change of the pixels' mass."""
        if self.strengths[0] == math.inf:
            raise InputError(
                "rho may be infinite for the dots only, as in (1, inf): with an infinite strength on the pixels, mass "
                "that no dot asks for would have no plan, as in every image without dots"
            )
        return penalty(self.penalty, self.strengths[0])

    @property
    def dot_penalty(self) -> Penalty:
        """The penalty on the change of the dots' mass."""
        return penalty(self.penalty, self.strengths[1])
