"""Random problems and independent reference formulas for the tests of transport."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

SEARCHES = (
    st.integers(0, 10**6),
    st.integers(1, 37),
    st.integers(1, 37),
    st.integers(1, 60),
    st.sampled_from(["l1", "l2", "sql2", "wfr"]),
    st.sampled_from([0.002, 0.02, 0.2]),
    st.sampled_from([2.0, 8.0, 20.0]),
)
"""Searches for neighbours: seed, rows, columns, number of dots, cost, epsilon and cutoff."""


@dataclass(frozen=True)
class Scene:
    """One problem in float64, with everything `solve` takes by name."""

    density: Tensor
    points: Tensor
    stride: float
    epsilon: float
    rho: float | tuple[float, float] = 1.0
    cost: str = "l2"
    penalty: str = "kl"
    delta: float | None = None
    weights: Tensor | None = None

    @property
    def options(self) -> dict:
        return {
            "stride": self.stride,
            "epsilon": self.epsilon,
            "rho": self.rho,
            "cost": self.cost,
            "penalty": self.penalty,
            "delta": self.delta,
            "weights": self.weights,
        }

    @property
    def scale(self) -> float:
        return max(self.density.shape) * self.stride

    def but(self, **changes) -> Scene:
        return replace(self, **changes)


def scene(seed: int, rows: int = 9, columns: int = 11, m: int = 6, *, sparse: bool = False, **changes) -> Scene:
    """Return a random problem; about half of the cells are exactly empty where ``sparse``."""
    g = torch.Generator().manual_seed(seed)
    density = torch.rand(rows, columns, generator=g, dtype=torch.float64) * (2.0 * max(m, 1) / (rows * columns))
    if sparse:
        density *= torch.rand(rows, columns, generator=g) > 0.5
    stride = 4.0
    size = torch.tensor([columns, rows]) * stride
    points = torch.rand(m, 2, generator=g, dtype=torch.float64) * size
    return Scene(density, points, stride, 0.05).but(**changes)


def cost_matrix(s: Scene) -> Tensor:
    """Return the (N, m) costs, written down independently of the library."""
    rows, columns = s.density.shape
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2).double() * s.stride / s.scale
    d = pixels[:, None] - s.points[None] / s.scale
    length = d.pow(2).sum(-1).sqrt()
    if s.cost == "l1":
        return d.abs().sum(-1)
    if s.cost == "sql2":
        return length**2
    if s.cost == "wfr":
        angle = (length / s.delta).clamp(max=torch.pi / 2)
        return torch.where(angle < torch.pi / 2, -2 * torch.log(torch.cos(angle)), torch.inf)
    return length


def strengths(s: Scene) -> tuple[float, float]:
    return s.rho if isinstance(s.rho, tuple) else (s.rho, s.rho)


def conjugate(name: str, z: Tensor, rho: float) -> Tensor:
    if rho == torch.inf:
        return z
    if name == "kl":
        return rho * (torch.exp(z / rho) - 1)
    return torch.where(z >= -2 * rho, z * z / (4 * rho) + z, -rho * torch.ones_like(z))


def phi(name: str, x: Tensor, rho: float) -> Tensor:
    return rho * (torch.xlogy(x, x) - x + 1) if name == "kl" else rho * (x - 1) ** 2


def dual_value(s: Scene, beta: Tensor) -> Tensor:
    """Return G(beta), from the definition."""
    u, c = s.density.flatten(), cost_matrix(s)
    v = torch.ones(len(beta), dtype=torch.float64) if s.weights is None else s.weights
    if s.epsilon == 0:
        alpha = (c - beta).min(1).values
    else:
        alpha = -s.epsilon * torch.logsumexp((beta - c) / s.epsilon, 1)
    rho_u, rho_v = strengths(s)
    return -(u * conjugate(s.penalty, -alpha, rho_u)).sum() - (v * conjugate(s.penalty, -beta, rho_v)).sum()


def primal_value(s: Scene, plan: Tensor) -> Tensor:
    """Return P(plan) for a dense (N, m) plan, from the definition, with the conditional entropy."""
    u, c = s.density.flatten(), cost_matrix(s)
    v = torch.ones(plan.shape[1], dtype=torch.float64) if s.weights is None else s.weights
    q, gamma = plan.sum(1), plan.sum(0)
    rho_u, rho_v = strengths(s)
    moved = plan > 0
    transport = (plan * torch.where(moved, c, torch.zeros_like(c))).sum()
    share = plan / q.clamp(min=1e-300)[:, None]
    entropy = s.epsilon * torch.xlogy(plan, share).sum()
    filled = u > 0
    pixels = (u * phi(s.penalty, q / torch.where(filled, u, torch.ones_like(u)), rho_u))[filled].sum()
    return transport + pixels + (v * phi(s.penalty, gamma / v, rho_v)).sum() + entropy


def scenes(max_m: int = 12, **fixed) -> st.SearchStrategy[Scene]:
    """Random scenes of all kinds for Hypothesis."""

    def build(seed, rows, columns, m, sparse, epsilon, rho, cost, penalty, weighted):
        s = scene(seed, rows, columns, m, sparse=sparse, epsilon=epsilon, rho=rho, cost=cost, penalty=penalty)
        if cost == "wfr":
            s = s.but(delta=0.4)
        if weighted:
            g = torch.Generator().manual_seed(seed + 1)
            s = s.but(weights=0.2 + 2 * torch.rand(m, generator=g, dtype=torch.float64))
        return s.but(**fixed)

    return st.builds(
        build,
        seed=st.integers(0, 10**6),
        rows=st.integers(1, 14),
        columns=st.integers(1, 14),
        m=st.integers(1, max_m),
        sparse=st.booleans(),
        epsilon=st.sampled_from([0.005, 0.02, 0.1, 0.5]),
        rho=st.sampled_from([1.0, 0.3, (0.5, 2.0)]),
        cost=st.sampled_from(["l1", "l2", "sql2", "wfr"]),
        penalty=st.sampled_from(["kl", "quadratic"]),
        weighted=st.booleans(),
    )
