"""What a point of the dual proves about the true problem: bounds on the value and on the gradient.

The shares at any beta give a plan that is feasible for the primal, so its cost bounds W from above, and the dual bounds
it from below. Three things separate the two: the gap of the point itself, the pairs that were left out (they make
alpha too large, by an amount that is bounded), and rounding.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.cells import CellBlocks
from dotcount.transport.dual import Dual, Point
from dotcount.transport.penalties import KL, Equality
from dotcount.transport.problem import TransportProblem
from dotcount.transport.rounding import OF_EPSILON, OF_UNIT, UNIT64, Scales, largest_error

LEAST_SLOPE = 2e-304
"""Slopes of the pixels' conjugate below this are counted as about this by compiled loops, which clamp exponents."""


@dataclass(frozen=True)
class Certificate:
    """Bounds for every image, (B,) float64: W lies in ``[lower, lower + gap]``.

    ``optimality``, ``dropped``, ``below`` and ``above`` (rounding) are the parts of ``gap``; ``shift`` bounds how much
    too large alpha is anywhere, ``spilled`` the mass that belongs to pairs left out; ``transport`` is the plan's cost
    ``<c, pi>``, ``pixels`` the price of the change of the pixels' mass.
    """

    lower: Tensor
    gap: Tensor
    optimality: Tensor
    dropped: Tensor
    below: Tensor
    above: Tensor
    shift: Tensor
    spilled: Tensor
    transport: Tensor
    pixels: Tensor


@dataclass(frozen=True)
class Setting:
    """What of a dual function a bound on the gradient depends on: all but its pairs, which are large."""

    problem: TransportProblem
    cells: CellBlocks
    epsilon: float
    log_floored: float


class GradientBounds:
    """The bounds :func:`gradient_bound` of a batch, computed when they are asked for: in training nobody does."""

    def __init__(
        self, dual: Dual, point: Point, certificate: Certificate, inside: Tensor | None, dtype: torch.dtype
    ) -> None:
        self._evidence = (
            Setting(dual.problem, dual.cells, dual.epsilon, dual.log_floored),
            point,
            certificate,
            inside,
            dtype,
        )

    @functools.cached_property
    def values(self) -> list[float]:
        """One bound an image."""
        bounds: list[float] = gradient_bound(*self._evidence).tolist()
        return bounds


def certify(dual: Dual, point: Point) -> Certificate:
    """Bound the value of the true problem from a point of the restricted one."""
    account = dual.account(point)
    low = account.dropped + account.below
    return Certificate(
        lower=point.value - low,
        # Not less after the rounding of ``lower + gap``, which may cancel.
        gap=point.gap + low + account.above + 8.0 * UNIT64 * ((point.value - low).abs() + point.gap + low),
        optimality=point.gap,
        dropped=account.dropped,
        below=account.below,
        above=account.above,
        shift=account.shift,
        spilled=account.spilled,
        transport=account.transport,
        pixels=account.pixels,
    )


def dot_term(dual: Dual, point: Point) -> Tensor:
    """Return (B,) the price of the change of the dots' mass; 0 where it must not change, and does within the gap."""
    problem = dual.problem
    if isinstance(problem.dot_penalty, Equality):
        return torch.zeros_like(point.value)
    ratio = point.gamma / torch.where(problem.present, problem.weights, 1.0)
    return (problem.weights * problem.dot_penalty.primal(ratio)).sum(1)


def least_rounding(units: float, epsilon: float, moved: Tensor, roundoff: float) -> Tensor:
    """Return (B,) the part of the bound on rounding that is known before the cost is: ``moved`` is the mass sent."""
    return moved * (roundoff * (OF_EPSILON * epsilon + OF_UNIT * units))


def _score_error(dual: Dual | Setting, point: Point) -> Tensor:
    """Return (B,) bounds on the rounding of any score."""
    problem = dual.problem
    absent = ~problem.present
    span = point.beta.masked_fill(absent, -math.inf).amax(1) - point.beta.masked_fill(absent, math.inf).amin(1)
    pixel, dot = problem.pixel_penalty, problem.dot_penalty
    kinds, roundoff = (int(problem.cost.kind), int(pixel.kind)), 0.5 * torch.finfo(problem.dtype).eps
    found = [
        largest_error(Scales(*kinds, dual.epsilon, pixel.rho, dot.rho, roundoff, grid.unit, far), wide)
        for grid, far, wide in zip(dual.cells.grids, problem.far, span.clamp(min=0.0).tolist())
    ]
    return torch.tensor(found, dtype=torch.float64, device=point.value.device)


