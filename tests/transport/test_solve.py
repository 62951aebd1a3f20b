"""The solve against closed forms, other libraries, its own invariances and finite differences."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotcount.transport import solve

from . import problems as pb

TIGHT = {"tol": 1e-11, "max_iter": 3000}


def solve_scene(s: pb.Scene, **options):
    return solve(s.density, s.points, **{**s.options, **options})


def pot_value(s: pb.Scene) -> float:
    """W for KL and v = 1 through POT: pixel strength rho - eps, dot strength rho, reference u (x) 1."""
    u, c = s.density.flatten().numpy(), pb.cost_matrix(s).numpy()
    rho = s.rho
    plan = ot.unbalanced.sinkhorn_unbalanced(
        u, np.ones(c.shape[1]), c, reg=s.epsilon, reg_m=(rho - s.epsilon, rho), method="sinkhorn", reg_type="kl",
        numItermax=20000, stopThr=1e-14,
    )  # fmt: skip
    return float(pb.primal_value(s, torch.from_numpy(plan)))


@pytest.mark.parametrize("block", range(4))
def test_agrees_with_pot_on_100_random_problems(block):
    for seed in range(25 * block, 25 * block + 25):
        m = 1 + seed % 9
        s = pb.scene(seed, 4 + seed % 7, 5 + seed % 5, m, epsilon=(0.05, 0.1, 0.2)[seed % 3])
        assert solve_scene(s, **TIGHT).value == pytest.approx(pot_value(s), rel=1e-9)


@settings(max_examples=40)
@given(pb.scenes())
def test_value_is_the_dual_at_beta_and_the_plan_closes_the_gap(s):
    got = solve_scene(s, tol=1e-8, max_iter=3000, method="dense")  # nothing is left out
    assert got.converged
    assert got.value == pytest.approx(float(pb.dual_value(s, got.beta)), rel=1e-9, abs=1e-9)
    plan = got.plan(threshold=0.0).to_dense()
    primal = float(pb.primal_value(s, plan))
    assert primal - got.value == pytest.approx(got.gap, abs=1e-8 * max(1.0, abs(primal)))
    assert sum(vars(got.terms).values()) == pytest.approx(primal, rel=1e-7, abs=1e-7)
    torch.testing.assert_close(plan.sum(1).view_as(s.density), got.pixel_mass, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(plan.sum(0), got.dot_mass, rtol=1e-9, atol=1e-12)


@settings(max_examples=40)
@given(pb.scenes(), st.integers(0, 10**6), st.sampled_from([0.01, 0.3]))
def test_the_dual_anywhere_is_below_and_any_plan_is_above(s, seed, size):
    got = solve_scene(s, tol=1e-9, max_iter=3000)
    g = torch.Generator().manual_seed(seed)
    beta = got.beta + size * torch.randn(len(got.beta), generator=g, dtype=torch.float64)
    slack = 1e-9 * max(1.0, abs(got.value))
    assert float(pb.dual_value(s, beta)) <= got.value + got.gap + slack
    c = pb.cost_matrix(s)
    noise = 0.5 + torch.rand(*c.shape, generator=g, dtype=torch.float64)
    plan = torch.where(torch.isfinite(c), got.plan(threshold=0.0).to_dense() * noise, 0.0)
    assert float(pb.primal_value(s, plan)) >= got.value - slack


@settings(max_examples=25)
@given(pb.scenes(max_m=8), st.integers(2, 30))
def test_certificate_holds_however_early_the_solver_stops(s, budget):
    exact = solve_scene(s, tol=1e-11, max_iter=3000)
    early = solve_scene(s, tol=1e-11, max_iter=budget)
    slack = exact.gap + 1e-12 * max(1.0, abs(exact.value))
    assert early.value <= exact.value + slack
    assert early.value + early.gap >= exact.value - slack
    assert early.converged == (early.gap <= 1e-11 * max(1.0, abs(early.value)))
    error = float((early.gradient - exact.gradient).abs().max())
    assert error <= early.gradient_bound + exact.gradient_bound + 1e-9


def test_a_starved_solver_says_so():
    s = pb.scene(3, 16, 16, 20, epsilon=0.005)
    starved = solve_scene(s, max_iter=1, tol=1e-6)
    assert not starved.converged
    assert starved.gap > 1e-6 * max(1.0, abs(starved.value))
    assert starved.n_evaluations <= 2
    assert solve_scene(s, tol=1e-6).converged


def test_tight_gradient_is_asked_for_and_given():
    s = pb.scene(5, 12, 12, 15)
    rough = solve_scene(s, tol=1e-3)
    exact = solve_scene(s, tol=1e-3, tol_gradient=1e-6)
    assert exact.converged
    assert exact.gradient_bound <= 1e-6 < rough.gradient_bound
    truth = solve_scene(s, **TIGHT).gradient
    assert float((exact.gradient - truth).abs().max()) <= 1e-6


@pytest.mark.parametrize("penalty", ["kl", "quadratic"])
@pytest.mark.parametrize("cost", ["l1", "l2", "sql2", "wfr"])
def test_gradient_is_the_finite_difference_of_the_value(cost, penalty):
    s = pb.scene(11, 5, 6, 4, cost=cost, penalty=penalty, delta=0.5 if cost == "wfr" else None, rho=(0.8, 1.5))
    base = solve_scene(s, tol=1e-13, max_iter=3000)
    for cell in ((0, 0), (2, 3), (4, 5)):
        h = 1e-4
        values = []
        for sign in (1, -1):
            density = s.density.clone()
            density[cell] += sign * h
            values.append(solve_scene(s.but(density=density), tol=1e-13, max_iter=3000).value)
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(float(base.gradient[cell]), rel=1e-5, abs=1e-6)


def test_one_dot_solves_a_scalar_equation():
    s = pb.scene(2, 6, 7, 1)
    got = solve_scene(s, **TIGHT)
    c = pb.cost_matrix(s)[:, 0]
    # KL: beta = ln(1 / sum_i u_i e^{beta - c}) / 1, so beta = -ln(sum u e^-c) / 2.
    beta = -0.5 * math.log(float((s.density.flatten() * torch.exp(-c)).sum()))
    assert float(got.beta[0]) == pytest.approx(beta, abs=1e-7)
    assert got.value == pytest.approx(float(pb.dual_value(s, torch.tensor([beta]).double())), rel=1e-10)


def test_no_dots_cost_the_mass():
    for penalty in ("kl", "quadratic"):
        s = pb.scene(1, 4, 5, 0, rho=0.7, penalty=penalty)
        got = solve_scene(s)
        assert got.converged
        assert got.value == pytest.approx(0.7 * float(s.density.sum()))
        assert got.gap <= 1e-12
        torch.testing.assert_close(got.gradient, torch.full_like(s.density, 0.7))
        assert got.plan().shape == (20, 0)


def test_no_mass_costs_the_dots():
    s = pb.scene(1, 4, 5, 3, density=torch.zeros(4, 5, dtype=torch.float64))
    got = solve_scene(s)
    assert got.converged
    assert got.value == pytest.approx(3.0, rel=1e-4)
    assert torch.isfinite(got.gradient).all()
    assert got.gradient.max() < -1, "more mass would help everywhere"


def test_far_apart_pairs_decouple():
    density = torch.zeros(1, 400, dtype=torch.float64)
    density[0, 3], density[0, 396] = 0.5, 2.0
    points = torch.tensor([[3.5, 0.5], [396.5, 0.5]], dtype=torch.float64)
    both = solve(density, points, epsilon=0.005, length_scale=40.0, tol=1e-11)
    alone = sum(
        solve(d, p[None], epsilon=0.005, length_scale=40.0, tol=1e-11).value
        for d, p in zip((torch.where(density == 0.5, density, 0), torch.where(density == 2.0, density, 0)), points)
    )
    assert both.value == pytest.approx(alone, rel=1e-9)


def test_doubled_dots_share_their_mass():
    s = pb.scene(4, 8, 8, 5)
    twice = s.but(points=torch.cat([s.points, s.points]))
    weighted = s.but(weights=torch.full((5,), 2.0, dtype=torch.float64))
    a, b = solve_scene(twice, **TIGHT), solve_scene(weighted, **TIGHT)
    # The blur counts the two copies apart: alpha falls by eps ln 2.
    torch.testing.assert_close(a.dot_mass[:5], a.dot_mass[5:])
    torch.testing.assert_close(a.beta[:5], a.beta[5:])
    assert float(a.dot_mass.sum()) == pytest.approx(float(b.dot_mass.sum()), rel=0.05)


@settings(max_examples=15)
@given(pb.scenes(max_m=8, penalty="kl"), st.randoms(use_true_random=False))
def test_permuting_the_dots_permutes_beta(s, random):
    order = torch.tensor(random.sample(range(len(s.points)), len(s.points)))
    weights = None if s.weights is None else s.weights[order]
    a = solve_scene(s, tol_gradient=1e-8, **TIGHT)
    b = solve_scene(s.but(points=s.points[order], weights=weights), tol_gradient=1e-8, **TIGHT)
    assert a.value == pytest.approx(b.value, rel=1e-9, abs=1e-9)
    torch.testing.assert_close(a.gradient, b.gradient, rtol=1e-5, atol=1e-7)


@settings(max_examples=15)
@given(pb.scenes(max_m=8, weights=None), st.floats(0.2, 5.0))
def test_scaling_cost_blur_and_strength_scales_the_value(s, factor):
    if s.cost not in ("l1", "l2"):
        s = s.but(cost="l2", delta=None)
    rho = tuple(factor * r for r in pb.strengths(s))
    a = solve_scene(s, **TIGHT)
    b = solve_scene(s, epsilon=factor * s.epsilon, rho=rho, length_scale=s.scale / factor, **TIGHT)
    assert b.value == pytest.approx(factor * a.value, rel=1e-8, abs=1e-8)


def test_moving_the_whole_scene_changes_nothing():
    s = pb.scene(8, 8, 8, 6)
    density = torch.zeros(20, 20, dtype=torch.float64)
    density[7:15, 5:13] = s.density
    moved = s.but(density=density, points=s.points + torch.tensor([5, 7]) * s.stride)
    a = solve_scene(s, length_scale=40.0, **TIGHT)
    b = solve_scene(moved, length_scale=40.0, **TIGHT)
    assert a.value == pytest.approx(b.value, rel=1e-9)
    torch.testing.assert_close(a.gradient, b.gradient[7:15, 5:13], rtol=1e-5, atol=1e-6)


def test_the_image_may_be_turned():
    s = pb.scene(9, 6, 13, 7)
    turned = s.but(density=s.density.T.contiguous(), points=s.points.flip(1))
    assert solve_scene(s, **TIGHT).value == pytest.approx(solve_scene(turned, **TIGHT).value, rel=1e-9)


def test_valid_cells_alone_count():
    s = pb.scene(6, 8, 8, 5)
    valid = torch.ones(8, 8, dtype=torch.bool)
    valid[:, 6:] = False
    masked = solve_scene(s, valid=valid, length_scale=32.0, **TIGHT)
    cut = solve_scene(s.but(density=s.density[:, :6]), length_scale=32.0, **TIGHT)
    assert masked.value == pytest.approx(cut.value, rel=1e-9)
    assert (masked.gradient[:, 6:] == 0).all()
    torch.testing.assert_close(masked.gradient[:, :6], cut.gradient, rtol=1e-5, atol=1e-6)


def test_cells_of_the_paper_are_half_a_cell_off_the_origin():
    """A dot at a cell's centre costs nothing to serve from that cell: no constant shift of the grid."""
    density = torch.zeros(5, 7, dtype=torch.float64)
    density[3, 2] = 1.0
    got = solve(density, torch.tensor([[8 * 2.5, 8 * 3.5]], dtype=torch.float64), stride=8, tol=1e-11)
    assert got.value == pytest.approx(0.0, abs=1e-9)
    assert got.terms.transport == pytest.approx(0.0, abs=1e-12)
