"""L-BFGS on the dual with all pairs, as in the paper's Algorithm 1, batched: each image has its own history."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dotcount.transport.cells import make_cells
from dotcount.transport.certificate import certify
from dotcount.transport.compiled import make_dual
from dotcount.transport.methods.base import Control, Outcome, Start, limit, nobody
from dotcount.transport.problem import TransportProblem

HISTORY = 20
"""Pairs of steps and gradient changes that are remembered."""
SHRINK = 0.4
"""Factor of the step length after a step that was refused."""


def lbfgs(problem: TransportProblem, start: Start, control: Control) -> Outcome:
    """Maximise with limited-memory BFGS and backtracking (Nocedal and Wright, Algorithm 7.4)."""
    present = problem.present.any(1)
    cells = make_cells(problem.densities, problem.units)
    dual = make_dual(problem, cells, problem.epsilon, start.beta, math.inf, present)
    evaluations = nobody(start)
    point = dual.at(start.beta)
    evaluations += present
    steps: list[Tensor] = []
    changes: list[Tensor] = []
    stuck = torch.zeros_like(present)
    while int(evaluations.max()) < control.max_iter:
        todo = present & ~stuck & (point.gap > 0.9 * limit(point, control.tol))
        if not bool(todo.any()):
            break
        gradient = point.m - point.gamma
        direction = _two_loops(gradient, steps, changes)
        slopes = (direction * gradient).sum(1)
        uphill = (slopes > 0) & torch.isfinite(slopes)
        direction = torch.where(uphill[:, None], direction, gradient)
        able = todo & torch.isfinite(direction).all(1)  # where masses overflow there is no next step
        stuck = stuck | (todo & ~able)
        direction, todo = torch.where(able[:, None], direction, 0.0), able
        if not steps:  # no scale known yet: one epsilon at most
            direction = direction * (problem.epsilon / direction.abs().amax(1, keepdim=True).clamp(min=1e-300))
        slope = (direction * gradient).sum(1)
        length = torch.ones_like(slope)
        trial = point
        good = ~todo
        while not bool(good.all()) and int(evaluations.max()) < control.max_iter:
            length = torch.where(good, length, length if trial is point else length * SHRINK)
            trial = dual.at(point.beta + length[:, None] * direction)
            evaluations += todo & ~good
            rise = trial.value >= point.value + 1e-4 * length * slope
            good = ~todo | (rise & torch.isfinite(trial.gap))
            stuck = stuck | (todo & ~good & (length < 1e-10))
            good = good | stuck
        moved = good & ~stuck
        if not bool(moved.all()):  # stuck, or out of evaluations in the middle of a line search
            trial = dual.at(torch.where(moved[:, None], trial.beta, point.beta))
        steps.append(trial.beta - point.beta)
        changes.append(gradient - (trial.m - trial.gamma))
        del steps[:-HISTORY], changes[:-HISTORY]
        point = trial
    return Outcome(dual, point, certify(dual, point), evaluations)


def _two_loops(gradient: Tensor, steps: list[Tensor], changes: list[Tensor]) -> Tensor:
    """Return the (B, m) product of the inverse-Hessian estimate with the gradient; rows use their own history."""
    direction = gradient
    factors = []
    for step, change in zip(reversed(steps), reversed(changes)):
        curvature = (step * change).sum(1, keepdim=True)
        usable = curvature > 1e-12 * (change * change).sum(1, keepdim=True)
        inverse = torch.where(usable, 1.0 / curvature, 0.0)
        factor = inverse * (step * direction).sum(1, keepdim=True)
        direction = direction - factor * change
        factors.append((factor, inverse))
    if steps:
        squared = (changes[-1] * changes[-1]).sum(1, keepdim=True)
        scale = (steps[-1] * changes[-1]).sum(1, keepdim=True) / squared.clamp(min=1e-300)
        direction = direction * torch.where(scale > 0, scale, 1.0)
    for step, change, (factor, inverse) in zip(steps, changes, reversed(factors)):
        direction = direction + (factor - inverse * (change * direction).sum(1, keepdim=True)) * step
    return direction
