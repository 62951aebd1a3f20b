"""The fixed-point iteration of unbalanced transport (Sinkhorn), for the KL penalty; simple, slow, a cross-check."""

from __future__ import annotations

import math

import torch

from dotcount.errors import UsageError
from dotcount.transport.cells import make_cells
from dotcount.transport.certificate import certify
from dotcount.transport.compiled import make_dual
from dotcount.transport.methods.base import Control, Outcome, Start, limit, nobody
from dotcount.transport.penalties import KL, Equality
from dotcount.transport.problem import TransportProblem


def sinkhorn(problem: TransportProblem, start: Start, control: Control) -> Outcome:
    """Iterate ``beta += rho eps / (rho + eps) ln(m / gamma)`` after the best common shift of each image's beta.

    The shift ``rho_p rho_d / (rho_p + rho_d) ln(sum m / sum q)`` solves the problem in the direction of a constant.
    For an infinite rho_d the factors are eps and rho_p.

    Raises
    ------
    UsageError
        For another penalty than KL.
    """
    pixel, dot = problem.pixel_penalty, problem.dot_penalty
    if not isinstance(pixel, KL) or not isinstance(dot, KL | Equality):
        raise UsageError("method 'sinkhorn' needs penalty 'kl'; use method 'newton' for others")
    present = problem.present.any(1)
    cells = make_cells(problem.densities, problem.units)
    dual = make_dual(problem, cells, problem.epsilon, start.beta, math.inf, present)
    evaluations = nobody(start)
    point = dual.at(start.beta)
    evaluations += present
    step = 1.0 / (1.0 / dot.rho + 1.0 / problem.epsilon)
    common = 1.0 / (1.0 / dot.rho + 1.0 / pixel.rho)
    while int(evaluations.max()) < control.max_iter:
        todo = present & (point.gap > 0.9 * limit(point, control.tol))
        if not bool(todo.any()):
            break
        paid = point.gamma > 0
        ratio = torch.where(paid, torch.log(point.m / torch.where(paid, point.gamma, 1.0)), 0.0)
        mass, received = point.m.sum(1), point.gamma.sum(1)
        shift = torch.where(received > 0, common * torch.log(mass / received), 0.0)[:, None]
        change = shift + step * (ratio - shift * (1.0 / pixel.rho + 1.0 / dot.rho))
        change = torch.where(paid, change, pixel.rho if isinstance(dot, Equality) else dot.rho)
        able = todo & torch.isfinite(change).all(1)  # where masses overflow there is no next step
        if not bool(able.any()):
            break
        point = dual.at(point.beta + torch.where(problem.present & able[:, None], change, 0.0))
        evaluations += able
    return Outcome(dual, point, certify(dual, point), evaluations)
