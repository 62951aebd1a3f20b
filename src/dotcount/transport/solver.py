"""Solving for the same dots as often as their density changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.transport.cells import CellBlocks
from dotcount.transport.certificate import GradientBounds, dot_term
from dotcount.transport.compiled import few_threads
from dotcount.transport.hard import solve_hard
from dotcount.transport.methods import METHODS, Control, Outcome, Start, choose
from dotcount.transport.methods.base import limit
from dotcount.transport.options import SolverKeywords, SolverOptions
from dotcount.transport.penalties import Equality
from dotcount.transport.problem import (
    LARGEST_SCALE,
    LOWEST,
    ProblemTerms,
    TransportProblem,
    check_density,
    check_image,
    check_values,
    make_problem,
    mask,
    sound_values,
)
from dotcount.transport.reach import check_reach
from dotcount.transport.solution import Geometry, Solution, Terms

KNOWN_SHARE = 0.8
"""Share of an image's dots whose potential must be known for a warm start."""


class Solver:
    """Solves a batch of images again and again while their densities change and their dots stay.

    From the second time on it starts at the potentials of the time before and keeps the pairs that were chosen then,
    for as long as these serve: in a gradient flow, or with the same crops in every epoch. The certificate of every
    solution is as good as that of :func:`dotcount.transport.solve_batch`, which is a solver that is used once.

    Parameters
    ----------
    points, weights, valid, length_scales
        As in :func:`dotcount.transport.solve_batch`.
    options
        Its other options, by name: the fields of :class:`dotcount.transport.SolverOptions`.

    Notes
    -----
    The pairs stay in memory as long as the solver: 8 bytes each with float32, some 10 MB for 4096 cells and 1000 dots.
    A solver must not be used by several threads at the same time.

    Examples
    --------
    >>> import torch
    >>> solver = Solver([torch.tensor([[2.0, 2.0]]), torch.tensor([[3.0, 1.0]])], epsilon=0.02)
    >>> [solution.converged for solution in solver.solve(torch.full((2, 4, 4), 1 / 16))]
    [True, True]
    >>> [solution.converged for solution in solver.solve(torch.full((2, 4, 4), 1 / 15))]
    [True, True]
    """

    def __init__(
        self,
        points: Sequence[Tensor],
        *,
        weights: Sequence[Tensor | None] | None = None,
        valid: Sequence[Tensor | None] | None = None,
        length_scales: Sequence[Tensor | None] | None = None,
        **options: Unpack[SolverKeywords],
    ) -> None:
        n = len(points)
        self.points = [one.detach() if isinstance(one, Tensor) else one for one in points]
        self.weights, self.valid = weights or [None] * n, valid or [None] * n
        self.length_scales = [None if one is None else one.detach() for one in length_scales or [None] * n]
        self._check_number(self.weights, self.valid, self.length_scales)
        self.options = SolverOptions(**options)
        self._own = any(one is not None and len(one) for one in self.length_scales)
        if self.options.length_scale is not None and self._own:
            raise InputError("give length_scale, for all dots, or length_scales, one for each: only one of them")
        self._cost = self.options.ground_cost
        self._control = Control(self.options.tol, self.options.tol_gradient, self.options.max_iter)
        self._problem: TransportProblem | None = None
        self._geometries: list[Geometry] = []
        self._like: list[tuple[torch.Size, torch.dtype, torch.device]] = []
        self._outcome: Outcome | None = None

    @torch.no_grad()
    def solve(
        self, densities: Tensor | Sequence[Tensor], beta: Sequence[Tensor | None] | None = None
    ) -> list[Solution]:
        """Return one solution an image.

        Parameters
        ----------
        densities
            (B, h, w) or a list of (h_b, w_b).
        beta
            Potentials (m,) to start from, NaN where unknown; those of the last solve by default.
        """
        n = len(self.points)
        if len(densities) != n or n == 0:
            raise InputError(
                f"densities and points must hold the same number of images, at least 1; got {len(densities)}, {n}"
            )
        known = beta or [None] * n
        self._check_number(known)
        maps = [one.detach() if isinstance(one, Tensor) else one for one in densities]
        stack = densities.detach() if isinstance(densities, Tensor) else maps
        like = [(one.shape, one.dtype, one.device) for one in maps if isinstance(one, Tensor)]
        if self._problem is None or like != self._like or beta is not None:
            self._check(stack, maps, known)
            self._problem = self._outcome = None
        else:
            if maps[0].device.type == "cpu" or not sound_values(stack, self.points, self.weights):
                for k, one in enumerate(maps):
                    check_density(one, _name(k, n))
        with torch.autocast(maps[0].device.type, enabled=False), few_threads(maps[0].device, not self._own) as threads:
            self._control = replace(self._control, dtype=maps[0].dtype)
            if self._problem is None:
                problem, self._like = self._make_problem(stack, maps, threads), like
            else:
                problem = replace(self._problem, densities=mask(stack, self.valid), threads=threads)
            check_reach(problem, [_name(k, n) for k in range(n)])
            self._problem = problem
            outcome = self._outcome = self._run(problem, self._start(problem, known))
            return self._solutions(outcome, maps)

    def _check_number(self, *per_image: Sequence[Tensor | None]) -> None:
        if any(len(option) != len(self.points) for option in per_image):
            raise InputError(
                "weights, beta, valid and length_scales must hold one entry for each of the "
                f"{len(self.points)} images, or be left out"
            )

    def _check(self, stack: Tensor | Sequence[Tensor], maps: list[Tensor], beta: Sequence[Tensor | None]) -> None:
        for k, density in enumerate(maps):
            name = _name(k, len(maps))
            check_image(density, self.points[k], self.weights[k], beta[k], self.valid[k], self.length_scales[k], name)
            if density.device != maps[0].device or density.dtype != maps[0].dtype:
                raise InputError(f"{name}density is {density.dtype} on {density.device}; all must be as the first")
        if maps[0].device.type == "cpu" or self._own or not sound_values(stack, self.points, self.weights):
            for k, density in enumerate(maps):
                check_values(density, self.points[k], self.weights[k], self.length_scales[k], _name(k, len(maps)))

    def _make_problem(self, stack: Tensor | Sequence[Tensor], maps: list[Tensor], threads: int) -> TransportProblem:
        options = self.options
        scales = [float(options.length_scale or max(density.shape) * options.stride) for density in maps]
        shrink: list[Tensor | None] = [None] * len(maps)
        for k, own in enumerate(self.length_scales):
            if own is not None and len(own):
                scales[k] = float(own.min())
                shrink[k] = scales[k] / own.double()
        doubled = torch.cat(self.points).double().split([len(one) for one in self.points])
        self._geometries = [
            Geometry(one, float(options.stride), scale, self._cost, float(options.epsilon), own)
            for one, scale, own in zip(doubled, scales, shrink)
        ]
        return make_problem(
            stack,
            [geometry.points for geometry in self._geometries],
            scales,
            ProblemTerms(
                stride=options.stride,
                cost=self._cost,
                pixel_penalty=options.pixel_penalty,
                dot_penalty=options.dot_penalty,
                epsilon=float(options.epsilon),
                exact=options.tol < 1e-6,
            ),
            shrink=shrink,
            weights=self.weights,
            valid=self.valid,
            threads=threads,
        )

    def _start(self, problem: TransportProblem, known: Sequence[Tensor | None]) -> Start:
        """Return the start: that of the last solve with its dual if there is one, else at given potentials."""
        last = self._outcome
        if last is None:
            return _given(problem, known)
        start = last.point.beta
        warm = torch.isfinite(start).all(1) & problem.present.any(1)
        start = torch.where(warm[:, None], start, 0.0)
        return Start(start, warm, last.dual if problem.epsilon > 0 else None)

    def _run(self, problem: TransportProblem, start: Start) -> Outcome:
        if problem.epsilon == 0:
            return solve_hard(problem, start, self._control)
        return METHODS[choose(self.options.method)](problem, start, self._control)

    def _solutions(self, outcome: Outcome, maps: list[Tensor]) -> list[Solution]:
        """Cut an outcome into one solution an image."""
        dual, point, certificate = outcome.dual, outcome.point, outcome.certificate
        problem, cells, control = dual.problem, dual.cells, self._control
        bounds = GradientBounds(dual, point, certificate, cells.inside(self.valid), maps[0].dtype)
        converged = (certificate.gap <= limit(point, control.tol)).tolist()
        terms, dtype = _terms(outcome), maps[0].dtype
        slope = -problem.pixel_penalty.conjugate(-point.alpha)
        slopes, sent = slope.to(dtype), point.q.to(dtype)
        parts = zip(*(cells.maps(values) for values in (point.alpha.to(dtype), slopes, sent)))
        beta, gamma, weights = point.beta.to(dtype), point.gamma.to(dtype), problem.weights.to(dtype)
        finite = _finite(cells, problem.n_dots, [slopes, sent], [beta, gamma], terms)
        rows = zip(certificate.lower.tolist(), certificate.gap.tolist(), outcome.evaluations.tolist(), parts)
        method = "smoothing" if problem.epsilon == 0 else choose(self.options.method)
        solutions = []
        for k, (value, gap, evaluations, (alpha, gradient, q)) in enumerate(rows):
            density, m, inside = maps[k], problem.n_dots[k], self.valid[k]
            if inside is not None:
                gradient, density = gradient * inside, density * inside
            enough = control.tol_gradient is None or bounds.values[k] <= control.tol_gradient
            bounded = LOWEST < value < math.inf
            if not (bounded and math.isfinite(gap)):  # a bound is not known
                value, gap = (value if bounded else -math.inf), math.inf
            solutions.append(
                Solution(
                    value=value,
                    beta=beta[k, :m],
                    alpha=alpha,
                    gap=gap,
                    gradient=gradient,
                    bounds=bounds,
                    image=k,
                    n_evaluations=evaluations,
                    converged=converged[k] and finite[k] and enough and math.isfinite(gap),
                    terms=terms[k],
                    pixel_mass=q,
                    dot_mass=gamma[k, :m],
                    density=density,
                    weights=weights[k, :m],
                    geometry=self._geometries[k],
                    method=method,
                )
            )
        return solutions


