from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from dotcount.losses._sinkhorn import sinkhorn


def problem(seed, n, m, spread=10.0):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(k, 2, generator=generator, dtype=torch.float64) * spread for k in (n, m))
    a = torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.cdist(x, y).square(), a / a.sum(), torch.full((m,), 1 / m, dtype=torch.float64)


def plan(f, g, cost, a, b, epsilon):
    return a[:, None] * b * torch.exp((f[:, None] + g - cost) / epsilon)


@pytest.mark.parametrize("epsilon", [0.3, 3.0, 300.0])
def test_a_balanced_plan_has_the_marginals(epsilon):
    cost, a, b = problem(1, 20, 7)
    f, g = sinkhorn(cost, a.log(), b.log(), epsilon=epsilon, tol=1e-10, max_iter=50_000)
    p = plan(f, g, cost, a, b, epsilon)
    assert torch.allclose(p.sum(1), a, atol=1e-12)
    assert torch.allclose(p.sum(0), b, atol=1e-8)


def test_an_unbalanced_plan_meets_the_optimality_conditions():
    cost, a, b = problem(2, 20, 7)
    f, g = sinkhorn(cost, a.log(), b.log(), epsilon=2.0, rho=8.0, tol=1e-12, max_iter=50_000)
    p = plan(f, g, cost, a, b, 2.0)
    assert torch.allclose(p.sum(1), a * torch.exp(-f / 8.0), atol=1e-10)
    assert torch.allclose(p.sum(0), b * torch.exp(-g / 8.0), atol=1e-10)


def test_a_small_blur_comes_near_the_assignment_without_underflow():
    """In the plain domain e^{-C / eps} is 0 in every number here."""
    cost, _, _ = problem(3, 6, 6, spread=1000.0)
    weight = torch.full((6,), 1 / 6, dtype=torch.float64)
    f, g = sinkhorn(cost, weight.log(), weight.log(), epsilon=10.0, tol=1e-8, max_iter=100_000)
    rows, columns = linear_sum_assignment(cost.numpy())
    best = cost[rows, columns].mean()
    value = (weight * f).sum() + (weight * g).sum()
    assert best - 1e-3 <= value <= best + 10.0 * math.log(6) + 1e-3


@pytest.mark.parametrize("rho", [math.inf, 50.0])
def test_float32_with_zero_weights_is_finite_and_near_float64(rho):
    cost, a, b = problem(4, 200, 12, spread=60.0)
    a[::2] = 0
    a /= a.sum()
    exact = sinkhorn(cost, a.log(), b.log(), epsilon=10.0, rho=rho, tol=1e-8, max_iter=20_000)
    single = sinkhorn(cost.float(), a.float().log(), b.float().log(), epsilon=10.0, rho=rho, tol=1e-4, max_iter=2000)
    assert torch.isfinite(single[0]).all()
    value = [float((a * f).sum() + (b * g).sum()) for f, g in (exact, single)]
    assert value[1] == pytest.approx(value[0], rel=1e-3)


def test_one_pair_is_known_in_closed_form():
    cost = torch.tensor([[5.0]], dtype=torch.float64)
    one = torch.zeros(1, dtype=torch.float64)
    f, g = sinkhorn(cost, one, one, epsilon=0.5)
    assert float(f + g) == pytest.approx(5.0)
    f, g = sinkhorn(cost, one, one, epsilon=0.5, rho=2.0, tol=1e-12, max_iter=1000)
    assert f.item() == pytest.approx(g.item())
    assert f.item() == pytest.approx(5.0 * 2.0 / (2 * 2.0 + 0.5))
