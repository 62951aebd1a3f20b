"""The kernels for GPUs: run on the CPU from the same source, and compiled for GPUs that need not be there."""

from __future__ import annotations

import importlib
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dotcount.transport import Solver, compiled, solve_batch, solver
from dotcount.transport.cells import make_cells
from dotcount.transport.dual import TensorDual
from dotcount.transport.gpu import KernelDual, driver
from dotcount.transport.problem import LOWEST
from tests.transport.emulator import Emulator, build
from tests.transport.test_tensors import counted

compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ to build the kernels for the CPU")
on_gpu = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]


@pytest.fixture(autouse=True, scope="module")
def route() -> None:
    """Run every test once, on the route that it is about."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def kernels(library: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Have solves on the CPU use the kernels; the fake stands where the device would be."""
    emulator = Emulator(library)
    monkeypatch.setenv(compiled.SWITCH, "0")
    monkeypatch.setattr(driver, "usable", lambda device: True)
    monkeypatch.setattr(driver, "launch", emulator.launch)
    monkeypatch.setattr(driver, "multiprocessors", lambda device: 6)
    monkeypatch.setattr(driver, "spare_memory", lambda device: 1 << 26)
    yield emulator
    assert "maximise" in emulator.started


def batch(counts: tuple[int, ...], side: int, seed: int = 0) -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(len(counts), side, side, generator=generator) * 0.1 + 1e-3
    return density, [torch.rand(m, 2, generator=generator) * side * 8 for m in counts]


def dual_of(counts: tuple[int, ...]) -> tuple[KernelDual, torch.Tensor, torch.Tensor]:
    """Return a dual with its potentials, all 0, and which images have dots."""
    density, points = batch(counts, 9)
    solver = Solver(points, stride=8)
    solver.solve(density)
    problem = solver._problem
    assert problem is not None
    present = problem.present.any(1)
    beta, cells = torch.zeros_like(problem.weights), make_cells(problem.densities, problem.units)
    return KernelDual(problem, cells, problem.epsilon, beta, math.inf, present), beta, present


