"""Length scales of single dots."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotcount.errors import InputError
from dotcount.transport import solve, solve_batch

from . import problems as pb
from . import reference

RHO = (1.0, (1.0, 10.0), (1.0, math.inf))


def draw(seed: int, m: int, side: float = 40.0) -> torch.Tensor:
    """Return (m,) lengths between a quarter of ``side`` and three times as much."""
    g = torch.Generator().manual_seed(seed + 1)
    return side * (0.25 + 2.75 * torch.rand(m, generator=g, dtype=torch.float64))


def options_of(s: pb.Scene) -> dict:
    return {key: value for key, value in s.options.items() if key != "weights"}


def dense(s: pb.Scene, lengths: torch.Tensor) -> reference.Dense:
    rows, columns = s.density.shape
    cost = [
        reference.costs(s.cost, s.delta, rows, columns, s.points[j : j + 1].numpy(), s.stride, float(lengths[j]))
        for j in range(len(lengths))
    ]
    rho = (s.rho, s.rho) if isinstance(s.rho, float) else s.rho
    u, v = s.density.flatten().numpy().astype(reference.LONG), np.ones(len(lengths), reference.LONG)
    return reference.Dense(u, v, np.concatenate(cost, 1), s.penalty, s.epsilon, rho)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["l1", "l2", "sql2", "wfr"]),
    st.sampled_from(["kl", "quadratic"]),
    st.sampled_from(RHO),
    st.sampled_from([0.0, 0.01, 0.1]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_the_certificate_holds(seed, cost, penalty, rho, epsilon, dtype):
    """Both bounds enclose the dual value and the cost of a plan, both in extended precision, of the same problem."""
    m = 1 + seed % 9
    s = pb.scene(seed, 5 + seed % 6, 9, m, cost=cost, penalty=penalty, rho=rho, epsilon=epsilon)
    s = s.but(delta=2.0 if cost == "wfr" else None, density=s.density.to(dtype), points=s.points.to(dtype))
    lengths = draw(seed, m).to(dtype)
    got = solve(s.density, s.points, length_scales=lengths, **options_of(s))
    assert got.converged
    with np.errstate(all="ignore"):
        best = reference.maximise(dense(s, lengths), got.beta.numpy())
    assert got.value <= float(best.upper) * (1 + 1e-12) + 1e-12
    assert got.value + got.gap >= float(best.lower) * (1 - 1e-12) - 1e-12
    if epsilon > 0:
        assert float(best.upper - best.lower) <= 1e-9 * max(1.0, float(best.size))


@pytest.mark.parametrize("cost", ["l1", "l2", "sql2", "wfr"])
@pytest.mark.parametrize("rho", RHO)
def test_equal_lengths_are_one_length(cost, rho):
    s = pb.scene(3, 12, 16, 9, cost=cost, rho=rho, epsilon=0.02, delta=2.0 if cost == "wfr" else None)
    one = solve(s.density, s.points, length_scale=37.0, **options_of(s), tol=1e-9)
    each = solve(s.density, s.points, length_scales=torch.full((9,), 37.0).double(), **options_of(s), tol=1e-9)
    assert each.value == pytest.approx(one.value, abs=2e-9 * max(1.0, abs(one.value)))
    torch.testing.assert_close(each.gradient, one.gradient, rtol=1e-5, atol=1e-6)
    assert each.epsilon_px == one.epsilon_px


def test_the_gradient_is_that_of_the_value():
    s = pb.scene(5, 6, 7, 5, epsilon=0.05)
    lengths, step = draw(5, 5), 1e-4
    tight = {**options_of(s), "tol": 1e-11, "max_iter": 3000, "length_scales": lengths}
    gradient = solve(s.density, s.points, **tight).gradient
    for cell in ((0, 0), (2, 3), (5, 6)):
        moved = [s.density.clone(), s.density.clone()]
        moved[0][cell] -= step
        moved[1][cell] += step
        low, high = (solve(one, s.points, **tight).value for one in moved)
        assert (high - low) / (2 * step) == pytest.approx(float(gradient[cell]), rel=1e-4, abs=1e-6)


def test_a_long_dot_reaches_farther():
    """The same mass lies as far from either dot; it goes to the one whose lengths are longer."""
    density = torch.zeros(1, 9, dtype=torch.float64)
    density[0, 4] = 1.0
    points = torch.tensor([[0.5, 0.5], [8.5, 0.5]], dtype=torch.float64)
    got = solve(density, points, length_scales=torch.tensor([4.0, 16.0]))
    assert got.dot_mass[1] > 2 * got.dot_mass[0]
    plan = got.plan(threshold=0.0).to_dense()
    torch.testing.assert_close(plan.sum(0), got.dot_mass, atol=1e-6, rtol=1e-6)


def test_with_exact_dots_the_mean_map_has_no_bias():
    """What is there with probability p weighs p, whatever the lengths are.

    The map is flat where a mean over maps with and without the dot is stationary: (1 - p) + p dW/du = 0.
    """
    p, lengths = 0.3, draw(2, 1)
    points = torch.tensor([[14.0, 10.0]], dtype=torch.float64)
    s = pb.scene(0, 8, 8, 1, epsilon=0.05, rho=(1.0, math.inf))
    shape = torch.rand(8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    mass = {}
    for total in (0.5 * p, p, 2 * p):
        u = shape * total / shape.sum()
        got = solve(u, points, length_scales=lengths, **options_of(s) | {"tol": 1e-10, "max_iter": 3000})
        # slope of the expected loss along the map itself, which is 0 at the minimiser's mass
        mass[total] = float((u * ((1 - p) * 1.0 + p * got.gradient)).sum())
    assert mass[0.5 * p] < -1e-3
    assert mass[p] == pytest.approx(0.0, abs=1e-6)
    assert mass[2 * p] > 1e-3


def test_images_of_a_batch_have_lengths_or_none():
    scenes = [pb.scene(seed, 8, 9, m) for seed, m in ((1, 4), (2, 0), (3, 6))]
    lengths = [draw(1, 4), torch.zeros(0, dtype=torch.float64), None]
    options = options_of(scenes[0])
    densities, points = [s.density for s in scenes], [s.points for s in scenes]
    together = solve_batch(densities, points, length_scales=lengths, **options, tol=1e-8)
    for one, density, xy, own in zip(together, densities, points, lengths):
        alone = solve(density, xy, length_scales=own, **options, tol=1e-8)
        assert one.value == pytest.approx(alone.value, abs=1e-7)
    assert together[2].geometry.length_scale == scenes[2].scale
    assert together[2].value == pytest.approx(solve(densities[2], points[2], **options, tol=1e-8).value, abs=1e-7)


def test_a_dot_out_of_its_own_reach_is_named():
    density = torch.zeros(1, 20, dtype=torch.float64)
    density[0, 0] = 1.0
    points = torch.tensor([[19.5, 0.5], [18.5, 0.5]], dtype=torch.float64)
    options = {"cost": "wfr", "delta": 1.0, "rho": (1.0, math.inf)}
    with pytest.raises(InputError, match="1 of 2"):
        solve(density, points, length_scales=torch.tensor([30.0, 5.0]), **options)
    assert solve(density, points, length_scales=torch.tensor([30.0, 30.0]), **options).converged


@pytest.mark.parametrize(
    ("lengths", "says"),
    [
        (torch.tensor([1.0]), "length_scales must be a tensor of shape"),
        (torch.tensor([1.0, 0.0]), "positive and finite"),
        (torch.tensor([1.0, math.nan]), "positive and finite"),
        (torch.tensor([1.0, math.inf]), "positive and finite"),
        (torch.tensor([1, 2]), "floating"),
    ],
)
def test_wrong_lengths_are_an_error(lengths, says):
    with pytest.raises(InputError, match=says):
        solve(torch.rand(4, 4), torch.rand(2, 2), length_scales=lengths)


def test_one_length_and_lengths_exclude_each_other():
    with pytest.raises(InputError, match="only one of them"):
        solve(torch.rand(4, 4), torch.rand(2, 2), length_scales=torch.ones(2), length_scale=3.0)
