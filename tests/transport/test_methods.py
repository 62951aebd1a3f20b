"""Every method on the same problems: the same answer by every route."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotcount.errors import UnknownNameError, UsageError
from dotcount.transport import solve, solve_batch
from dotcount.transport.methods import METHODS

from . import problems as pb


@settings(max_examples=12)
@given(pb.scenes(max_m=9), st.sampled_from(["newton", "lbfgs", "sinkhorn"]))
def test_methods_agree_with_the_dense_newton(s, method):
    if method == "sinkhorn":
        s = s.but(penalty="kl", epsilon=max(s.epsilon, 0.02))
    if method == "lbfgs":
        s = s.but(epsilon=max(s.epsilon, 0.02))
    reference = solve(s.density, s.points, **s.options, tol=1e-9, method="dense", max_iter=3000)
    other = solve(s.density, s.points, **s.options, tol=1e-6, method=method, max_iter=20000)
    assert reference.converged
    assert other.converged
    assert other.method == method
    slack = reference.gap + 1e-12
    assert other.value - slack <= reference.value <= other.value + other.gap + slack


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_reports_when_it_is_starved(method):
    s = pb.scene(0, 12, 12, 10, epsilon=0.02)
    got = solve(s.density, s.points, **s.options, tol=1e-10, method=method, max_iter=2)
    assert not got.converged
    assert got.n_evaluations <= 3
    exact = solve(s.density, s.points, **s.options, tol=1e-10)
    assert got.value <= exact.value + exact.gap <= got.value + got.gap + exact.gap


@settings(max_examples=10)
@given(st.lists(pb.scenes(max_m=9, cost="l2", delta=None, penalty="kl", epsilon=0.02, rho=1.0), min_size=2, max_size=5))
def test_a_ragged_batch_is_its_images_one_by_one(batch):
    empty = torch.zeros(0, 2, dtype=torch.float64)
    points = [empty if k == 1 else s.points for k, s in enumerate(batch)]
    weights = [None if k == 1 else s.weights for k, s in enumerate(batch)]
    densities = [s.density + 0.01 for s in batch]  # without any mass the gradient has no bound
    options = {"stride": 4.0, "epsilon": 0.02, "tol": 1e-9, "tol_gradient": 1e-6}
    together = solve_batch(densities, points, weights=weights, **options)
    for density, dots, mass, got in zip(densities, points, weights, together):
        alone = solve(density, dots, weights=mass, **options)
        assert got.converged
        assert got.value == pytest.approx(alone.value, rel=1e-8, abs=1e-8)
        torch.testing.assert_close(got.gradient, alone.gradient, rtol=0, atol=2e-6)
        assert got.beta.shape == dots.shape[:1]


@pytest.mark.parametrize("method", ["newton", "dense"])
def test_warm_and_cold_starts_meet_and_warm_is_shorter(method):
    s = pb.scene(1, 24, 24, 40, epsilon=0.02)
    cold = solve(s.density, s.points, **s.options, tol=1e-8, method=method)
    warm = solve(s.density, s.points, **s.options, tol=1e-8, method=method, beta=cold.beta)
    assert warm.n_evaluations <= 2 < cold.n_evaluations
    assert warm.value == pytest.approx(cold.value, rel=1e-8)


@pytest.mark.parametrize("beta", [50.0, -50.0])
def test_a_useless_warm_start_is_survived(beta):
    s = pb.scene(2, 16, 16, 20, epsilon=0.01)
    cold = solve(s.density, s.points, **s.options, tol=1e-7)
    wild = beta * torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = solve(s.density, s.points, **s.options, tol=1e-7, beta=wild, max_iter=2000)
    assert got.converged
    assert got.value == pytest.approx(cold.value, rel=1e-6, abs=1e-6)


def test_potentials_from_another_crop_never_cost_much_more_than_none():
    g = torch.Generator().manual_seed(2)
    points = torch.rand(160, 2, generator=g) * 512
    crops = torch.rand(12, 2, generator=g) * 100
    known, spent = torch.full((160,), torch.nan), []
    for corner in crops:
        inside = ((points >= corner) & (points < corner + 256)).all(1)
        given = (torch.full((64, 64), 0.01), points[inside] - corner)
        options = {"stride": 4.0, "rho": (1.0, 10.0)}
        warm = solve(*given, beta=known[inside], **options)
        assert warm.converged
        spent.append(warm.n_evaluations - solve(*given, **options).n_evaluations)
        known[inside] = warm.beta
    assert max(spent) <= 2, "one look, and perhaps one step"


@pytest.mark.parametrize("cost", ["sql2", "wfr"])
def test_few_cells_with_much_mass_and_the_quadratic_penalty_converge_with_neighbours(cost):
    """The potentials leave the pairs chosen at first far behind; solves used to get stuck."""
    g = torch.Generator().manual_seed(0)
    density = torch.zeros(1, 10, dtype=torch.float64)
    density[0, ::2] = 30 * torch.rand(5, generator=g, dtype=torch.float64)
    points = torch.rand(60, 2, generator=g, dtype=torch.float64) * torch.tensor([80.0, 8.0])
    delta = 0.6 if cost == "wfr" else None
    options = {
        "stride": 8.0,
        "cost": cost,
        "delta": delta,
        "penalty": "quadratic",
        "epsilon": 0.002,
        "method": "newton",
    }
    got = solve(density, points, max_iter=2000, **options)
    assert got.converged


def test_unknown_potentials_are_filled_in():
    s = pb.scene(2, 16, 16, 20, epsilon=0.02)
    cold = solve(s.density, s.points, **s.options, tol=1e-7)
    beta = cold.beta.clone()
    beta[3] = torch.nan
    got = solve(s.density, s.points, **s.options, tol=1e-7, beta=beta)
    assert got.converged
    assert got.value == pytest.approx(cold.value, rel=1e-6)


@pytest.mark.parametrize("phase", ["early", "late"])
@pytest.mark.parametrize("epsilon", [0.01, 0.0015])
def test_float32_and_neighbours_agree_with_dense_float64(phase, epsilon):
    g = torch.Generator().manual_seed(1)
    points = 20 + 40 * torch.rand(150, 2, generator=g, dtype=torch.float64)  # all in one corner
    if phase == "early":
        density = torch.full((32, 32), 0.1, dtype=torch.float64)
    else:
        density = torch.zeros(32, 32, dtype=torch.float64)
        cells = (points / 8).long()
        density.index_put_((cells[:, 1], cells[:, 0]), torch.ones(150, dtype=torch.float64), accumulate=True)
    options = {"stride": 8.0, "epsilon": epsilon}
    exact = solve(density, points, method="dense", tol=1e-9, **options)
    fast = solve(density.float(), points.float(), method="newton", tol=1e-4, **options)
    assert exact.converged
    assert fast.converged
    slack = 1e-6 * max(1.0, abs(exact.value)) + exact.gap  # the points themselves were rounded
    assert fast.value - slack <= exact.value <= fast.value + fast.gap + slack
    assert fast.gradient.dtype == torch.float32
    error = float((fast.gradient - exact.gradient).abs().max())
    assert error <= fast.gradient_bound + 1e-5


def test_sinkhorn_refuses_what_it_cannot_do_and_names_are_checked():
    s = pb.scene(0, penalty="quadratic")
    with pytest.raises(UsageError, match="needs penalty 'kl'"):
        solve(s.density, s.points, **s.options, method="sinkhorn")
    with pytest.raises(UnknownNameError, match="Did you mean 'newton'"):
        solve(s.density, s.points, **s.options, method="newtn")
