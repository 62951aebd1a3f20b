"""One phase of Newton's method on the dual at a fixed epsilon, for all images of a batch side by side.

Every turn evaluates the dual once. What an image does next, a new direction or a shorter step along the old one, is
chosen on the device; the host looks at every second evaluation whether anything is left to do.

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
LOOK = 2
"""Evaluations from one look to the next at whether all images are done."""


@dataclass
class Progress:
    """Where a phase ended: the point, the evaluations each image took part in (B,), and which images converged.

    ``stale``: the phase ended because the pairs should be chosen anew.
    """

    point: Point
    evaluations: Tensor
    converged: Tensor
    stale: bool


def _direction(
    dual: TensorDual, point: Point, logarithmic: Tensor, wanted: Tensor, goal: Tensor, renew: bool
) -> Tensor:
    """Return the (B, m_max) step of images that are ``wanted`` (B,), 0 for others.

    It is Newton's for ``gamma = m``, or for ``ln gamma = ln m`` where ``logarithmic`` (B,).
    """
    penalty, v = dual.problem.dot_penalty, dual.problem.weights
    curvature = v * penalty.curvature(-point.beta)
    right = point.m - point.gamma
    if isinstance(penalty, Equality):  # a dot that gets nothing has no curvature of its own
        curvature = torch.where(point.gamma > 0, curvature, v / dual.problem.pixel_penalty.rho)
    if isinstance(penalty, KL | Equality):
        ratio = torch.log(point.m.clamp(min=1e-300) / point.gamma.clamp(min=1e-300))
        paid = logarithmic[:, None] & (point.gamma > 0)
        curvature = torch.where(paid, point.gamma / penalty.rho, curvature)
        right = torch.where(paid, point.gamma * ratio, right)
    # Each image on its own scale, so that float32 neither overflows nor underflows.
    right = right * wanted[:, None]
    size = right.abs().amax(1, keepdim=True).clamp(min=1e-300)
    exact = (0.5 * torch.sqrt(goal / point.gap.clamp(min=1e-300))).clamp(1e-3, FORCING)
    relative = torch.where(_near(point) & wanted, exact, FORCING)
    return dual.newton_step(point, curvature, right / size, renew, relative, CG_STEPS) * size


def _near(point: Point) -> Tensor:
    """Return (B,) whether Newton's model is trusted."""
    return point.gap < NEAR * point.value.abs().clamp(min=1.0)


def _stale(dual: TensorDual, point: Point) -> Tensor:
    """Return (B,) whether scores have changed so much since the pairs were chosen that others may matter now."""
    moved = point.beta - dual.search_beta
    low = torch.where(dual.problem.present, moved, math.inf).amin(1)
    return moved.amax(1) - low > dual.span


@dataclass
class _Search:
    """Line searches, one an image: where they began, what is asked of a trial, and how far they have come.

    ``beta``, ``step`` are (B, m_max); the rest is (B,). ``going``: the last point was a trial that was not good enough.
    ``logarithmic``: the image's systems are those for the logarithms; ``stalled``: no step helps it.
    """

    beta: Tensor
    step: Tensor
    value: Tensor
    gap: Tensor
    slope: Tensor
    slack: Tensor
    length: Tensor
    tries: Tensor
    going: Tensor
    logarithmic: Tensor
    stalled: Tensor

    @classmethod
    def at(cls, point: Point) -> _Search:
        """Return searches that have not begun."""
        zero = torch.zeros_like(point.value)
        no = torch.zeros_like(zero, dtype=torch.bool)
        tries = torch.zeros_like(no, dtype=torch.int64)
        step = torch.zeros_like(point.beta)
        return cls(point.beta, step, point.value, point.gap, zero, zero, zero, tries, no, ~no, no)

    def begin(self, point: Point, where: Tensor, step: Tensor, slack: Tensor) -> None:
        """Start from ``point`` along ``step`` in the images ``where``."""
        rows = where[:, None]
        slope = ((point.m - point.gamma) * step).sum(1)
        self.beta, self.step = torch.where(rows, point.beta, self.beta), torch.where(rows, step, self.step)
        self.value, self.gap = torch.where(where, point.value, self.value), torch.where(where, point.gap, self.gap)
        self.slope, self.slack = torch.where(where, slope, self.slope), torch.where(where, slack, self.slack)
        self.length, self.tries = torch.where(where, 1.0, self.length), torch.where(where, 0, self.tries)

    def judge(self, trial: Point, todo: Tensor) -> None:
        """Take the trial of the images ``todo`` or shorten their step; one that no step helps goes back."""
        back = self.length == 0
        rise = trial.value - self.value >= SUFFICIENT * self.length * self.slope - self.slack
        better = (rise & (self.slope > 0)) | (trial.gap <= 0.5 * self.gap)
        good = (better & torch.isfinite(trial.gap)) | back
        self.tries = self.tries + 1
        self.going = todo & ~good
        refused = self.going & (self.tries >= TRIALS)
        self.stalled = self.stalled | (refused & ~self.logarithmic)
        self.logarithmic = self.logarithmic & ~(refused | (todo & good & (self.length < SHORT)))
        shorter = torch.where(refused, 0.0, self.length * SHRINK)
        self.length = torch.where(self.going, shorter, self.length)


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
    point = dual.anew(beta) if known is None else known
    used = 1 if known is None else 0
    evaluations = used * active.long()
    search, near = _Search.at(point), False
    noise = 4.0 * torch.finfo(dual.problem.dtype).eps * dual.epsilon
    turn = 0 if renewable else 1  # the last phase takes three evaluations as a rule, those of strong blur two
    while True:
        goal = tol * point.value.abs().clamp(min=1.0)
        todo = active & (search.going | ~((point.gap <= goal) | search.stalled))
        if turn % LOOK == 0 or used >= budget:
            stale = _stale(dual, point) & todo & ~search.going
            far = todo & ~_near(point)
            flags = torch.stack([todo.any(), stale.any() & renewable, ~far.any(), (active & search.going).any()])
            some, renew, near, going = flags.tolist()
            if used >= budget or renew or not some:
                if going:
                    point = dual.anew(torch.where(search.going[:, None], search.beta, point.beta))
                converged = point.gap <= tol * point.value.abs().clamp(min=1.0)
                return Progress(point, evaluations, converged, renew)
        turn += 1
        fresh = todo & ~search.going
        step = _direction(dual, point, search.logarithmic, fresh, goal, not near)
        mass = dual.cells.per_image(point.q) + point.m.sum(1)
        search.begin(point, fresh, step, mass.clamp(min=1.0) * noise)
        ahead = search.beta + search.length[:, None] * search.step
        point = dual.anew(torch.where(todo[:, None], ahead, point.beta))
        used += 1
        evaluations = evaluations + todo
        search.judge(point, todo)
