"""The public entry points: one image, and a batch of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.transport.certificate import dot_term, gradient_bound
from dotcount.transport.compiled import few_threads
from dotcount.transport.costs import Cost
from dotcount.transport.hard import solve_hard
from dotcount.transport.methods import METHODS, Control, Outcome, Start, choose
from dotcount.transport.methods.base import limit
from dotcount.transport.penalties import penalty as make_penalty
from dotcount.transport.problem import Problem, check_image, make_problem
from dotcount.transport.solution import Geometry, Solution, Terms

KNOWN_SHARE = 0.8
"""Share of an image's dots whose potential must be known for a warm start."""


def solve(
    density: Tensor,
    points: Tensor,
    *,
    stride: float = 1.0,
    cost: str = "l2",
    penalty: str = "kl",
    epsilon: float = 0.01,
    rho: float | tuple[float, float] = 1.0,
    length_scale: float | None = None,
    delta: float | None = None,
    weights: Tensor | None = None,
    beta: Tensor | None = None,
    valid: Tensor | None = None,
    tol: float = 1e-4,
    tol_gradient: float | None = None,
    max_iter: int = 500,
    method: str = "auto",
) -> Solution:
    """Solve ``W(u, v) = max_beta -sum_i u_i phi*(-alpha_i) - sum_j v_j phi*(-beta_j)`` (paper Eq. 7, 8).

    Parameters
    ----------
    density
        (h, w) float, >= 0: the mass u of each cell.
    points
        (m, 2) float, xy px; dots outside the image are allowed.
    stride
        Side of a cell, px.
    cost
        ``l1``, ``l2``, ``sql2`` or ``wfr`` (with ``delta``), of distances in units of ``length_scale``.
    penalty
        ``kl`` or ``quadratic``.
    epsilon
        Entropic blur, units of the cost; 0 for none (then the solve runs with falling epsilon and certifies the hard
        minimum).
    rho
        Strength of the penalty on pixels and dots, units of the cost; or (pixels, dots).
    length_scale
        Unit of length, px. None: the longer side of the density, ``max(h, w) * stride``.
    delta
        Length of the ``wfr`` cost, units of ``length_scale``.
    weights
        (m,) masses v > 0 of the dots; 1 each by default.
    beta
        (m,) potentials to start from; NaN where unknown.
    valid
        (h, w) bool: cells that count. The gradient is 0 in the others.
    tol
        Stop when the certified gap is at most ``tol * max(1, |value|)``.
    tol_gradient
        If given, stop only when the error of every element of the gradient is certified to be below this, too.
    max_iter
        Bound on the evaluations of the dual.
    method
        ``auto`` (``newton``), ``newton`` (neighbouring pairs), ``dense`` (Newton, all pairs), ``lbfgs`` (the
        paper's) or ``sinkhorn``.

    Returns
    -------
    Solution
        With the certificate; look at ``converged``.

    Raises
    ------
    InputError, UnknownNameError
        For arguments that are out of range, of wrong shape, dtype or device, or not finite.
    """
    return solve_batch(
        [density],
        [points],
        stride=stride,
        cost=cost,
        penalty=penalty,
        epsilon=epsilon,
        rho=rho,
        length_scale=length_scale,
        delta=delta,
        weights=None if weights is None else [weights],
        beta=None if beta is None else [beta],
        valid=None if valid is None else [valid],
        tol=tol,
        tol_gradient=tol_gradient,
        max_iter=max_iter,
        method=method,
    )[0]


@torch.no_grad()
def solve_batch(
    densities: Tensor | Sequence[Tensor],
    points: Sequence[Tensor],
    *,
    stride: float = 1.0,
    cost: str = "l2",
    penalty: str = "kl",
    epsilon: float = 0.01,
    rho: float | tuple[float, float] = 1.0,
    length_scale: float | None = None,
    delta: float | None = None,
    weights: Sequence[Tensor | None] | None = None,
    beta: Sequence[Tensor | None] | None = None,
    valid: Sequence[Tensor | None] | None = None,
    tol: float = 1e-4,
    tol_gradient: float | None = None,
    max_iter: int = 500,
    method: str = "auto",
) -> list[Solution]:
    """Solve the problems of several images together, as one sparse problem; images never mix.

    ``densities`` is (B, h, w) or a list of (h_b, w_b); ``points``, ``weights``, ``beta`` and ``valid`` hold one tensor
    an image. Everything else is as in :func:`solve`; the result is one solution an image.
    """
    n = len(points)
    if len(densities) != n or n == 0:
        raise InputError(
            f"densities and points must hold the same number of images, at least 1; got {len(densities)}, {n}"
        )
    options = (weights or [None] * n, beta or [None] * n, valid or [None] * n)
    if any(len(option) != n for option in options):
        raise InputError(f"weights, beta and valid must hold one entry for each of the {n} images, or be left out")
    _check_options(epsilon, length_scale, stride, tol, tol_gradient, max_iter)
    ground = Cost(cost, delta)
    rho_pixel, rho_dot = rho if isinstance(rho, tuple) else (rho, rho)
    maps, dots = (
        list(of.detach())
        if isinstance(of, Tensor)
        else [one.detach() if isinstance(one, Tensor) else one for one in of]
        for of in (densities, points)
    )
    for k, density in enumerate(maps):
        name = "" if n == 1 else f"image {k}: "
        check_image(density, dots[k], options[0][k], options[1][k], options[2][k], name)
        if density.device != maps[0].device or density.dtype != maps[0].dtype:
            raise InputError(f"{name}density is {density.dtype} on {density.device}; all must be as the first")
    scales = [float(length_scale or max(density.shape) * stride) for density in maps]
    geometries = [
        Geometry(one.double(), float(stride), scale, ground, float(epsilon)) for one, scale in zip(dots, scales)
    ]
    control = Control(tol, tol_gradient, max_iter)
    with few_threads(maps[0].device) as threads:
        problem = make_problem(
            densities.detach() if isinstance(densities, Tensor) else maps,
            [geometry.points for geometry in geometries],
            scales,
            stride=stride,
            cost=ground,
            penalties=(make_penalty(penalty, rho_pixel), make_penalty(penalty, rho_dot)),
            epsilon=float(epsilon),
            weights=options[0],
            valid=options[2],
            exact=tol < 1e-6,
            threads=threads,
        )
        start = _start(problem, options[1])
        if epsilon == 0:
            name, outcome = "smoothing", solve_hard(problem, start, control)
        else:
            name = choose(method)
            outcome = METHODS[name](problem, start, control)
        return _solutions(outcome, control, maps, geometries, options[2], name)


