"""A plain dense float64 Newton solver."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.penalties import Penalty


@dataclass
class DenseResult:
    beta: Tensor
    alpha: Tensor
    q: Tensor
    p: Tensor
    gamma: Tensor
    value: Tensor
    n: int


def evaluate(u: Tensor, c: Tensor, v: Tensor, pix: Penalty, dot: Penalty, eps: float, beta: Tensor) -> DenseResult:
    score = (beta - c) / eps
    lse = torch.logsumexp(score, 1)
    alpha = -eps * lse
    p = torch.exp(score - lse[:, None]).nan_to_num(0.0)
    q = torch.where(torch.isfinite(alpha), u * pix.slope(-alpha), torch.zeros_like(u))
    gamma = p.T @ q
    value = -(u * pix.conjugate(-alpha)).sum() - (v * dot.conjugate(-beta)).sum()
    return DenseResult(beta, alpha, q, p, gamma, value, 0)


def dense_newton(u, c, v, pix, dot, eps, beta, tol, max_iter) -> DenseResult:
    scale = torch.where(torch.isfinite(c), c, 0).max().item() if c.numel() else 1.0
    steps = [eps]
    while steps[-1] < 0.1 * scale:
        steps.append(steps[-1] * 4)
    n = 0
    for e in reversed(steps):
        last = e == eps
        state = evaluate(u, c, v, pix, dot, e, beta)
        n += 1
        for _ in range(max_iter if last else 4):
            gap = (v * dot.fenchel_young(state.gamma / v, -beta)).sum()
            if gap <= (tol if last else 1e-2) * max(1.0, abs(state.value.item())) or n >= max_iter:
                break
            m = v * dot.slope(-beta)
            ptq = state.p.T * state.q
            w = torch.where(torch.isfinite(state.alpha), u * pix.curvature(-state.alpha), torch.zeros_like(u))
            h = torch.diag(v * dot.curvature(-beta) + state.gamma / e) - ptq @ state.p / e + (state.p.T * w) @ state.p
            h = h + torch.diag(1e-12 * h.diagonal() + 1e-14 * v)
            g = m - state.gamma
            d = torch.linalg.solve(h, g)
            slope, t = (g @ d).item(), 1.0
            while True:
                new = evaluate(u, c, v, pix, dot, e, beta + t * d)
                n += 1
                if new.value >= state.value + 1e-4 * t * slope - 1e-13 * state.value.abs() or t < 1e-6:
                    break
                t *= 0.4
            beta, state = beta + t * d, new
    state.n = n
    return state
