"""One phase of Newton's method on the dual at a fixed epsilon, for all images of a batch side by side.

:func:`dotcount.transport.kernels.maximise` is the same in compiled loops, image after image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.dual import Point, TensorDual
from dotcount.transport.penalties import KL, Equality

FORCING = 0.2
"""Relative residual to which the linear systems are solved while far from the optimum."""
NEAR = 0.02
"""Relative gap below which Newton's model is trusted to reach the goal in one step, if solved well enough."""
CG_STEPS = 60
"""Bound on the conjugate-gradient steps of one linear system."""
SUFFICIENT = 1e-4
"""Share of the predicted increase that a step must reach."""
SHRINK = 0.35
"""Factor of the step length after a step that was refused."""
SHORT = 0.2
"""Step length below which the logarithmic system is not solved any more."""
TRIALS = 12
"""Bound on the step lengths tried in one direction."""


@dataclass
class Progress:
    """Where a phase ended: the point, the evaluations each image took part in (B,), and which images converged.

    ``stale``: the phase ended because the pairs should be chosen anew.
    """

    point: Point
    evaluations: Tensor
    converged: Tensor
    stale: bool


def _direction(dual: TensorDual, point: Point, logarithmic: Tensor, todo: Tensor, goal: Tensor) -> Tensor:
    """Return the (B, m_max) step: Newton's for ``gamma = m``, or for ``ln gamma = ln m`` where ``logarithmic`` (B,)."""
    penalty, v = dual.problem.dot_penalty, dual.problem.weights
    curvature = v * penalty.curvature(-point.beta)
    right = point.m - point.gamma
    if isinstance(penalty, Equality):  # a dot that gets nothing has no curvature of its own
        curvature = torch.where(point.gamma > 0, curvature, v / dual.problem.pixel_penalty.rho)
    if isinstance(penalty, KL | Equality) and bool(logarithmic.any()):
        ratio = torch.log(point.m.clamp(min=1e-300) / point.gamma.clamp(min=1e-300))
        paid = logarithmic[:, None] & (point.gamma > 0)
        curvature = torch.where(paid, point.gamma / penalty.rho, curvature)
        right = torch.where(paid, point.gamma * ratio, right)
    # Each image on its own scale, so that float32 neither overflows nor underflows.
    right = right * todo[:, None]
    size = right.abs().amax(1, keepdim=True).clamp(min=1e-300)
    near = point.gap < NEAR * point.value.abs().clamp(min=1.0)
    exact = (0.5 * torch.sqrt(goal / point.gap.clamp(min=1e-300))).clamp(1e-3, FORCING)
    relative = torch.where(near & todo, exact, FORCING)
    return dual.newton_step(point, curvature, right / size, bool((near | ~todo).all()), relative, CG_STEPS) * size


def _stale(dual: TensorDual, point: Point) -> Tensor:
    """Return (B,) whether scores have changed so much since the pairs were chosen that others may matter now."""
    moved = point.beta - dual.search_beta
    low = torch.where(dual.problem.present, moved, math.inf).amin(1)
    return moved.amax(1) - low > dual.span


def ascend(
    dual: TensorDual,
    beta: Tensor,
    active: Tensor,
    tol: float,
    budget: int,
    known: Point | None = None,
    renewable: bool = True,
) -> Progress:
    """Maximise the dual from ``beta`` (B, m_max) until every active image's gap meets ``tol``.

    Parameters
    ----------
    dual
        The function.
    beta
        Start.
    active
        (B,) bool: images to work on; the others keep their beta.
    tol
        An image is done when its gap is at most ``tol * max(1, |G|)``.
    budget
        At most this many evaluations.
    known
        The point at ``beta``, if it has been evaluated already.
    renewable
        End as soon as the potentials are too far from those that the pairs were chosen for.
    """
    point = dual.at(beta) if known is None else known
    used = 1 if known is None else 0
    evaluations = used * active.long()
    logarithmic, stalled = torch.ones_like(active), torch.zeros_like(active)
    noise = 4.0 * torch.finfo(dual.problem.dtype).eps
    while True:
        goal = tol * point.value.abs().clamp(min=1.0)
        converged = point.gap <= goal
        todo = active & ~converged & ~stalled
        stale = renewable and bool((_stale(dual, point) & todo).any())
        if used >= budget or stale or not bool(todo.any()):
            return Progress(point, evaluations, converged, stale)
        step = _direction(dual, point, logarithmic, todo, goal)
        slope = ((point.m - point.gamma) * step).sum(1)
        size = (point.q.sum() + point.m.sum()).clamp(min=1.0) * noise * dual.epsilon
        length = torch.ones_like(slope)
        for _ in range(TRIALS):
            trial = dual.at(point.beta + length[:, None] * step)
            used += 1
            evaluations = evaluations + todo
            rise = trial.value - point.value >= SUFFICIENT * length * slope - size
            better = (rise & (slope > 0)) | (trial.gap <= 0.5 * point.gap)
            good = (better & torch.isfinite(trial.gap)) | ~todo
            if used >= budget or bool(good.all()):
                break
            length = torch.where(good, length, length * SHRINK)
        accepted = good & todo
        refused = todo & ~good
        stalled = stalled | (refused & ~logarithmic)
        logarithmic = logarithmic & ~(refused | (length < SHORT))
        if bool(refused.any()):
            trial = dual.at(torch.where(accepted[:, None], trial.beta, point.beta))
            used += 1
        point = trial