def _check_options(
    epsilon: float, length_scale: float | None, stride: float, tol: float, tol_gradient: float | None, max_iter: int
) -> None:
    if not math.isfinite(epsilon) or epsilon < 0:
        raise InputError(f"epsilon must be finite and not negative; got {epsilon}")
    for name, value in (
        ("stride", stride),
        ("length_scale", length_scale),
        ("tol", tol),
        ("tol_gradient", tol_gradient),
    ):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{name} must be positive and finite; got {value}")
    if max_iter < 1:
        raise InputError(f"max_iter must be at least 1; got {max_iter}")


def _start(problem: Problem, beta: Sequence[Tensor | None]) -> Start:
    """Return the start: known potentials, unknown ones of an image at the mean of its known ones."""
    values = torch.zeros_like(problem.weights)
    if all(given is None for given in beta):
        return Start(values, torch.zeros(len(beta), dtype=torch.bool, device=values.device))
    values.fill_(math.nan)
    for row, given in zip(values, beta):
        if given is not None:
            row[: len(given)] = given.detach()
    known = torch.isfinite(values)
    number, dots = known.sum(1), problem.present.sum(1)
    warm = (number >= KNOWN_SHARE * dots) & (dots > 0)
    mean = torch.where(known, values, 0.0).sum(1) / number.clamp(min=1)
    guess = torch.where(known, values, mean[:, None])
    return Start(torch.where(warm[:, None] & problem.present, guess, 0.0), warm)


def _solutions(
    outcome: Outcome,
    control: Control,
    densities: Sequence[Tensor],
    geometries: Sequence[Geometry],
    valid: Sequence[Tensor | None],
    method: str,
) -> list[Solution]:
    """Cut an outcome into one solution an image."""
    dual, point, certificate = outcome.dual, outcome.point, outcome.certificate
    problem, cells = dual.problem, dual.cells
    bounds = gradient_bound(dual, point, certificate, cells.inside(valid)).tolist()
    converged = (certificate.gap <= limit(point, control.tol)).tolist()
    terms, dtype = _terms(outcome), densities[0].dtype
    slope = -problem.pixel_penalty.conjugate(-point.alpha)
    maps = zip(*(cells.maps(values.to(dtype)) for values in (point.alpha, slope, point.q)))
    beta, gamma, weights = point.beta.to(dtype), point.gamma.to(dtype), problem.weights.to(dtype)
    rows = zip(certificate.lower.tolist(), certificate.gap.tolist(), outcome.evaluations.tolist(), bounds, maps)
    solutions = []
    for k, (value, gap, evaluations, bound, (alpha, gradient, q)) in enumerate(rows):
        density, m, inside = densities[k], problem.n_dots[k], valid[k]
        if inside is not None:
            gradient, density = gradient * inside, density * inside
        enough = control.tol_gradient is None or bound <= control.tol_gradient
        solutions.append(
            Solution(
                value=value,
                beta=beta[k, :m],
                alpha=alpha,
                gap=gap,
                gradient=gradient,
                gradient_bound=bound,
                n_evaluations=evaluations,
                converged=converged[k] and enough,
                terms=terms[k],
                pixel_mass=q,
                dot_mass=gamma[k, :m],
                density=density,
                weights=weights[k, :m],
                geometry=geometries[k],
                method=method,
            )
        )
    return solutions


def _terms(outcome: Outcome) -> list[Terms]:
    """Return the parts of the primal value; the entropy is what the others leave of it."""
    certificate = outcome.certificate
    transport, pixels, dots = certificate.transport, certificate.pixels, dot_term(outcome.dual, outcome.point)
    entropy = outcome.point.value + certificate.optimality - transport - pixels - dots
    columns: list[Any] = [part.tolist() for part in (transport, pixels, dots, entropy)]
    return [Terms(*parts) for parts in zip(*columns)]
