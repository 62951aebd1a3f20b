"""Newton's method with conjugate gradients, by falling epsilon and from coarse to fine grids.

A cold start solves the problem with strong blur first, on pooled cells, and halves the blur until it is the problem's;
each solution, extrapolated to the next epsilon, starts the next. A warm start goes straight to the last phase.
Only pairs that matter are stored; if the bound on the rest turns out too loose, the neighbours are chosen anew.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from dotcount.transport.ascent import Progress
from dotcount.transport.cells import CellBlocks, make_cells
from dotcount.transport.certificate import certify, gradient_bound, least_rounding
from dotcount.transport.compiled import ascend, make_dual
from dotcount.transport.dual import Dual, Point
from dotcount.transport.methods.base import Control, Outcome, Start, limit, nobody
from dotcount.transport.penalties import KL, Equality
from dotcount.transport.problem import TransportProblem
from dotcount.transport.rounding import UNIT32

FIRST_WIDTH = 0.1
"""Largest blur of the first phase, as a share of the extent of the image."""
ROUGH = 0.02
"""Relative gap at which a phase before the last one ends."""
EXACT_PER_EPSILON = 10.0
"""Where dots must be paid exactly, it falls with epsilon, from 0.1 of the pixels' strength on."""
ROUGH_BUDGET, EXACT_BUDGET = 6, 12
"""Evaluations allowed to such a phase; the latter where dots must be paid exactly."""
ROUGH_CUTOFF = 8.0
"""Its neighbours, in units of epsilon below the best score."""
CELL_TO_BLUR = 2.2
"""Cells are pooled as long as their side stays below this many blur widths."""
SHARE_OF_GAP, SHARE_OF_DROPPED = 0.6, 0.3
"""How the allowed gap is divided between the point and the pairs left out; the rest is for rounding."""
DROPPED_PER_CUTOFF = 8.0
"""What is left out beyond a cutoff of t epsilon, relative to ``eps * mass * e^-t``: a guess, checked afterwards."""
SPARE_CUTOFF = 0.5
"""Pairs at hand will do, until proven otherwise, where the cutoff should be larger by so much."""
SHARE_OF_ROUNDING = 0.5
"""From this share of the allowed gap on, the rounding of float32 is not put up with."""
UNSURE = 0.01
"""How far off, per unit of mass, the value may be that is expected from potentials near the best."""
TRUSTED, TRUSTED_OF_MASS = 0.5, 0.15
"""Relative gap, and gap per unit of mass, up to which given potentials are a better start than none."""
WARM_BUDGET = 12
"""Evaluations after which a warm start that has not converged is given up."""
RENEWALS, MANY_PAIRS = 3, 1 << 24
"""A solve whose pairs had to be chosen anew this often in one phase takes all, up to this many (cell, dot) pairs."""
REBUILDS = 6
"""How often the last phase may choose its neighbours anew."""


def newton(problem: TransportProblem, start: Start, control: Control) -> Outcome:
    """Solve with neighbouring pairs only."""
    return _newton(problem, start, control, dense=False)


def dense(problem: TransportProblem, start: Start, control: Control) -> Outcome:
    """Solve with all pairs."""
    return _newton(problem, start, control, dense=True)


def _newton(problem: TransportProblem, start: Start, control: Control, dense: bool) -> Outcome:
    present = problem.present.any(1)
    evaluations = nobody(start)
    beta, cold, warm = start.beta, present & ~start.warm, present & start.warm
    cells = make_cells(problem.densities, problem.units)
    first: tuple[Dual, Point] | None = None
    if bool(warm.any()):
        # Potentials from elsewhere (another crop, an earlier state of the map) may be worse than none: look first.
        cutoff, planned = _plan(problem, control, beta, None, dense)
        if start.dual is not None and bool((warm == present).all()) and _serves(start.dual, planned, cutoff):
            dual = start.dual
            dual.renew(replace(planned, dtype=dual.problem.dtype, rough=dual.problem.rough), cells)
        else:
            dual = make_dual(planned, cells, problem.epsilon, beta, cutoff, warm)
        point = dual.at(beta)
        evaluations += warm
        lost = warm & ~((point.gap <= TRUSTED * limit(point, 1.0)) | (point.gap <= TRUSTED_OF_MASS * point.m.sum(1)))
        cold, warm = cold | lost, warm & ~lost
        beta = torch.where(lost[:, None], 0.0, beta)
        first = dual, point
    last: Point | None = None
    if bool(cold.any()):
        beta, last = _descend(problem, beta, cold, control, dense, evaluations)
        first = None
    if not bool(warm.any()):
        return _finish(problem, cells, beta, control, dense, evaluations, last, first)
    trust = min(control.max_iter, int(evaluations.max()) + WARM_BUDGET)
    outcome = _finish(problem, cells, beta, replace(control, max_iter=trust), dense, evaluations, last, first)
    failed = present & ~(outcome.certificate.gap <= limit(outcome.point, control.tol))
    if not bool(failed.any()) or int(evaluations.max()) >= control.max_iter:
        return outcome
    # A warm start that leads nowhere all the same is given up for a cold one.
    lost = failed & warm
    beta = torch.where(lost[:, None], 0.0, outcome.point.beta)
    if bool(lost.any()):
        beta, last = _descend(problem, beta, lost, control, dense, evaluations)
    return _finish(problem, cells, beta, control, dense, evaluations, last, None)


