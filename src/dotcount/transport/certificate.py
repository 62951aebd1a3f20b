"""What a point of the dual proves about the true problem: bounds on the value and on the gradient.

The shares at any beta give a plan that is feasible for the primal, so its cost bounds W from above, and the dual bounds
it from below. Three things separate the two: the gap of the point itself, the pairs that were left out (they make
alpha too large, by an amount that is bounded), and rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.dual import Dual, Point
from dotcount.transport.penalties import KL


@dataclass(frozen=True)
class Certificate:
    """Bounds for every image, (B,) float64: W lies in ``[lower, lower + gap]``.

    ``optimality``, ``dropped`` and ``rounding`` are the parts of ``gap``; ``shift`` (n_blocks, k) bounds how much too
    large alpha is; ``transport`` is the plan's cost ``<c, pi>``.
    """

    lower: Tensor
    gap: Tensor
    optimality: Tensor
    dropped: Tensor
    rounding: Tensor
    shift: Tensor
    transport: Tensor


def certify(dual: Dual, point: Point) -> Certificate:
    """Bound the value of the true problem from a point of the restricted one."""
    cells, pixel = dual.cells, dual.problem.pixel_penalty
    shift = dual.dropped(point)
    reached = torch.isfinite(point.alpha)
    lost = pixel.conjugate(shift - point.alpha) - pixel.conjugate(-point.alpha)
    dropped = cells.per_image(torch.where(reached, cells.mass * lost, 0.0))
    transport = dual.transport_cost(point)
    rounding = _rounding(dual, point, transport)
    lower = point.value - dropped - rounding
    return Certificate(lower, point.gap + dropped + 2.0 * rounding, point.gap, dropped, rounding, shift, transport)


def mass_terms(dual: Dual, point: Point) -> tuple[Tensor, Tensor]:
    """Return (B,) the prices of the pixels' and of the dots' change of mass."""
    problem, mass = dual.problem, dual.cells.mass
    ratio = torch.where(mass > 0, point.q / torch.where(mass > 0, mass, 1.0), 0.0)
    pixels = dual.cells.per_image(mass * problem.pixel_penalty.primal(ratio))
    ratio = point.gamma / torch.where(problem.present, problem.weights, 1.0)
    return pixels, (problem.weights * problem.dot_penalty.primal(ratio)).sum(1)


def _rounding(dual: Dual, point: Point, transport: Tensor) -> Tensor:
    """Return (B,) a bound on the rounding of the value, to first order.

    Costs and potentials, taken relative to the block, carry a relative error of a few units each, shares and their
    sums as well; their effect on alpha is weighted with the shares, hence on the value with the plan. All errors are
    taken to point one way: with few dots they may.
    """
    moved = point.gamma.sum(1)
    block = torch.zeros_like(moved).scatter_reduce_(0, dual.cells.image, dual.cells.unit, "amax")
    pairs = 0.5 * torch.finfo(dual.problem.dtype).eps
    sums = 4.0 * torch.finfo(torch.float64).eps
    exact = sums * (moved + point.m.sum(1) + (point.gamma * point.beta.abs()).sum(1))
    return pairs * (4.0 * transport + moved * (8.0 * dual.epsilon + 2.0 * block)) + exact


def potential_bound(dual: Dual, point: Point, certificate: Certificate) -> Tensor:
    """Return (B,) bounds on ``max_j |beta_j - beta*_j|``.

    There are two bounds. For KL the fixed-point map of beta is a contraction, and its residual ``ln(m / gamma)``
    bounds the distance. Where that fails, and for any penalty, the dual is strongly concave along the dots' own
    penalty, and the gap bounds the distance.
    """
    pixel, dot = dual.problem.pixel_penalty, dual.problem.dot_penalty
    if isinstance(pixel, KL) and isinstance(dot, KL) and dual.problem.epsilon > 0:
        bound = _contraction_bound(dual, point, certificate.shift, pixel.rho, dot.rho)
        if bool(torch.isfinite(bound).all()):
            return bound
        return torch.minimum(bound, _concavity_bound(dual, point, certificate.gap))
    return _concavity_bound(dual, point, certificate.gap)


def _contraction_bound(dual: Dual, point: Point, shift: Tensor, rho_pixel: float, rho_dot: float) -> Tensor:
    epsilon, cells = dual.epsilon, dual.cells
    active = point.q > 0
    largest = torch.zeros_like(point.value).scatter_reduce_(
        0, cells.image, torch.where(active, shift, 0.0).amax(1), "amax"
    )
    spilled = cells.per_image(torch.where(active, point.q * torch.expm1(shift / epsilon), 0.0))
    low = point.gamma * torch.exp(-largest / epsilon)[:, None]
    high = point.gamma * torch.exp(largest / rho_pixel)[:, None] + spilled[:, None]
    residual = torch.maximum(torch.log(point.m / low).abs(), torch.log(point.m / high).abs())
    residual = torch.where(dual.problem.present, residual, 0.0).amax(1).nan_to_num(math.inf, posinf=math.inf)
    residual = residual + 64.0 * torch.finfo(dual.problem.dtype).eps
    step = rho_dot * epsilon / (rho_dot + epsilon)
    rate = step * abs(1.0 / epsilon - 1.0 / rho_pixel)
    return residual * (step / (1.0 - rate) if rate < 1.0 else math.inf)


def _concavity_bound(dual: Dual, point: Point, gap: Tensor) -> Tensor:
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


def gradient_bound(dual: Dual, point: Point, certificate: Certificate, inside: Tensor | None) -> Tensor:
    """Return (B,) bounds on the error of every element of the gradient in cells ``inside`` (n_blocks, k), or in all."""
    alpha, shift = point.alpha, torch.where(torch.isfinite(point.alpha), certificate.shift, 0.0)
    if inside is not None:
        alpha, shift = alpha.masked_fill(~inside, math.inf), shift.masked_fill(~inside, 0.0)
    # The conjugate is convex: the error grows with both, so the largest of each will do.
    image, penalty = dual.cells.image, dual.problem.pixel_penalty
    lowest = torch.full_like(point.value, math.inf).scatter_reduce_(0, image, alpha.amin(1), "amin")
    off = torch.zeros_like(point.value).scatter_reduce_(0, image, shift.amax(1), "amax")
    off = off + torch.where(dual.problem.present.any(1), potential_bound(dual, point, certificate), 0.0)
    bound = penalty.conjugate(off - lowest) - penalty.conjugate(-lowest)
    bound = torch.where(torch.isfinite(off), bound, math.inf)
    return torch.where(torch.isfinite(lowest), bound, 0.0)
