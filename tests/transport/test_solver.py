"""A solver for densities that change: potentials and pairs are kept, and nothing else."""

from __future__ import annotations

import sys

import pytest
import torch

from dotcount.errors import InputError
from dotcount.transport import Solver, solve, solve_batch

newton = sys.modules["dotcount.transport.methods.newton"]  # the package's attribute of that name is the method

OPTIONS = {"stride": 8.0, "epsilon": 0.01, "tol": 1e-6}


def flow(n: int, side: int = 48, m: int = 300) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return n densities, each a little different from the one before, and dots."""
    g = torch.Generator().manual_seed(3)
    points = torch.rand(m, 2, generator=g, dtype=torch.float64) * side * 8
    density = torch.rand(side, side, generator=g, dtype=torch.float64) * 0.2
    maps = [density]
    for _ in range(n - 1):
        maps.append(maps[-1] * (0.9 + 0.2 * torch.rand(side, side, generator=g, dtype=torch.float64)))
    return maps, points


@pytest.fixture
def searches(monkeypatch):
    """The number of times that pairs have been chosen."""
    made = []

    def counted(*arguments):
        made.append(1)
        return make(*arguments)

    make = newton.make_dual
    monkeypatch.setattr(newton, "make_dual", counted)
    return made


def test_a_sequence_is_solved_as_one_by_one_with_fewer_evaluations_and_pairs_chosen_once(searches):
    maps, points = flow(6)
    solver = Solver([points], **OPTIONS)
    first = solver.solve([maps[0]])[0]
    chosen, spent = len(searches), []
    for density in maps[1:]:
        got = solver.solve([density])[0]
        spent.append(got.n_evaluations)
        alone = solve(density, points, **OPTIONS)
        del searches[chosen:]
        assert got.converged
        assert got.value <= alone.value + alone.gap
        assert alone.value <= got.value + got.gap
        torch.testing.assert_close(got.gradient, alone.gradient, rtol=0, atol=got.gradient_bound + alone.gradient_bound)
        torch.testing.assert_close(got.density, density)
    assert max(spent) < first.n_evaluations


def test_small_changes_take_the_same_pairs(searches):
    maps, points = flow(4)
    solver = Solver([points], **OPTIONS)
    solver.solve([maps[0]])
    chosen = len(searches)
    assert all(solver.solve([density])[0].converged for density in maps[1:])
    assert len(searches) == chosen


def test_a_density_that_has_nothing_to_do_with_the_last_is_solved_all_the_same():
    maps, points = flow(1)
    solver = Solver([points], **OPTIONS)
    solver.solve([maps[0]])
    other = torch.zeros_like(maps[0])
    other[:4, :4] = 40.0
    got, alone = solver.solve([other])[0], solve(other, points, **OPTIONS)
    assert got.converged
    assert got.value == pytest.approx(alone.value, rel=1e-5)
    back = solver.solve([maps[0]])[0]
    assert back.converged
    assert back.value == pytest.approx(solve(maps[0], points, **OPTIONS).value, rel=1e-5)


def test_earlier_solutions_stay_what_they_were():
    maps, points = flow(3)
    solver = Solver([points], **OPTIONS)
    first = solver.solve([maps[0]])[0]
    copies = [one.clone() for one in (first.beta, first.alpha, first.gradient, first.pixel_mass, first.dot_mass)]
    for density in maps[1:]:
        solver.solve([density])
    for copy, one in zip(copies, (first.beta, first.alpha, first.gradient, first.pixel_mass, first.dot_mass)):
        assert torch.equal(copy, one)


@pytest.mark.parametrize(
    "changes", [{"method": "dense"}, {"method": "lbfgs", "tol": 1e-4}, {"epsilon": 0.0, "tol": 1e-3}]
)
def test_batches_masks_and_other_methods(changes):
    maps, points = flow(2, side=16, m=20)
    points = points.clamp(max=127)
    batch = [points, points[:0], points[:7]]
    weights = [torch.rand(len(one), dtype=torch.float64) + 0.5 for one in batch]
    valid = [None, None, torch.arange(256).view(16, 16) < 200]
    options = {**OPTIONS, "max_iter": 3000, **changes}
    solver = Solver(batch, weights=weights, valid=valid, **options)
    for density in maps:
        stack = torch.stack([density, density, density * 0.5])
        got = solver.solve(stack)
        alone = solve_batch(stack, batch, weights=weights, valid=valid, **options)
        for a, b in zip(got, alone):
            assert a.converged
            assert a.value <= b.value + b.gap + 1e-12
            assert b.value <= a.value + a.gap + 1e-12
        assert bool((got[2].gradient[12, 8:] == 0).all())


def test_another_size_or_dtype_is_another_problem():
    maps, points = flow(1, side=16, m=20)
    solver = Solver([points.float()], stride=8.0, length_scale=128.0)
    solver.solve([maps[0].float()])
    wide = torch.cat([maps[0], maps[0]], 1)
    for density in (wide.float(), wide):
        got = solver.solve([density])[0]
        assert got.gradient.shape == density.shape
        assert got.gradient.dtype == density.dtype
        alone = solve(density, points, stride=8.0, length_scale=128.0)
        assert got.value == pytest.approx(alone.value, rel=1e-3)


def test_bad_densities_are_refused_and_the_solver_goes_on():
    maps, points = flow(2, side=16, m=20)
    solver = Solver([points], **OPTIONS)
    solver.solve([maps[0]])
    with pytest.raises(InputError, match="density must be finite and not negative"):
        solver.solve([-maps[1]])
    with pytest.raises(InputError, match="the same number of images"):
        solver.solve([maps[1], maps[1]])
    with pytest.raises(InputError, match=r"beta must be a tensor of shape \(20,\)"):
        solver.solve([maps[1]], beta=[torch.zeros(3, dtype=torch.float64)])
    assert solver.solve([maps[1]])[0].converged
    with pytest.raises(TypeError, match="unexpected keyword argument 'tolerance'"):
        Solver([points], tolerance=1)
