"""How far rounding can take the two bounds on the value apart: one formula for both routes.

The computed plan and dual are taken for exact ones of costs that are off by ``e_ij``. The plan's cost then changes by
at most ``sum_ij pi_ij |e_ij|``, and so does the dual to first order; what is beyond first order grows with ``|e_ij|``
relative to epsilon and rho, and is bounded by the largest. Sums in float64 come on top.

Compiled loops use these functions too: plain arithmetic only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dotcount.transport.costs import CostKind
from dotcount.transport.penalties import PenaltyKind

UNIT64 = 2.0**-53
"""Unit roundoff of float64."""
UNIT32 = 2.0**-24
"""Unit roundoff of float32."""
OF_COST, OF_UNIT, OF_EPSILON = 6.0, 6.0, 8.0
"""Units of rounding in a score, relative to the cost, the side of a cell and epsilon (exponentials and their sums)."""
OF_MASS = 16.0
"""Units of rounding in the mass that a dot gets."""
OF_SUM = 16.0
"""Units of rounding in a sum of float64, besides one for each of its terms."""
LARGEST_EXPONENT = 600.0
LARGEST_FLOORED = 0.1
"""Share of a dot's mass that clamped exponents may make up where the dot must be paid exactly."""

SQL2, WFR, KL = int(CostKind.SQL2), int(CostKind.WFR), int(PenaltyKind.KL)


class Scales(NamedTuple):
    """What arithmetic works on: ``unit`` is the side of a cell, ``far`` the largest coordinate difference.

    Where dots must be paid exactly, ``dot_rho`` is the strength of the price of bringing them there.
    """

    cost: int
    pixel: int
    epsilon: float
    pixel_rho: float
    dot_rho: float
    roundoff: float
    unit: float
    far: float


class Sizes(NamedTuple):
    """Sums over the cells and dots of an image at a point.

    ``mass`` is sum u, ``moved`` sum q, ``transport`` the plan's cost, ``stiff`` what costs close to their pole may add,
    ``potential`` the size of the pixels' terms, ``dots`` sum v + m + gamma, ``dot_potential`` sum gamma |beta|,
    ``slope`` sum gamma |d primal / d gamma|, ``span`` the largest difference of two potentials, ``terms`` the number of
    blocks and dots that are added up.
    """

    mass: float
    moved: float
    transport: float
    stiff: float
    potential: float
    dots: float
    dot_potential: float
    slope: float
    span: float
    terms: float
    stretch: float
    floored: float


def largest_error(scales: Scales, span: float) -> float:
    """Return a bound on the rounding of any score ``beta_j - c_ij``, but for ``wfr`` close to its pole."""
    far, unit = 2.0 * scales.far, scales.unit
    if scales.cost == SQL2:
        far, unit = far * far, unit * unit
    elif scales.cost == WFR:
        far = 80.0  # -2 ln cos at the last float64 before its pole is less
    return scales.roundoff * (OF_COST * far + OF_UNIT * unit + OF_EPSILON * scales.epsilon + 2.0 * span) + (
        8.0 * UNIT64 * far
    )


def relative_error(scales: Scales, span: float) -> float:
    """Return the largest rounding of a score relative to epsilon and to the pixels' rho; to be well below 1."""
    error = largest_error(scales, span)
    return error / scales.epsilon + error / scales.pixel_rho


def excess(scales: Scales, sizes: Sizes, error: float) -> tuple[float, float]:
    """Return how much too high the computed dual can be, and how much too low the computed cost of the plan.

    ``error`` is :func:`largest_error`.
    """
    of_cost, unit = OF_COST, scales.unit
    if scales.cost == SQL2:
        of_cost, unit = 2.0 * OF_COST, unit * unit
    first = scales.roundoff * (of_cost * sizes.transport + (OF_EPSILON * scales.epsilon + OF_UNIT * unit) * sizes.moved)
    if scales.cost == SQL2:
        first += 8.0 * UNIT64 * scales.far * math.sqrt(sizes.moved * max(sizes.transport, 0.0))
    else:
        first += 8.0 * UNIT64 * scales.far * sizes.moved
    sums = (
        (OF_SUM + sizes.terms)
        * UNIT64
        * (
            scales.pixel_rho * (sizes.mass + sizes.moved)
            + scales.dot_rho * sizes.dots
            + sizes.potential
            + sizes.dot_potential
            + sizes.transport
        )
    )
    bent = error / scales.epsilon
    second = 0.0
    if scales.pixel == KL:
        bent += error / scales.pixel_rho
    else:
        second = sizes.mass * error * error / (4.0 * scales.pixel_rho)
    below = first * math.exp(min(bent, LARGEST_EXPONENT)) + second + sums
    if not sizes.floored <= LARGEST_FLOORED:
        return below, math.inf
    mass_error = OF_MASS * scales.roundoff + sizes.floored
    above = first + sizes.stiff + sums + mass_error * (sizes.slope + mass_error * scales.dot_rho * sizes.dots)
    return below, sizes.stretch * above
