"""Transport without blur (epsilon = 0): a smoothing schedule, certified against the hard minimum.

The dual ``G_0(beta)``, with ``alpha_i = min_j (c_ij - beta_j)``, is not smooth. Its maximiser is approached by the
solutions for falling epsilon. Each gives a lower bound, ``G_0`` at its beta, and an upper bound, the cost of its plan
without the entropy; the schedule ends when the two meet the tolerance. Where dots must be paid exactly, the columns
of the plan are rescaled to that first.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from dotcount.transport.certificate import dot_term
from dotcount.transport.compiled import make_dual
from dotcount.transport.methods.base import Control, Outcome, Start, limit, nobody
from dotcount.transport.methods.newton import newton
from dotcount.transport.penalties import Equality
from dotcount.transport.problem import TransportProblem
from dotcount.transport.rescaling import TINY
from dotcount.transport.rounding import LARGEST_EXPONENT, UNIT64

FIRST = 8.0
"""First epsilon, relative to a value of ``0.02 tol`` per unit of mass."""
ROUNDS = 6
"""How often epsilon may be lowered."""
FALL = 4.0
"""Factor by which it is lowered."""


def solve_hard(problem: TransportProblem, start: Start, control: Control) -> Outcome:
    """Solve with epsilon = 0."""
    problem = replace(problem, dtype=torch.float64)
    mass = min(float(sum(one.sum() for one in problem.densities)), float(problem.weights.sum()))
    epsilon = max(FIRST * control.tol * max(1.0, 0.02 * mass) / max(1.0, mass), 1e-7 * problem.extent)
    epsilon = min(epsilon, 1e30)
    used = nobody(start)
    for _ in range(ROUNDS):
        left = max(1, control.max_iter - int(used.max()))
        soft = newton(replace(problem, epsilon=epsilon), start, Control(0.25 * control.tol, None, left))
        used = used + soft.evaluations
        outcome = _harden(soft, used)
        done = outcome.certificate.gap <= limit(outcome.point, control.tol)
        if bool(done.all()) or int(used.max()) >= control.max_iter:
            break
        start = Start(soft.point.beta, torch.ones_like(start.warm))
        epsilon /= FALL
    return outcome


def _harden(soft: Outcome, evaluations: Tensor) -> Outcome:
    """Turn a smooth outcome into one for epsilon = 0: hard alpha below, the plan's cost without entropy above."""
    dual, point = soft.dual, soft.point
    problem, cells = dual.problem, dual.cells
    pixel, dot, v = problem.pixel_penalty, problem.dot_penalty, problem.weights
    # A cutoff of the size of what the search rounds keeps all dots that can attain the minimum.
    spread = _largest_score(problem, point.beta)
    nearest = make_dual(problem, cells, dual.epsilon, point.beta, 1e-6 * spread / dual.epsilon, problem.present.any(1))
    alpha = nearest.hard_minimum(point.beta)
    error = torch.full_like(alpha, 64.0 * UNIT64 * spread)
    if problem.cost.delta is not None:  # close to its pole rounding is amplified
        highest = point.beta.amax(1)[cells.image][:, None]
        turned = 8.0 * UNIT64 * (max(problem.far) / problem.cost.delta + 1.0) * torch.exp(0.5 * (alpha + highest))
        error = error + torch.where(turned < 0.25, turned, math.inf)
        error = torch.where(torch.isfinite(alpha), error, 0.0)

    def dual_value(pixels: Tensor) -> Tensor:
        price = torch.where(cells.mass > 0, pixel.conjugate(-pixels), 0.0)
        return -cells.per_image(cells.mass * price) - (v * dot.conjugate(-point.beta)).sum(1)

    value = dual_value(alpha)
    rounding = value - dual_value(alpha - error) + soft.certificate.below
    upper = _feasible_cost(soft)
    gap = (upper - value).clamp(min=0.0)
    hard = replace(point, alpha=alpha, value=value, gap=gap)
    certificate = replace(
        soft.certificate,
        lower=value - rounding,
        gap=gap + rounding + soft.certificate.above + 8.0 * UNIT64 * (value.abs() + gap + rounding),
        optimality=gap,
        dropped=torch.zeros_like(gap),
        shift=torch.zeros_like(gap).scatter_reduce_(0, cells.image, error.amax(1), "amax"),
    )
    sharp = copy(dual)
    sharp.problem = replace(problem, epsilon=0.0)
    return Outcome(sharp, hard, certificate, evaluations)


def _feasible_cost(soft: Outcome) -> Tensor:
    """Return (B,) the cost, without entropy, of a plan that is allowed."""
    dual, point, certificate = soft.dual, soft.point, soft.certificate
    problem, cells = dual.problem, dual.cells
    if not isinstance(problem.dot_penalty, Equality):
        return certificate.transport + certificate.pixels + dot_term(dual, point)
    # Columns times v / gamma are what other potentials would give, but for what the cells send.
    paid = torch.where(problem.present, point.gamma.clamp(min=TINY), 1.0)
    factor = torch.where(problem.present, problem.weights / paid, 1.0)
    exact = dual.at(point.beta + dual.epsilon * factor.log())
    grown = ((point.alpha - exact.alpha) / dual.epsilon).nan_to_num(-math.inf).exp()  # infinite, both, if out of reach
    sent = torch.where(point.q > 0, point.q * grown, 0.0)
    # Potentials are rounded: columns are off by at most this factor still, which rescaling would undo.
    off = math.exp(min(64.0 * UNIT64 * _largest_score(problem, exact.beta) / dual.epsilon, LARGEST_EXPONENT))
    filled = cells.mass > 0
    ratio = sent / torch.where(filled, cells.mass, 1.0)
    pixels = torch.maximum(*(problem.pixel_penalty.primal(one) for one in (ratio / off, ratio * off)))
    transport = off * dual.account(replace(exact, q=sent)).transport
    return transport + cells.per_image(torch.where(filled, cells.mass * pixels, 0.0))


def _largest_score(problem: TransportProblem, beta: Tensor) -> float:
    """Return a bound on costs and potentials, at least 1."""
    return max(1.0, problem.largest_cost, float(beta.abs().max()))