def _name(k: int, n: int) -> str:
    """Return how messages call image k of n."""
    return "" if n == 1 else f"image {k}: "


def _given(problem: TransportProblem, beta: Sequence[Tensor | None]) -> Start:
    """Return a start at known potentials; unknown ones of an image are put at the mean of its known ones."""
    values = torch.zeros_like(problem.weights)
    if all(given is None for given in beta):
        return Start(values, torch.zeros(len(beta), dtype=torch.bool, device=values.device))
    none = values.new_full((), math.nan)
    parts = [none.expand(m) if one is None else one.detach() for one, m in zip(beta, problem.n_dots)]
    values[problem.present] = torch.cat(parts).to(values)
    known, dots = (values.abs() <= LARGEST_SCALE) & problem.present, problem.present.sum(1)
    if torch.equal(known, problem.present):
        return Start(values, dots > 0)
    number = known.sum(1)
    warm = (number >= KNOWN_SHARE * dots) & (dots > 0)
    mean = torch.where(known, values, 0.0).sum(1) / number.clamp(min=1)
    guess = torch.where(known, values, mean[:, None])
    return Start(torch.where(warm[:, None] & problem.present, guess, 0.0), warm)


def _finite(
    cells: CellBlocks, n_dots: list[int], maps: list[Tensor], dots: list[Tensor], terms: list[Terms]
) -> list[bool]:
    """Return for each image whether all that belongs to it is finite: maps (n_blocks, k), dots (B, m_max), terms."""
    whole = float(sum(one.sum() for one in maps) + sum(one.sum() for one in dots))
    good = [math.isfinite(t.transport + t.pixel_mass + t.dot_mass + t.entropy) for t in terms]
    if math.isfinite(whole):  # as nearly always
        return good
    cell = torch.stack([torch.isfinite(one).all(1) for one in maps]).all(0)
    bad = torch.zeros(len(terms), dtype=torch.int64, device=cell.device).index_add_(0, cells.image, (~cell).long())
    rows = [all(bool(torch.isfinite(one[k, :m]).all()) for one in dots) for k, m in enumerate(n_dots)]
    return [a and b and not n for a, b, n in zip(good, rows, bad.tolist())]


def _terms(outcome: Outcome) -> list[Terms]:
    """Return the parts of the plan's cost; the entropy is what the others leave of it."""
    certificate, point, problem = outcome.certificate, outcome.point, outcome.dual.problem
    transport, pixels, dots = certificate.transport, certificate.pixels, dot_term(outcome.dual, point)
    if not isinstance(problem.dot_penalty, Equality):
        entropy = point.value + certificate.optimality - transport - pixels - dots
    elif problem.epsilon == 0:
        entropy = torch.zeros_like(transport)
    else:  # that of the plan at hand, whose columns are the dots' weights up to the tolerance only
        sent = torch.where(point.q > 0, point.q * point.alpha, 0.0)
        entropy = outcome.dual.cells.per_image(sent) + (point.gamma * point.beta).sum(1) - transport
    columns: list[Any] = [part.tolist() for part in (transport, pixels, dots, entropy)]
    return [Terms(*parts) for parts in zip(*columns)]
