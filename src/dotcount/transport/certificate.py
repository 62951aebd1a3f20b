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

from dotcount.transport.cells import Cells
from dotcount.transport.dual import Dual, Point
from dotcount.transport.penalties import KL
from dotcount.transport.problem import Problem


@dataclass(frozen=True)
class Certificate:
    """Bounds for every image, (B,) float64: W lies in ``[lower, lower + gap]``.

    ``optimality``, ``dropped`` and ``rounding`` are the parts of ``gap``; ``shift`` bounds how much too large alpha is
    anywhere, ``spilled`` the mass that belongs to pairs left out; ``transport`` is the plan's cost ``<c, pi>``,
    ``pixels`` the price of the change of the pixels' mass.
    """

    lower: Tensor
    gap: Tensor
    optimality: Tensor
    dropped: Tensor
    rounding: Tensor
    shift: Tensor
    spilled: Tensor
    transport: Tensor
    pixels: Tensor


@dataclass(frozen=True)
class Setting:
    """What of a dual function a bound on the gradient depends on: all but its pairs, which are large."""

    problem: Problem
    cells: Cells
    epsilon: float


class GradientBounds:
    """The bounds :func:`gradient_bound` of a batch, computed when they are asked for: in training nobody does."""

    def __init__(self, dual: Dual, point: Point, certificate: Certificate, inside: Tensor | None) -> None:
        self._evidence = (Setting(dual.problem, dual.cells, dual.epsilon), point, certificate, inside)

    @functools.cached_property
    def values(self) -> list[float]:
        """One bound an image."""
        bounds: list[float] = gradient_bound(*self._evidence).tolist()
        return bounds


def certify(dual: Dual, point: Point) -> Certificate:
    """Bound the value of the true problem from a point of the restricted one."""
    account = dual.account(point)
    rounding = _rounding(dual, point, account.transport)
    return Certificate(
        lower=point.value - account.dropped - rounding,
        gap=point.gap + account.dropped + 2.0 * rounding,
        optimality=point.gap,
        dropped=account.dropped,
        rounding=rounding,
        shift=account.shift,
        spilled=account.spilled,
        transport=account.transport,
        pixels=account.pixels,
    )


def dot_term(dual: Dual, point: Point) -> Tensor:
    """Return (B,) the price of the change of the dots' mass."""
    problem = dual.problem
    ratio = point.gamma / torch.where(problem.present, problem.weights, 1.0)
    return (problem.weights * problem.dot_penalty.primal(ratio)).sum(1)


def _rounding(dual: Dual, point: Point, transport: Tensor) -> Tensor:
    """Return (B,) a bound on the rounding of the value, to first order.

    Costs and potentials, taken relative to the block, carry a relative error of a few units each, shares and their
    sums as well; their effect on alpha is weighted with the shares, hence on the value with the plan. All errors are
    taken to point one way: with few dots they may.
    """
    moved, dtype = point.gamma.sum(1), dual.problem.dtype
    units = torch.zeros_like(moved).scatter_reduce_(0, dual.cells.image, dual.cells.unit, "amax")
    sums = 4.0 * torch.finfo(torch.float64).eps
    exact = sums * (moved + point.m.sum(1) + (point.gamma * point.beta.abs()).sum(1))
    return least_rounding(units, dual.epsilon, moved, dtype) + 2.0 * torch.finfo(dtype).eps * transport + exact


def least_rounding(units: Tensor | float, epsilon: float, moved: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (B,) the part of the bound on rounding that is known before the cost is: ``moved`` is the mass sent."""
    return 0.5 * torch.finfo(dtype).eps * moved * (8.0 * epsilon + 2.0 * units)


def potential_bound(dual: Dual | Setting, point: Point, certificate: Certificate) -> Tensor:
    """Return (B,) bounds on ``max_j |beta_j - beta*_j|``.

    There are two bounds. For KL the fixed-point map of beta is a contraction, and its residual ``ln(m / gamma)``
    bounds the distance. Where that fails, and for any penalty, the dual is strongly concave along the dots' own
    penalty, and the gap bounds the distance.
    """
    pixel, dot = dual.problem.pixel_penalty, dual.problem.dot_penalty
    if isinstance(pixel, KL) and isinstance(dot, KL) and dual.problem.epsilon > 0:
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
    residual = torch.where(dual.problem.present, residual, 0.0).amax(1).nan_to_num(math.inf, posinf=math.inf)
    residual = residual + 64.0 * torch.finfo(dual.problem.dtype).eps
    step = rho_dot * epsilon / (rho_dot + epsilon)
    rate = step * abs(1.0 / epsilon - 1.0 / rho_pixel)
    return residual * (step / (1.0 - rate) if rate < 1.0 else math.inf)


def _concavity_bound(dual: Dual | Setting, point: Point, gap: Tensor) -> Tensor:
    """Return the smallest D with ``mu(D) D^2 / 2 >= gap``, where ``mu(D)`` is the least curvature within D of beta."""
    penalty, v = dual.problem.dot_penalty, dual.problem.weights

    def curvature(reach: Tensor) -> Tensor:
        bend = v * penalty.curvature(-point.beta - reach[:, None])
        return torch.where(dual.problem.present, bend, math.inf).amin(1)

    reach = torch.zeros_like(gap)
    for _ in range(40):
        reach = torch.sqrt(2.0 * gap / curvature(reach))
    proven = 0.5 * curvature(reach) * reach.square() >= gap * (1.0 - 1e-6)
    return torch.where(proven, reach * (1.0 + 1e-5), math.inf)


def gradient_bound(dual: Dual | Setting, point: Point, certificate: Certificate, inside: Tensor | None) -> Tensor:
    """Return (B,) bounds on the error of every element of the gradient in cells ``inside`` (n_blocks, k), or in all."""
    alpha = point.alpha if inside is None else point.alpha.masked_fill(~inside, math.inf)
    # The conjugate is convex: the error grows with both, so the largest of each will do.
    image, penalty = dual.cells.image, dual.problem.pixel_penalty
    lowest = torch.full_like(point.value, math.inf).scatter_reduce_(0, image, alpha.amin(1), "amin")
    off = certificate.shift + torch.where(dual.problem.present.any(1), potential_bound(dual, point, certificate), 0.0)
    bound = penalty.conjugate(off - lowest) - penalty.conjugate(-lowest)
    bound = torch.where(torch.isfinite(off), bound, math.inf)
    return torch.where(torch.isfinite(lowest), bound, 0.0)