@compiler
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cost": "l1", "rho": (1.0, 10.0)},
        {"cost": "sql2", "epsilon": 0.003},
        {"penalty": "quadratic"},
        {"rho": (1.0, math.inf)},
        {"rho": (1.0, math.inf), "length_scale": 30.0},
        {"penalty": "quadratic", "rho": (1.0, math.inf)},
        {"method": "lbfgs", "epsilon": 0.05},
    ],
    ids=str,
)
def test_the_kernels_find_what_the_compiled_loops_find(kernels: Emulator, options: dict[str, Any]) -> None:
    density, points = batch((30, 0, 7), 17)
    found = solve_batch(density, points, stride=8, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(compiled.SWITCH)
        right = solve_batch(density.double(), [one.double() for one in points], stride=8, **options | {"tol": 1e-9})
    for one, other in zip(found, right):
        assert one.converged
        assert -1e-9 * abs(other.value) <= other.value - one.value <= one.gap + other.gap
        bound = one.bounds.values[one.image]
        assert float((one.gradient.double() - other.gradient).abs().max()) <= bound + other.bounds.values[other.image]


@compiler
def test_thread_blocks_that_share_an_image_find_what_one_finds(
    kernels: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    density, points = batch((60,), 40)
    (shared,) = solve_batch(density, points, stride=8)
    monkeypatch.setattr(driver, "multiprocessors", lambda device: 1)
    (alone,) = solve_batch(density, points, stride=8)
    assert shared.n_evaluations == alone.n_evaluations
    assert shared.value == pytest.approx(alone.value, rel=1e-6)
    torch.testing.assert_close(shared.gradient, alone.gradient, atol=1e-5, rtol=1e-4)


@compiler
def test_pairs_are_counted_where_memory_is_short(kernels: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    density, points = batch((90, 3), 24)
    ample = solve_batch(density, points, stride=8)
    monkeypatch.setattr(driver, "spare_memory", lambda device: 0)
    short = solve_batch(density, points, stride=8)
    assert [one.value for one in short] == pytest.approx([one.value for one in ample], rel=1e-6)


@compiler
def test_a_dot_far_from_all_cells_is_paid(kernels: Emulator) -> None:
    density, points = batch((220,), 40)
    points[0][0] = torch.tensor([900.0, -300.0])
    (found,) = solve_batch(density, points, stride=8, rho=(1.0, math.inf), length_scale=64.0)
    assert "place_unlisted" in kernels.started
    assert found.converged
    torch.testing.assert_close(found.dot_mass, torch.ones(220), atol=0.05, rtol=0.0)


@compiler
def test_sizes_may_differ_and_cells_be_padding(kernels: Emulator) -> None:
    density, points = batch((12, 5), 16)
    maps = [density[0], density[1, :9, :13]]
    valid = [torch.arange(16)[:, None].expand(16, 16) < 11, None]
    points[1] = points[1] * 0.5
    found = solve_batch(maps, points, stride=8, valid=valid)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(compiled.SWITCH)
        right = solve_batch(maps, points, stride=8, valid=valid)
    for one, other in zip(found, right):
        assert one.gradient.shape == other.gradient.shape
        assert one.value == pytest.approx(other.value, abs=one.gap + other.gap)


@compiler
def test_a_solver_goes_on_from_its_last_potentials(kernels: Emulator) -> None:
    density, points = batch((25, 0, 6), 20)
    solver = Solver(points, stride=8)
    first = solver.solve(density)
    again = solver.solve(density * 1.01)
    cold = solve_batch(density * 1.01, points, stride=8)
    assert sum(one.n_evaluations for one in again) < sum(one.n_evaluations for one in first)
    assert all(one.converged for one in again)
    assert [one.value for one in again] == pytest.approx([one.value for one in cold], rel=1e-4)


@compiler
def test_waits_do_not_grow_with_the_images(kernels: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a GPU the values of a batch are looked at together.
    monkeypatch.setattr(solver, "check_values", lambda *_: None)
    monkeypatch.setattr(driver, "spare_memory", lambda device: 1 << 32)
    found = []
    for images in (2, 6):
        density, points = batch((12,) * images, 8)
        for exact in (False, True):
            with counted(monkeypatch) as waits:
                solve_batch(density, points, stride=8, rho=(1.0, math.inf if exact else 1.0))
            found.append(waits.number)
    # Another image may ask for pairs to be chosen once more, but not for a look of its own.
    assert max(more - less for less, more in zip(found[:2], found[2:])) < 4
    assert max(found) <= 32


@compiler
def test_potentials_that_are_not_bounded_leave_no_trace(kernels: Emulator) -> None:
    dual, beta, present = dual_of((5, 3))
    beta[0, 2], beta[1, 0] = 1e101, math.nan
    for start in (beta, torch.full_like(beta, math.inf)):
        point = dual.at(start)
        assert bool((point.value == LOWEST).all() & torch.isinf(point.gap).all())
        assert bool((point.q == 0).all() & (point.alpha == math.inf).all() & (point.total == 1).all())
        assert not dual.account(point).transport.any()
    assert "maximise" in kernels.started
    assert not dual.ascend(beta, present, 1e-4, 40, None, True).converged.any()


@compiler
@pytest.mark.parametrize("level", [80.0, 100.0, 200.0, 800.0])
def test_masses_beyond_float32_are_no_optimum(kernels: Emulator, level: float) -> None:
    dual, beta, _ = dual_of((5, 3))
    point = dual.at(beta + level)
    assert bool((point.gap > 0.5 * point.value.abs()).all())
    assert "maximise" in kernels.started


@compiler
@pytest.mark.parametrize("most", [1, 2, 7, 8, 9])
def test_no_more_is_evaluated_than_allowed(kernels: Emulator, most: int) -> None:
    generator = torch.Generator().manual_seed(0)  # the eighth evaluation is one of a line search that fails
    density = (torch.rand(1, 8, 8, generator=generator) * 0.1 + 1e-3) * 100.0
    points = [torch.rand(6, 2, generator=generator) * 64]
    (found,) = solve_batch(density, points, stride=8, max_iter=most, rho=(1.0, math.inf), length_scale=16.0)
    assert found.n_evaluations <= most
    assert kernels.started


@compiler
@pytest.mark.parametrize("most", [np.int64(500), 500.0, 3 * 2**30, math.inf])
def test_the_evaluations_allowed_may_be_any_number(kernels: Emulator, most: float) -> None:
    density, points = batch((6,), 9)
    (found,) = solve_batch(density, points, stride=8, max_iter=most)  # type: ignore[arg-type]
    (usual,) = solve_batch(density, points, stride=8)
    assert found.converged
    assert found.n_evaluations == usual.n_evaluations
    assert kernels.started


@compiler
def test_the_hard_minimum_is_that_of_tensors(kernels: Emulator) -> None:
    dual, beta, present = dual_of((5, 0))
    beta = beta + torch.rand(beta.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tensors = TensorDual(dual.problem, dual.cells, dual.epsilon, beta, math.inf, present)
    torch.testing.assert_close(dual.hard_minimum(beta), tensors.hard_minimum(beta), rtol=1e-6, atol=1e-6)
    assert "hard_minimum" in kernels.started


@compiler
def test_images_of_one_block_may_lie_in_any_order(kernels: Emulator) -> None:
    density, points = batch((2, 3, 1), 4)
    mixed = density.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    found, right = (solve_batch(one, points, stride=8) for one in (mixed, density))
    assert [one.value for one in found] == pytest.approx([one.value for one in right], rel=1e-6)
    assert kernels.started


@compiler
@pytest.mark.parametrize(
    ("options", "kind"),
    [({"cost": "wfr", "delta": 0.3}, torch.float32), ({"tol": 1e-9}, torch.float32), ({}, torch.float64)],
    ids=str,
)
def test_what_the_kernels_are_not_made_for_is_left_to_tensors(
    library: Any, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], kind: torch.dtype
) -> None:
    emulator = Emulator(library)
    monkeypatch.setenv(compiled.SWITCH, "0")
    monkeypatch.setattr(driver, "usable", lambda device: True)
    monkeypatch.setattr(driver, "launch", emulator.launch)
    density, points = batch((5,), 8)
    (found,) = solve_batch(density.to(kind), [one.to(kind) for one in points], stride=8, **options)
    assert found.converged
    assert not emulator.started


def test_the_kernels_are_for_gpus_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not driver.usable(torch.device("cpu"))
    monkeypatch.setenv(driver.SWITCH, "0")
    assert not driver.usable(torch.device("cuda", 0))


def test_where_the_kernels_cannot_be_had_it_is_said_and_the_solver_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ImportError("no bindings")

    monkeypatch.setattr(torch.cuda, "device", fail)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    with pytest.warns(RuntimeWarning, match=r"cuda:0 \(.*\).*'cuda-bindings==12\.\*'.*DOTCOUNT_KERNELS=0"):
        assert driver._kernels.__wrapped__(0) is None


def nvrtc() -> Callable[[int, int], bytes]:
    """Return the compiler for GPUs that PyTorch for CUDA brings along; no GPU is needed."""
    bindings = pytest.importorskip("cuda.bindings.nvrtc", reason="PyTorch without CUDA has no compiler for GPUs")
    try:
        bindings.nvrtcVersion()
    except Exception as error:
        pytest.skip(f"NVRTC can't be loaded: {error}")
    return driver.compile_source


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
def test_the_source_compiles_for_gpus(capability: tuple[int, int]) -> None:
    code = nvrtc()(*capability)
    assert code.startswith(b"\x7fELF")
    assert all(name.encode() in code for name in driver.NAMES)


def test_what_the_compiler_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_source = nvrtc()
    monkeypatch.setattr(driver, "source", lambda: "int broken = ;")
    with pytest.raises(RuntimeError, match="expected an expression"):
        compile_source(8, 0)


def test_the_source_is_part_of_the_package() -> None:
    folder = Path(importlib.import_module("dotcount.transport.gpu").__file__ or "").parent
    assert (folder / "kernels.cu").is_file()
    assert "extern" in driver.source()


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=on_gpu)])
def test_on_a_gpu_the_kernels_find_what_tensors_find(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert driver.usable(torch.device(device))
    density, points = batch((300, 0, 40), 64)
    here, dots = density.to(device), [one.to(device) for one in points]
    solver = Solver(dots, stride=8)
    found = solver.solve(here)
    assert solver._outcome is not None
    assert isinstance(solver._outcome.dual, KernelDual)
    monkeypatch.setenv(driver.SWITCH, "0")
    for one, other in zip(found, solve_batch(here, dots, stride=8)):
        assert one.value == pytest.approx(other.value, abs=one.gap + other.gap)