def _serves(dual: Dual, problem: TransportProblem, cutoff: float) -> bool:
    """Whether the pairs of an earlier problem with the same dots are those that would be chosen for this one."""
    old = dual.problem
    enough = dual.whole or cutoff <= dual.cutoff + SPARE_CUTOFF
    exact = (old.dtype, old.rough) == (problem.dtype, problem.rough) or problem.dtype == torch.float32
    return enough and dual.epsilon == problem.epsilon and exact


def epsilon_schedule(problem: TransportProblem) -> list[tuple[float, int]]:
    """Return the (epsilon, pooling factor) of the phases before the last, the strongest blur first."""
    extent, unit = problem.extent, max(problem.units)
    first = problem.cost.blur(FIRST_WIDTH * extent)
    phases = []
    epsilon = 2.0 * problem.epsilon
    while epsilon <= first:
        factor = 1
        width = min(problem.cost.width(epsilon), 0.25 * problem.cost.reach)
        while 2 * factor * unit <= CELL_TO_BLUR * width and 2 * factor * unit <= 0.5 * extent:
            factor *= 2
        phases.append((epsilon, factor))
        epsilon *= 2.0
    return phases[::-1]


def _descend(
    problem: TransportProblem, beta: Tensor, active: Tensor, control: Control, dense: bool, evaluations: Tensor
) -> tuple[Tensor, Point | None]:
    """Run the blurred phases on the active images; return the start of the last phase and the last point."""
    before: Tensor | None = None
    point: Point | None = None
    most = int(evaluations.max())
    for epsilon, factor in epsilon_schedule(problem):
        tol, budget = _rough(problem, epsilon)
        if most + budget >= control.max_iter:  # else the device need not be waited for
            most = int(evaluations.max())
        left = control.max_iter - 1 - most
        if left <= 0:
            break
        cells = make_cells(problem.densities, problem.units, factor)
        dual = make_dual(problem, cells, epsilon, beta, math.inf if dense else ROUGH_CUTOFF, active)
        progress = ascend(dual, beta, active, tol, min(budget, left), renewable=False)
        evaluations += progress.evaluations
        most += min(budget, left)
        point = progress.point
        # beta is about linear in epsilon.
        beta = point.beta if before is None else 1.5 * point.beta - 0.5 * before
        before = point.beta
    return beta, point


def _rough(problem: TransportProblem, epsilon: float) -> tuple[float, int]:
    """Return the relative gap at which a phase before the last one may end, and the evaluations allowed to it.

    Where dots must be paid exactly, nothing else limits what a dot lacks at one epsilon, and at half of that the dot
    lacks twice as much.
    """
    if not isinstance(problem.dot_penalty, Equality):
        return ROUGH, ROUGH_BUDGET
    return ROUGH * min(1.0, EXACT_PER_EPSILON * epsilon / problem.pixel_penalty.rho), EXACT_BUDGET


def _maximise(
    dual: Dual, beta: Tensor, active: Tensor, tol: float, budget: int, known: Point | None = None
) -> tuple[Dual, Progress]:
    """Run :func:`ascend`, with pairs chosen anew as often as the potentials leave them behind."""
    progress = ascend(dual, beta, active, tol, budget, known)
    evaluations = progress.evaluations
    renewals = 0
    while progress.stale and int(evaluations.max()) < budget:
        beta, renewals = progress.point.beta, renewals + 1
        cutoff = math.inf if renewals > RENEWALS and _affordable(dual.problem) else dual.cutoff
        dual = make_dual(dual.problem, dual.cells, dual.epsilon, beta, cutoff, active)
        progress = ascend(dual, beta, active, tol, budget - int(evaluations.max()))
        evaluations = evaluations + progress.evaluations
    return dual, replace(progress, evaluations=evaluations)


def _affordable(problem: TransportProblem) -> bool:
    """Whether a solve that gets stuck may take all pairs."""
    return sum(one.numel() * m for one, m in zip(problem.densities, problem.n_dots)) <= MANY_PAIRS


