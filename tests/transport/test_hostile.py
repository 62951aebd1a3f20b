"""Problems at the edge of arithmetic: nothing dies, and what is called converged is finite and proven."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch

from dotcount.errors import InputError
from dotcount.transport import solve

from . import hostile

DOT = torch.tensor([[3.0, 4.0]])


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(("exact", "number"), [(False, 120), (True, 50)], ids=["strengths", "exact"])
def test_a_sample_of_hostile_problems_is_without_fault(route, exact, number):
    first = 0 if route == "compiled" else 500
    states = set()
    for seed, faults, state in hostile.run(range(first, first + number), exact):
        assert not faults, f"problem {seed}: {faults}"
        states.add(state)
    assert {"converged, all judged", "not converged, value judged"} <= states


def test_what_a_dot_wants_keeps_its_digits_where_next_to_nothing_reaches_it(route):
    """Its mass e^(-beta / rho) must be no difference of numbers near one: that was 2e-7 off, and the bound with it."""
    density, points, options = hostile.draw(1916173)
    assert hostile.judge(density, points, options)[0] == []
    got = solve(density, points, **options)
    assert got.dot_mass.item() == pytest.approx(math.exp(-got.beta.item()), rel=0.02)  # of the plan, within the gap
    bare = solve(density, points, **options | {"max_iter": 1})
    assert hostile._compare(bare, bare.gradient_bound, hostile.dense(density, points, options))[0] == []


def test_the_judge_sees_a_wrong_value_and_a_wrong_gradient():
    from dataclasses import replace

    density, points = rand(6, 6).double(), DOT.double()
    options = {"stride": 1.0, "cost": "l2", "penalty": "kl", "epsilon": 0.1, "rho": 1.0, "tol": 1e-6}
    got = solve(density, points, **options)
    problem = hostile.dense(density, points, options)
    assert hostile._compare(got, got.gradient_bound, problem) == ([], "all judged")
    for wrong in (
        replace(got, value=got.value + 3e-6 * got.value),
        replace(got, value=got.value - 2 * got.gap, gap=got.gap * 0.5),
        replace(got, gradient=got.gradient + 3 * got.gradient_bound),
    ):
        assert hostile._compare(wrong, got.gradient_bound, problem)[0]


@pytest.mark.parametrize(
    ("density", "points", "options"),
    [
        (rand(22, 9) * 1e-40, DOT.repeat(12, 1), {}),
        (rand(22, 9) * 1e-42, rand(6, 2) * 9, {"method": "sinkhorn"}),
        (rand(22, 9), DOT, {"rho": (2e-4, 7e4)}),
        (rand(22, 9), rand(6, 2) * 9, {"rho": 1e-2, "length_scale": 0.01}),
        (rand(22, 9), rand(6, 2) * 9, {"rho": 1e-2, "length_scale": 0.04}),
        (rand(4, 4) * 0, DOT, {"beta": torch.tensor([-1e4])}),
        (rand(16, 16), DOT, {"beta": torch.tensor([-1e3])}),
        (rand(16, 16), DOT, {"beta": torch.tensor([-1e3]), "max_iter": 1}),
        (rand(16, 16), DOT, {"beta": torch.tensor([1e38]), "max_iter": 1}),
        (rand(16, 16) * 1e38, DOT.repeat(40, 1), {}),
        (rand(16, 16).double() * 1e59, DOT.double(), {"epsilon": 1e-6, "rho": 1e6}),
    ],
)
def test_converged_is_finite_and_proven(density, points, options):
    got = solve(density, points, **{"epsilon": 0.01, **options})
    numbers = hostile.numbers(got)
    assert not got.converged or all(map(math.isfinite, numbers))
    assert not math.isnan(got.value)
    assert got.gap >= 0


@pytest.mark.parametrize("method", ["newton", "dense", "lbfgs", "sinkhorn"])
def test_a_value_beyond_float64_is_told_as_unknown(method):
    density, points = rand(16, 2).double() * 75, rand(8, 2).double() * 16
    got = solve(density, points, epsilon=195.0, rho=(0.38, 0.2), method=method, max_iter=100)
    assert (got.value, got.gap, got.converged) == (-math.inf, math.inf, False)


def test_a_finite_value_below_the_sentinel_is_told_as_unknown_too():
    density, points = torch.ones(2, 2, dtype=torch.float64), DOT.repeat(2, 1).double()
    got = solve(density, points, epsilon=103.0, rho=(0.1, 0.1), method="lbfgs", max_iter=1)
    assert -math.inf < float(-(0.1 * torch.exp(-got.alpha / 0.1)).sum()) < -1e300
    assert (got.value, got.gap, got.converged) == (-math.inf, math.inf, False)


@pytest.mark.parametrize("penalty", ["kl", "quadratic"])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_a_dot_that_gets_nothing_leaves_the_cost_of_paying_it_exactly_open(penalty, epsilon):
    density, points = rand(10, 19).double() * 1e-316, rand(12, 2).double() * 10
    start = torch.full((12,), -1000.0, dtype=torch.float64)
    got = solve(density, points, epsilon=epsilon, rho=(0.0124, math.inf), penalty=penalty, max_iter=1, beta=start)
    assert got.gap == math.inf
    assert not got.converged


@pytest.mark.parametrize(("seed", "exact"), [(700048, False), (410268, True)])
def test_problems_that_once_had_a_false_bound(seed, exact):
    assert hostile.judge(*hostile.draw(seed, exact))[0] == []


def test_a_start_that_overflows_is_told_or_left_behind():
    assert not solve(rand(16, 16), DOT, beta=torch.tensor([-1e3]), max_iter=1).converged
    cold = solve(rand(16, 16), DOT)
    warm = solve(rand(16, 16), DOT, beta=torch.tensor([-1e3]))
    assert warm.converged
    assert warm.value == pytest.approx(cold.value, rel=1e-3)


@pytest.mark.parametrize(
    ("density", "points", "options", "message"),
    [
        (rand(4, 4).double() * 1e99, DOT.double(), {}, "density must be at most"),
        (rand(4, 4), DOT * 1e32, {}, "distances between dots and cells"),
        (rand(4, 4), DOT, {"length_scale": 1e-35}, "distances between dots and cells"),
        (rand(4, 4), DOT, {"weights": torch.tensor([1e-38])}, "weights must be between"),
        (rand(4, 4), DOT, {"rho": 1e40}, "rho must be positive, between"),
        (rand(4, 4), DOT, {"epsilon": 1e-40}, "epsilon must be finite and not negative: 0, or between"),
    ],
)
def test_what_leaves_the_range_of_arithmetic_is_refused(density, points, options, message):
    with pytest.raises(InputError, match=message):
        solve(density, points, **options)


def test_the_gradients_bound_knows_float32():
    density, points = rand(16, 16), rand(9, 2) * 16
    got = solve(density, points, tol=1e-6)
    exact = solve(density.double(), points.double(), tol=1e-12, max_iter=2000)
    assert float((got.gradient - exact.gradient).abs().max()) <= got.gradient_bound + exact.gradient_bound
    assert got.gradient_bound >= 2**-24 * float(exact.gradient.abs().max()), "the last place of the numbers handed out"
    asked = solve(density, points, tol_gradient=1e-5)
    assert asked.converged
    assert asked.gradient_bound <= 1e-5
    assert not solve(density, points, tol_gradient=1e-12).converged, "float32 can't hold such a gradient"


def test_places_are_sorted_whatever_the_scores_are():
    sort_places = importlib.import_module("dotcount.transport.kernels.stabilise").sort_places
    nan, inf = math.nan, math.inf
    for values in ([nan] * 5, [1.0, nan, -inf, 3.0, inf], [0.0] * 4, [-inf] * 3):
        for near, least in ((2.0, 0.5), (nan, nan), (nan, 0.0), (1.0, nan), (-inf, -inf), (0.5, 2.0), (inf, inf)):
            order = np.full(len(values) + 1, -7)
            first, second = sort_places(np.array(values), near, least, order)
            assert sorted(order[: len(values)]) == list(range(len(values)))
            assert 0 <= first <= second <= len(values)


@pytest.mark.parametrize("place", [math.nan, math.inf, -math.inf, 1e300, -1e300, 7.0])
def test_the_nearest_block_is_always_one_of_the_blocks(place):
    assert 0 <= importlib.import_module("dotcount.transport.kernels.search").nearest_block(place, 1e-3, 5) < 5
