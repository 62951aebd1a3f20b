"""The public entry points: one image, and a batch of images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dotcount.transport.costs import Cost
from dotcount.transport.dense import dense_newton
from dotcount.transport.penalties import penalty as make_penalty
from dotcount.transport.solution import Geometry, Solution, Terms


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
    max_iter: int = 200,
    method: str = "auto",
) -> Solution:
    """Solve the entropic semi-dual of unbalanced transport from ``density`` (h, w) to ``points`` (m, 2) xy px."""
    rows, columns = density.shape
    m = len(points)
    scale = float(length_scale or max(rows, columns) * stride)
    rho_pixels, rho_dots = rho if isinstance(rho, tuple) else (rho, rho)
    pix, dot = make_penalty(penalty, rho_pixels), make_penalty(penalty, rho_dots)
    geometry = Geometry(points.detach().double(), stride, scale, Cost(cost, delta), epsilon)
    inside = torch.ones(rows, columns, dtype=torch.bool) if valid is None else valid
    u = (density.detach().double() * inside).flatten()
    v = torch.ones(m, dtype=torch.float64) if weights is None else weights.double()
    if m == 0:
        value = float(u.sum()) * pix.at_zero
        gradient = torch.full_like(density, pix.at_zero) * inside
        zeros = torch.zeros_like(density)
        return Solution(
            value, v.to(density), torch.full_like(density, math.inf), 0.0, gradient, 0.0, 0, True,
            Terms(0.0, value, 0.0, 0.0), zeros, v.to(density), density.detach(), v.to(density), geometry, "closed form",
        )  # fmt: skip
    c = geometry.rows_of_cost(torch.arange(rows * columns), columns)
    start = torch.zeros(m, dtype=torch.float64) if beta is None else beta.detach().double().nan_to_num(0.0)
    r = dense_newton(u, c, v, pix, dot, epsilon, start, tol, max_iter)
    gap = float((v * dot.fenchel_young(r.gamma / v, -r.beta)).sum())
    pi = r.q[:, None] * r.p
    ratio = r.q / u.clamp(min=1e-300)
    terms = Terms(
        float((pi * c.nan_to_num(0.0, posinf=0.0)).sum()),
        float((u * pix.primal(ratio)).sum()),
        float((v * dot.primal(r.gamma / v)).sum()),
        float(epsilon * torch.xlogy(pi, r.p).sum()),
    )
    shape = (rows, columns)
    return Solution(
        float(r.value), r.beta.to(density), r.alpha.view(shape).to(density), gap,
        (-pix.conjugate(-r.alpha)).view(shape).to(density) * inside, math.inf, r.n, gap <= tol * max(1.0, abs(float(r.value))), terms,
        r.q.view(shape).to(density), r.gamma.to(density), density.detach(), v.to(density), geometry, "dense",
    )  # fmt: skip


def solve_batch(
    densities: Tensor | Sequence[Tensor],
    points: Sequence[Tensor],
    *,
    beta: Sequence[Tensor | None] | None = None,
    weights: Sequence[Tensor | None] | None = None,
    valid: Sequence[Tensor | None] | None = None,
    **options: object,
) -> list[Solution]:
    """Solve the problems of several images; see :func:`solve`."""
    n = len(points)
    beta, weights, valid = beta or [None] * n, weights or [None] * n, valid or [None] * n
    return [
        solve(densities[k], points[k], beta=beta[k], weights=weights[k], valid=valid[k], **options)  # type: ignore[arg-type]
        for k in range(n)
    ]
