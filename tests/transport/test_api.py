"""Hard and wrong input: a defined result or a clear error."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import get_type_hints

import pytest
import torch

from dotcount.errors import InputError
from dotcount.transport import Solver, SolverOptions, solve, solve_batch
from dotcount.transport.options import SolverKeywords

DENSITY = torch.full((6, 5), 0.1)
POINTS = torch.tensor([[3.0, 4.0], [10.0, 20.0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": DENSITY - 1}, "density must be finite and not negative"),
        ({"density": DENSITY * torch.nan}, "density must be finite"),
        ({"density": DENSITY + torch.inf}, "density must be finite"),
        ({"density": DENSITY[None]}, r"density must be a tensor \(h, w\)"),
        ({"density": DENSITY[:0]}, "at least one cell"),
        ({"density": DENSITY.long()}, "floating dtype"),
        ({"density": DENSITY.numpy()}, "density must be a tensor"),
        ({"points": POINTS.long()}, "points must be of a floating dtype"),
        ({"points": POINTS[:, :1]}, r"points must be a tensor \(m, 2\)"),
        ({"points": POINTS * torch.nan}, "not finite"),
        ({"weights": torch.tensor([1.0])}, r"weights must be a tensor of shape \(2,\)"),
        ({"weights": torch.tensor([1.0, 0.0])}, "weights must be positive"),
        ({"beta": torch.zeros(3)}, r"beta must be a tensor of shape \(2,\)"),
        ({"valid": torch.ones(6, 5)}, "valid must be bool"),
        ({"epsilon": -0.1}, "epsilon must be finite and not negative"),
        ({"epsilon": float("nan")}, "epsilon must be"),
        ({"rho": 0.0}, "rho must be positive"),
        ({"rho": (1.0, -1.0)}, "rho must be positive"),
        ({"length_scale": 0.0}, "length_scale must be positive"),
        ({"stride": -8.0}, "stride must be positive"),
        ({"tol": 0.0}, "tol must be positive"),
        ({"max_iter": 0}, "max_iter must be at least 1"),
        ({"points": POINTS.to("meta")}, "on meta, density on cpu"),
    ],
)
def test_wrong_input_gets_one_clear_line(change, message):
    arguments = {"density": DENSITY, "points": POINTS, "stride": 8.0, **change}
    with pytest.raises(InputError, match=message) as caught:
        solve(arguments.pop("density"), arguments.pop("points"), **arguments)
    assert "\n" not in str(caught.value)


def test_wrong_batches_name_the_image():
    with pytest.raises(InputError, match="same number of images"):
        solve_batch([DENSITY], [POINTS, POINTS])
    with pytest.raises(InputError, match="at least 1"):
        solve_batch([], [])
    with pytest.raises(InputError, match="one entry for each of the 2 images"):
        solve_batch([DENSITY, DENSITY], [POINTS, POINTS], beta=[None])
    with pytest.raises(InputError, match="image 1: density must be finite and not negative"):
        solve_batch([DENSITY, -DENSITY], [POINTS, POINTS])
    with pytest.raises(InputError, match=r"image 1: density is torch\.float64"):
        solve_batch([DENSITY, DENSITY.double()], [POINTS, POINTS])


def test_an_input_error_is_also_a_value_error():
    with pytest.raises(ValueError, match="density"):
        solve(-DENSITY, POINTS)


@pytest.mark.parametrize("points", [[[-300.0, 20.0], [10.0, 900.0]], [[0.0, 0.0], [40.0, 48.0]]])
def test_dots_outside_or_on_the_border_are_fine(points):
    got = solve(DENSITY, torch.tensor(points), stride=8.0)
    assert got.converged
    assert torch.isfinite(got.gradient).all()


def test_one_huge_cell_does_not_overflow():
    density = DENSITY.clone()
    density[2, 2] = 1e7
    got = solve(density, POINTS, stride=8.0)
    assert got.converged
    assert 1e7 * 0.9 < got.value + got.gap < 1e7 + 30


@pytest.mark.parametrize("scale", [1e-30, 1e-8])
def test_almost_no_mass_is_like_none(scale):
    got = solve(DENSITY * scale, POINTS, stride=8.0, max_iter=1000)
    assert got.converged
    assert got.value == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize("epsilon", [0.001, 0.0015, 0.01, 0.5, 3.0])
def test_any_blur_runs_in_float32(epsilon):
    g = torch.Generator().manual_seed(3)
    density = torch.rand(40, 40, generator=g) * 0.1
    points = torch.rand(60, 2, generator=g) * 320
    got = solve(density, points, stride=8.0, epsilon=epsilon, tol=1e-4)
    assert got.converged
    exact = solve(density.double(), points.double(), stride=8.0, epsilon=epsilon, tol=1e-8)
    assert got.value <= exact.value + exact.gap <= got.value + got.gap + 1e-5 * max(1.0, abs(exact.value))


def test_wfr_leaves_what_is_out_of_reach():
    density = torch.zeros(4, 100, dtype=torch.float64)
    density[1, 2], density[1, 97] = 1.0, 1.0
    points = torch.tensor([[2.5, 1.5], [50.0, 1.5]], dtype=torch.float64)
    got = solve(density, points, cost="wfr", delta=0.05, tol=1e-8, max_iter=2000)
    assert got.converged
    assert got.value == pytest.approx(2.0, abs=1e-3), "one pixel and one dot pay rho each"
    assert torch.isinf(got.alpha[1, 97])
    assert float(got.pixel_mass[1, 97]) == 0
    assert float(got.dot_mass[1]) == 0
    assert float(got.gradient[1, 97]) == pytest.approx(1.0), "mass that reaches nothing costs rho"


def test_wfr_with_nothing_in_reach_at_all():
    density = torch.ones(2, 2, dtype=torch.float64)
    got = solve(density, torch.tensor([[500.0, 500.0]]).double(), cost="wfr", delta=0.05, max_iter=2000)
    assert got.converged
    assert got.value == pytest.approx(5.0, rel=1e-3)


@pytest.mark.parametrize("cost", ["l1", "l2"])
def test_without_blur_the_linear_programme_is_met(cost):
    from scipy.optimize import linprog

    g = torch.Generator().manual_seed(0)
    density = torch.rand(5, 5, generator=g, dtype=torch.float64)
    points = torch.rand(4, 2, generator=g, dtype=torch.float64) * 5
    hard = solve(density, points, cost=cost, epsilon=0.0, tol=1e-3, max_iter=5000)
    assert hard.converged
    assert hard.terms.entropy == pytest.approx(0.0, abs=1e-9)
    # The value is the best over marginals; given the plan's own marginals the transport part must be the LP's.
    plan = hard.plan(threshold=0.0).to_dense()
    assert plan.shape == (25, 4)
    q, gamma = hard.pixel_mass.flatten().numpy(), hard.dot_mass.numpy()
    from . import problems as pb

    c = pb.cost_matrix(pb.Scene(density, points, 1.0, 0.0, cost=cost)).numpy()
    rows = torch.eye(25).repeat_interleave(4, 1).numpy()
    columns = torch.eye(4).repeat(1, 25).numpy()
    import numpy as np

    exact = linprog(c.flatten(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([q, gamma]))
    assert hard.terms.transport == pytest.approx(exact.fun, abs=2 * hard.gap + 1e-9)


@pytest.mark.parametrize("penalty", ["kl", "quadratic"])
@pytest.mark.parametrize("cost", ["l1", "l2", "sql2"])
def test_without_blur_a_tolerance_of_1e_4_is_reached(cost, penalty):
    g = torch.Generator().manual_seed(5)
    density = torch.rand(16, 16, generator=g) * 0.2
    points = torch.rand(20, 2, generator=g) * 16
    got = solve(density, points, cost=cost, penalty=penalty, epsilon=0.0, tol=1e-4)
    assert got.converged
    assert got.gap <= 1e-4 * max(1.0, got.value)
    assert got.method == "smoothing"


def test_blur_to_zero_tends_to_no_blur():
    g = torch.Generator().manual_seed(5)
    density = torch.rand(8, 8, generator=g, dtype=torch.float64) * 0.2
    points = torch.rand(6, 2, generator=g, dtype=torch.float64) * 8
    hard = solve(density, points, epsilon=0.0, tol=1e-4, max_iter=5000)
    off = [abs(solve(density, points, epsilon=e, tol=1e-6).value - hard.value) for e in (0.03, 0.01, 0.003)]
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.05


def test_twenty_thousand_dots_on_few_cells():
    g = torch.Generator().manual_seed(0)
    points = torch.rand(20_000, 2, generator=g) * 128
    got = solve(torch.full((16, 16), 70.0), points, stride=8.0, epsilon=0.05, tol=1e-3)
    assert got.converged
    assert got.beta.shape == (20_000,)


def test_defects_and_the_blur_in_pixels():
    got = solve(DENSITY, POINTS, stride=8.0, tol=1e-8)
    torch.testing.assert_close(got.pixel_defect, got.pixel_mass - DENSITY)
    torch.testing.assert_close(got.dot_defect, got.dot_mass - 1)
    assert got.epsilon_px == pytest.approx(0.01 * 48)
    assert got.plan(threshold=0.5)._nnz() < got.plan(threshold=0.0)._nnz()


def test_inputs_are_left_alone_and_carry_no_graph():
    density, points = DENSITY.clone().requires_grad_(), POINTS.clone()
    got = solve(density, points, stride=8.0)
    assert torch.equal(density.detach(), DENSITY)
    assert torch.equal(points, POINTS)
    assert not got.gradient.requires_grad


def test_the_options_by_name_are_those_of_solver_options():
    named = get_type_hints(SolverKeywords)
    assert named == {field.name: get_type_hints(SolverOptions)[field.name] for field in fields(SolverOptions)}
    documented = (solve.__doc__ or "").split("Parameters")[1].split("Returns")[0]
    for field in fields(SolverOptions):
        said = f", default {json.dumps(field.default)}" if field.default is not None else ", optional"
        line = next(line for line in documented.splitlines() if line.startswith(f"    {field.name} : "))
        assert line.endswith(said.replace("0.0001", "1e-4")), line


def test_an_option_that_there_is_not_is_named():
    for call in (lambda: solve(torch.ones(2, 2), torch.zeros(0, 2), epsilom=0.1), lambda: Solver([], epsilom=0.1)):  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="epsilom"):
            call()