def potential_bound(dual: Dual | Setting, point: Point, certificate: Certificate) -> Tensor:
    """Return (B,) bounds on ``max_j |beta_j - beta*_j|``.

    There are two bounds. For KL the fixed-point map of beta is a contraction, and its residual ``ln(m / gamma)``
    bounds the distance. Where that fails, and for any penalty, the dual is strongly concave along the dots' own
    penalty, and the gap bounds the distance.
    """
    pixel, dot = dual.problem.pixel_penalty, dual.problem.dot_penalty
    if isinstance(pixel, KL) and isinstance(dot, KL | Equality) and dual.problem.epsilon > 0:
        bound = _contraction_bound(dual, point, certificate, pixel.rho, dot.rho)
        if bool(torch.isfinite(bound).all()):
            return bound
        return torch.minimum(bound, _concavity_bound(dual, point, certificate.gap))
    return _concavity_bound(dual, point, certificate.gap)


def _contraction_bound(
    dual: Dual | Setting, point: Point, certificate: Certificate, rho_pixel: float, rho_dot: float
) -> Tensor:
    epsilon, largest, spilled = dual.epsilon, certificate.shift, certificate.spilled
    low = point.gamma * torch.exp(-largest / epsilon)[:, None]
    high = point.gamma * torch.exp(largest / rho_pixel)[:, None] + spilled[:, None]
    residual = torch.maximum(torch.log(point.m / low).abs(), torch.log(point.m / high).abs())
    # What gamma may be off by rounding, relative to itself: shares, masses sent, sums, and what underflows.
    error, precision = _score_error(dual, point), torch.finfo(dual.problem.dtype)
    noise = error * (2.0 / epsilon + 1.0 / rho_pixel) + 64.0 * precision.eps
    lost = dual.cells.mass.numel() * 1e3 * precision.tiny + point.gamma.sum(1) * math.exp(dual.log_floored)
    lost = lost + dual.cells.per_image(dual.cells.mass) * LEAST_SLOPE
    share = (lost[:, None] / point.gamma).clamp(max=1.0)
    residual = residual + noise[:, None] - torch.log1p(-share)
    residual = torch.where(dual.problem.present, residual, 0.0).amax(1).nan_to_num(math.inf, posinf=math.inf)
    # (1 - rate) / step, without the cancellation of rate = step |1 / epsilon - 1 / rho_pixel| with 1
    left = 1.0 / rho_pixel + 1.0 / rho_dot
    if epsilon > rho_pixel:
        left = 2.0 / epsilon + 1.0 / rho_dot - 1.0 / rho_pixel
    return residual / left if left > 0.0 else torch.full_like(residual, math.inf)


def _concavity_bound(dual: Dual | Setting, point: Point, gap: Tensor) -> Tensor:
    """Return the smallest D with ``mu(D) D^2 / 2 >= gap``, where ``mu(D)`` is the least curvature within D of beta."""
    penalty, v = dual.problem.dot_penalty, dual.problem.weights

    def curvature(reach: Tensor) -> Tensor:
        each = v * penalty.curvature(-point.beta - reach[:, None])
        return torch.where(dual.problem.present, each, math.inf).amin(1)

    reach = torch.zeros_like(gap)
    for _ in range(40):
        reach = torch.sqrt(2.0 * gap / curvature(reach))
    proven = 0.5 * curvature(reach) * reach.square() >= gap * (1.0 - 1e-6)
    return torch.where(proven, reach * (1.0 + 1e-5), math.inf)


def gradient_bound(
    dual: Dual | Setting, point: Point, certificate: Certificate, inside: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """Return (B,) bounds on the error of every element of the gradient in cells ``inside`` (n_blocks, k), or in all.

    The gradient is handed out in ``dtype``, whose rounding is part of the bound.
    """
    alpha = point.alpha if inside is None else point.alpha.masked_fill(~inside, math.inf)
    # The conjugate is convex: the error grows with both, so the largest of each will do.
    image, penalty, some = dual.cells.image, dual.problem.pixel_penalty, dual.problem.present.any(1)
    lowest = torch.full_like(point.value, math.inf).scatter_reduce_(0, image, alpha.amin(1), "amin")
    off = certificate.shift + _score_error(dual, point)
    off = off + torch.where(some, potential_bound(dual, point, certificate), 0.0)
    steepest = penalty.conjugate(-lowest)
    bound = penalty.conjugate(off - lowest) - steepest
    bound = torch.where(torch.isfinite(off), bound, math.inf)
    bound = torch.where(torch.isfinite(lowest), bound, 0.0)
    bound = torch.where(torch.isfinite(point.gap), bound, math.inf)
    exponent = torch.where(torch.isfinite(lowest), 1.0 + lowest.abs() / penalty.rho, 1.0)
    relative = 0.5 * torch.finfo(dtype).eps + 4.0 * UNIT64 * exponent
    rounded = relative * steepest.abs().clamp(min=penalty.rho) + torch.finfo(dtype).tiny
    return (bound * (1.0 + 1e-9) + rounded).nan_to_num(math.inf, posinf=math.inf)
