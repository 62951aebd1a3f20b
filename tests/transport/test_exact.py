"""An infinite strength on the dots: every dot is paid exactly."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from dotcount.errors import InputError
from dotcount.transport import solve, solve_batch

from . import problems as pb

TIGHT = {"tol": 1e-11, "max_iter": 3000}
COSTS = ("l1", "l2", "sql2", "wfr")


def solve_scene(s: pb.Scene, **options):
    return solve(s.density, s.points, **{**s.options, **options})


def exact(seed: int, rows: int = 7, columns: int = 9, m: int = 5, **changes) -> pb.Scene:
    if changes.get("cost") == "wfr":
        changes["delta"] = 0.9  # reaches every dot
    return pb.scene(seed, rows, columns, m, **{"rho": (1.0, math.inf), **changes})


def pot_value(s: pb.Scene) -> float:
    """W through POT, whose marginal strength may be infinite, too: pixel strength rho - eps, reference u (x) 1."""
    u, c = s.density.flatten().numpy(), pb.cost_matrix(s).numpy()
    v = np.ones(c.shape[1]) if s.weights is None else s.weights.numpy()
    plan = ot.unbalanced.sinkhorn_unbalanced(
        u, v, c, reg=s.epsilon, reg_m=(s.rho[0] - s.epsilon, math.inf), method="sinkhorn", reg_type="kl",
        c=np.outer(u, np.ones(len(v))), numItermax=50_000, stopThr=1e-15,
    )  # fmt: skip
    np.testing.assert_allclose(plan.sum(0), v, rtol=1e-9)
    # Paid exactly, so that the dots' own term is 0 for any strength.
    return float(
        pb.primal_value(s.but(rho=(s.rho[0], 1.0), weights=torch.from_numpy(plan.sum(0))), torch.from_numpy(plan))
    )


def test_agrees_with_pot():
    for seed in range(30):
        weights = 0.2 + torch.rand(1 + seed % 9, dtype=torch.float64) if seed % 2 else None
        s = exact(
            seed, 4 + seed % 7, 5 + seed % 5, 1 + seed % 9, epsilon=(0.05, 0.1, 0.2)[seed % 3], weights=weights,
            cost=("l2", "l1", "sql2")[seed % 3], rho=((1.0, 0.4)[seed % 2], math.inf),
        )  # fmt: skip
        assert solve_scene(s, **TIGHT).value == pytest.approx(pot_value(s), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_one_dot_has_a_closed_form(epsilon):
    s = exact(2, 6, 7, 1, epsilon=epsilon, rho=(0.7, math.inf))
    c, u = pb.cost_matrix(s)[:, 0], s.density.flatten()
    beta = -0.7 * math.log(float((u * torch.exp(-c / 0.7)).sum()))
    got = solve_scene(s, tol=1e-9, max_iter=3000)
    assert got.value == pytest.approx(0.7 * (float(u.sum()) - 1.0) + beta, abs=1e-8)
    assert float(got.dot_mass) == pytest.approx(1.0, abs=1e-4)


def test_with_strong_pixels_and_no_blur_it_is_the_linear_program():
    """Both sides can be met, and any change costs 1e6: what is left is balanced transport."""
    s = exact(3, 6, 6, 6, epsilon=0.0, rho=(1e6, math.inf))
    s = s.but(density=s.density / s.density.sum() * 6)
    plan = ot.emd(s.density.flatten().numpy(), np.ones(6), pb.cost_matrix(s).numpy())
    linear = float((plan * pb.cost_matrix(s).numpy()).sum())
    got = solve_scene(s, tol=1e-6, max_iter=3000)
    assert got.converged
    assert got.value == pytest.approx(linear, abs=1e-6)


@pytest.mark.parametrize("penalty", ["kl", "quadratic"])
@pytest.mark.parametrize("cost", COSTS)
def test_it_is_the_limit_of_large_strengths(cost, penalty):
    s = exact(5, 8, 8, 6, cost=cost, penalty=penalty, epsilon=0.03)
    limit = solve_scene(s, **TIGHT)
    assert limit.converged
    values = [solve_scene(s, rho=(1.0, rho), **TIGHT).value for rho in (10.0, 1e3, 1e6)]
    assert values == sorted(values)
    assert values[-1] <= limit.value
    assert values[-1] == pytest.approx(limit.value, rel=1e-5)
    torch.testing.assert_close(limit.dot_mass, limit.weights, rtol=1e-4, atol=0)
    torch.testing.assert_close(limit.plan(threshold=0.0).to_dense().sum(0), limit.weights, rtol=1e-4, atol=0)
    assert sum(vars(limit.terms).values()) == pytest.approx(limit.value, abs=1e-4)
    assert limit.terms.dot_mass == 0


@pytest.mark.parametrize("penalty", ["kl", "quadratic"])
@pytest.mark.parametrize("cost", COSTS)
def test_without_blur_it_is_the_limit_of_small_blurs(cost, penalty):
    s = exact(7, 8, 8, 6, cost=cost, penalty=penalty, epsilon=0.0)
    hard = solve_scene(s, max_iter=3000)
    soft = solve_scene(s, epsilon=1e-3, **TIGHT)
    assert hard.converged
    assert soft.value <= hard.value + hard.gap
    assert soft.value == pytest.approx(hard.value, abs=2e-3 * 6)


@pytest.mark.parametrize("penalty", ["kl", "quadratic"])
@pytest.mark.parametrize("cost", COSTS)
def test_gradient_is_the_finite_difference_of_the_value(cost, penalty):
    s = exact(11, 5, 6, 4, cost=cost, penalty=penalty, rho=(0.8, math.inf))
    base = solve_scene(s, tol=1e-13, max_iter=3000)
    for cell in ((0, 0), (2, 3)):
        h, values = 1e-4, []
        for sign in (1, -1):
            density = s.density.clone()
            density[cell] += sign * h
            values.append(solve_scene(s.but(density=density), tol=1e-13, max_iter=3000).value)
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(float(base.gradient[cell]), rel=1e-4, abs=1e-5)


@settings(max_examples=15)
@given(
    st.integers(0, 10**6), st.integers(1, 9), st.sampled_from(COSTS), st.sampled_from(["kl", "quadratic"]),
    st.sampled_from([0.0, 0.005, 0.05, 2.0]), st.integers(2, 30),
)  # fmt: skip
def test_the_certificate_holds_however_early_the_solver_stops(seed, m, cost, penalty, epsilon, budget):
    s = exact(seed, 6, 7, m, cost=cost, penalty=penalty, epsilon=epsilon)
    tol = 1e-11 if epsilon else 1e-6
    known = solve_scene(s, tol=tol, max_iter=3000)
    early = solve_scene(s, tol=tol, max_iter=budget)
    slack = 1e-12 * max(1.0, abs(known.value))
    assert early.value <= known.value + known.gap + slack
    assert early.value + early.gap >= known.value - slack
    if penalty == "kl" and epsilon:
        error = float((early.gradient - known.gradient).abs().max())
        assert error <= early.gradient_bound + known.gradient_bound + 1e-9
    elif penalty == "quadratic":
        assert early.gradient_bound == math.inf, "none is known"


@pytest.mark.parametrize("method", ["newton", "dense", "lbfgs", "sinkhorn"])
def test_every_method_finds_it(method):
    s = exact(1, 16, 16, 20, epsilon=0.03)
    reference = solve_scene(s, **TIGHT)
    got = solve_scene(s, tol=1e-6, max_iter=20_000, method=method)
    assert got.converged
    assert got.value == pytest.approx(reference.value, rel=2e-6)
    single = solve(s.density.float(), s.points.float(), **s.options, method=method, max_iter=20_000)
    assert single.converged
    assert single.value - 1e-5 <= reference.value <= single.value + single.gap + 1e-5


def expected_mass(p: float, apart: float, rho: tuple[float, float]) -> float:
    """Return the mass at which the expected W is least: a dot with probability p, at one of two places alike.

    By symmetry half of the mass lies at either place; W is convex, so that a vanishing derivative says all.
    """
    points = torch.tensor([[0.5, 0.5], [0.5 + apart, 0.5]], dtype=torch.float64)
    options = {"length_scale": 1.0, "epsilon": 0.01, "rho": rho, "tol": 1e-12}

    def slope(log_mass: float) -> float:
        density = torch.zeros(1, 1 + round(apart), dtype=torch.float64)
        density[0, 0] = density[0, -1] = 0.5 * math.exp(log_mass)
        dots = [points[:1], points[1:], points[:0]]
        here, there, none = (one.gradient[0, 0] for one in solve_batch([density] * 3, dots, **options))
        return float(0.5 * p * (here + there) + (1.0 - p) * none)

    return math.exp(brentq(slope, math.log(1e-3), math.log(2.0), xtol=1e-10))


@pytest.mark.parametrize("rho", [(1.0, 1.0), (1.0, 10.0), (0.5, 2.0), (1.0, math.inf), (0.5, math.inf)])
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_what_the_minimiser_counts_is_the_closed_form(p, rho):
    for apart in (1.0, 3.0):
        overlap = 0.5 + 0.5 * math.exp(-apart / rho[0])  # two independent draws of the place agree half of the time
        closed = p ** (1.0 + rho[0] / rho[1]) * overlap ** (rho[0] / rho[1])
        assert expected_mass(p, apart, rho) == pytest.approx(closed, rel=1e-5)
        if rho[1] == math.inf:
            assert closed == p


def test_dots_that_no_mass_can_reach_are_refused_in_words():
    s = exact(0, 6, 6, 3)
    empty = torch.zeros_like(s.density)
    with pytest.raises(InputError, match=r"no mass can reach 3 of 3 dots \(the density is 0 everywhere\)"):
        solve_scene(s.but(density=empty))
    corner = empty.clone()
    corner[0, 0] = 1.0
    near = torch.tensor([[2.0, 2.0], [20.0, 20.0], [5.0, 2.0]], dtype=torch.float64)
    s = s.but(density=corner, points=near, cost="wfr", delta=0.1)
    with pytest.raises(InputError, match=r"no mass can reach 1 of 3 dots.*the first is dot 1.*delta large enough"):
        solve_scene(s)
    assert solve_scene(s.but(points=near[::2])).converged
    with pytest.raises(InputError, match=r"^image 1: with an infinite rho"):
        solve_batch([corner, empty], [near[:1]] * 2, stride=4.0, rho=(1.0, math.inf))
    none = solve_scene(s.but(density=empty, points=near[:0], weights=None))
    assert none.converged
    assert none.value == 0


def test_an_infinite_strength_on_the_pixels_is_refused():
    s = exact(0, 4, 4, 2)
    for rho in (math.inf, (math.inf, 1.0), (math.inf, math.inf)):
        with pytest.raises(InputError, match="infinite for the dots only"):
            solve_scene(s.but(rho=rho))


def test_small_maps_and_far_dots_are_solved():
    g = torch.Generator().manual_seed(0)
    density, points = torch.rand(32, 32, generator=g) * 1e-9, torch.rand(60, 2, generator=g) * 256
    density[:, 16:] = 0
    got = solve(density, points, stride=8.0, rho=(1.0, math.inf), tol=1e-6)
    assert got.converged
    torch.testing.assert_close(got.dot_mass, got.weights, rtol=0.02, atol=0)