def _finish(
    problem: TransportProblem,
    cells: CellBlocks,
    beta: Tensor,
    control: Control,
    dense: bool,
    evaluations: Tensor,
    last: Point | None,
    first: tuple[Dual, Point] | None,
) -> Outcome:
    """Run the last phase, at the problem's epsilon on its own cells, until the certificate is good enough.

    ``first`` is a dual with its point at ``beta`` to begin with, if there is one already.
    """
    present = problem.present.any(1)
    if first:
        cutoff, problem = first[0].cutoff, first[0].problem
    else:
        cutoff, problem = _plan(problem, control, None if last is None else beta, last, dense)
    tol = control.tol
    for _ in range(REBUILDS):
        dual = first[0] if first else make_dual(problem, cells, problem.epsilon, beta, cutoff, present)
        known = first[1] if first else None
        first = None
        while True:
            left = max(1, control.max_iter - int(evaluations.max()))
            dual, progress = _maximise(dual, beta, present, SHARE_OF_GAP * tol, left, known)
            evaluations += progress.evaluations
            point = known = progress.point
            beta = point.beta
            certificate = certify(dual, point)
            outcome = Outcome(dual, point, certificate, evaluations)
            exact = _exact_enough(outcome, control)
            spent = int(evaluations.max()) >= control.max_iter
            least = 1e-22 if problem.dtype == torch.float64 else 1e-7
            if bool(exact.all()) or spent or tol < least or not bool(progress.converged[present].all()):
                break
            tol *= 0.01  # only the bound on the gradient asks for this
        goal = limit(point, control.tol)
        good = bool((certificate.gap <= goal).all())
        if spent or (good and bool(exact.all())):
            return outcome
        if good:  # but rounding, or what was left out, may hide an error of the gradient
            if problem.dtype == torch.float32:
                problem = problem.in_double()
            elif cutoff == math.inf or not _affordable(problem):
                return outcome
            else:
                cutoff = math.inf
            continue
        loose = certificate.dropped > SHARE_OF_DROPPED * goal
        if bool(loose.any()):
            cutoff += float((certificate.dropped / goal)[loose].max().log()) - math.log(0.1)
        elif problem.dtype == torch.float32:
            problem = problem.in_double()  # rounding stands in the way
        elif cutoff < math.inf and _affordable(problem):
            cutoff = math.inf
        else:
            return outcome
    return outcome


def _exact_enough(outcome: Outcome, control: Control) -> Tensor:
    """Return (B,) whether the gradient is as exact as was asked."""
    if control.tol_gradient is None:
        return torch.ones_like(outcome.point.gap, dtype=torch.bool)
    bound = gradient_bound(outcome.dual, outcome.point, outcome.certificate, None, control.dtype)
    return bound <= control.tol_gradient


def _plan(
    problem: TransportProblem, control: Control, beta: Tensor | None, last: Point | None, dense: bool
) -> tuple[float, TransportProblem]:
    """Guess what the last phase needs from potentials, or from a point, that are near the best.

    Returns how far below the best a score may lie, in units of epsilon, so that little enough is left out, and the
    problem, with pairs in float64 where the rounding of float32 would not let the certificate be good enough.
    """
    if control.tol_gradient is not None and problem.dtype == torch.float32:
        common = 1.0 / (1.0 / problem.pixel_penalty.rho + 1.0 / problem.dot_penalty.rho)
        if common * problem.relative_rounding(UNIT32) > SHARE_OF_ROUNDING * control.tol_gradient:
            problem = problem.in_double()
    value, moved = _expected(problem, beta, last)
    if beta is not None and problem.dtype == torch.float32:
        rounding = least_rounding(max(problem.units), problem.epsilon, moved, UNIT32)
        if bool((2.0 * rounding > SHARE_OF_ROUNDING * control.tol * value.clamp(min=1.0)).any()):
            problem = problem.in_double()
    if dense:
        return math.inf, problem
    unsure = 0.0 if beta is None else UNSURE * moved
    goal = control.tol * (value - unsure).clamp(min=1.0)
    ratio = float((DROPPED_PER_CUTOFF * problem.epsilon * moved / (SHARE_OF_DROPPED * goal)).amax())
    if control.tol_gradient is not None:
        ratio = max(ratio, DROPPED_PER_CUTOFF * float(moved.amax()) / control.tol_gradient)
    return max(6.0, math.log(max(1.0, ratio))), problem


def _expected(problem: TransportProblem, beta: Tensor | None, last: Point | None) -> tuple[Tensor, Tensor]:
    """Return guesses (B,) of ``|W|`` and of the mass that is moved."""
    dots = problem.weights.sum(1)
    if isinstance(problem.densities, Tensor):
        mass = problem.densities.sum((1, 2))
    else:
        mass = torch.stack([one.sum() for one in problem.densities])
    pixel, dot = problem.pixel_penalty, problem.dot_penalty
    if beta is not None and isinstance(pixel, KL) and isinstance(dot, Equality):
        return (pixel.rho * (mass - dots) + (problem.weights * beta).sum(1)).abs(), dots
    if beta is not None and isinstance(pixel, KL) and isinstance(dot, KL):
        # At the optimum W is the price of losing all mass, less that of what is moved.
        moved = torch.minimum((problem.weights * dot.slope(-beta)).sum(1), mass + dots)
        return (pixel.rho * (mass - moved) + dot.rho * (dots - moved)).abs(), moved
    if last is not None:
        return last.value.abs(), last.m.sum(1)
    return 0.005 * dots, torch.minimum(mass, dots)
