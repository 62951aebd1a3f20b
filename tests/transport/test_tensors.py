"""The route on tensor operations, as on a GPU: what it asks of the host, and what preconditions its systems."""

from __future__ import annotations

import contextlib
import importlib
import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dotcount.errors import InputError
from dotcount.transport import compiled, solve, solve_batch, systems
from dotcount.transport.ascent import ascend
from dotcount.transport.cells import make_cells
from dotcount.transport.costs import Cost
from dotcount.transport.dual import TensorDual
from dotcount.transport.pairs import TensorPlans
from dotcount.transport.penalties import KL
from dotcount.transport.problem import ProblemTerms, check_values, make_problem, sound_values

ascent = importlib.import_module("dotcount.transport.ascent")
has_gpu = torch.cuda.is_available()
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, pytest.mark.skipif(not has_gpu, reason="no GPU")])]


@pytest.fixture(autouse=True)
def route(monkeypatch):
    """On a CPU, too."""
    monkeypatch.setenv(compiled.SWITCH, "0")


class Waits(TorchDispatchMode):
    """Counts what would make a host wait for its GPU."""

    ALWAYS = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "bincount", "_unique2", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_") and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        unknown = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        self.number += name in self.ALWAYS or masks or unknown
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def counted(monkeypatch):
    """Count waits, and copies to lists, to numpy and to the CPU."""
    with monkeypatch.context() as patch, Waits() as waits:
        for name in ("tolist", "numpy", "cpu"):
            plain = getattr(torch.Tensor, name)

            def told(tensor, *args, plain=plain, **kwargs):
                waits.number += 1
                return plain(tensor, *args, **kwargs)

            patch.setattr(torch.Tensor, name, told)
        yield waits


def test_the_count_sees_what_it_should(monkeypatch):
    mask = torch.tensor([True, False])
    doings = [
        lambda: bool(mask.any()), lambda: float(mask.sum()), lambda: mask.long()[0].item(), lambda: mask.tolist(),
        lambda: mask.cpu(),
        lambda: mask[mask], lambda: mask.nonzero(), lambda: torch.arange(2).repeat_interleave(torch.arange(2)),
    ]  # fmt: skip
    for doing in doings:
        with counted(monkeypatch) as waits:
            doing()
        assert waits.number == 1
    with counted(monkeypatch) as waits:
        torch.where(mask, 1.0, 0.0).cumsum(0)[torch.tensor([1])]
    assert waits.number == 0


def batch(counts, side, device="cpu", seed=0, epsilon=0.01):
    """Return a dual and its start, random dots and densities; images of one size."""
    g = torch.Generator().manual_seed(seed)
    density = (torch.rand(len(counts), side, side, generator=g) * 0.1 + 1e-3).to(device)
    points = [(torch.rand(m, 2, generator=g, dtype=torch.float64) * side).to(device) for m in counts]
    terms = ProblemTerms(1.0, Cost("l2"), KL(1.0), KL(1.0), epsilon, False)
    none = [None] * len(counts)
    problem = make_problem(density, points, [float(side)] * len(counts), terms, weights=none, valid=none, threads=1)
    beta = torch.zeros_like(problem.weights)
    cells = make_cells(problem.densities, problem.units)
    return TensorDual(problem, cells, epsilon, beta, 8.0, problem.present.any(1)), beta


@pytest.mark.parametrize("counts", [(40,), (90, 0, 7, 300)])
def test_waits_do_not_grow_with_evaluations_and_steps(counts, monkeypatch):
    rows, used = TensorPlans.rows, []
    monkeypatch.setattr(TensorPlans, "rows", lambda self, x: used.append(1) or rows(self, x))
    found = []
    for budget in (3, 40):
        dual, beta = batch(counts, 32, epsilon=0.004)
        used.clear()
        with counted(monkeypatch) as waits:
            progress = ascend(dual, beta, dual.problem.present.any(1), 0.0, budget, renewable=False)
        found.append((waits.number, int(progress.evaluations.max()), len(used)))
    for number, evaluations, products in found:
        assert number <= 1 + evaluations / ascent.LOOK + products / systems.LOOK
    assert found[1][1] > 2 * found[0][1]
    monkeypatch.setattr(ascent, "LOOK", 1000)
    monkeypatch.setattr(systems, "LOOK", 1000)
    dual, beta = batch(counts, 32, epsilon=0.004)
    with counted(monkeypatch) as waits:
        ascend(dual, beta, dual.problem.present.any(1), 0.0, 12)
    assert waits.number <= 2


@pytest.mark.parametrize("relative", [0.04, 0.01])
def test_the_matrix_between_parts_takes_a_third_of_the_steps_away(relative, monkeypatch):
    """In a warm start, the potentials being those of a map 20 % different; decision 13 has the exact numbers."""
    monkeypatch.setattr(systems, "LOOK", 1)
    dual, beta = batch((1000,), 64)
    start = ascend(dual, beta, dual.problem.present.any(1), 1e-5, 50).point.beta
    g = torch.Generator().manual_seed(1)
    changed = dual.problem.densities * (1 + 0.4 * torch.rand(1, 64, 64, generator=g) - 0.2)
    dual.renew(replace(dual.problem, densities=changed), make_cells(changed, dual.problem.units))
    point = dual.anew(start)
    rows, used = TensorPlans.rows, []
    monkeypatch.setattr(TensorPlans, "rows", lambda self, x: used.append(1) or rows(self, x))

    def steps(relative):
        used.clear()
        step = dual.newton_step(point, point.m, point.m - point.gamma, True, torch.tensor([relative]), 60)
        return len(used), step

    few, step = steps(relative)
    assert dual.systems.parts.number == 49
    dual.systems.parts = None
    many, _ = steps(relative)
    _, exact = steps(1e-5)
    assert few <= 0.7 * many
    assert float((step - exact).norm() / exact.norm()) <= 2 * relative


def test_the_matrix_between_parts_changes_no_result(monkeypatch):
    g = torch.Generator().manual_seed(5)
    density, points = torch.rand(64, 64, generator=g), torch.rand(1000, 2, generator=g) * 64
    ours = solve(density, points, tol=1e-5)
    monkeypatch.setattr(systems, "make_parts", lambda *args: None)
    plain = solve(density, points, tol=1e-5)
    assert ours.converged
    assert plain.converged
    assert max(ours.value, plain.value) <= min(ours.value + ours.gap, plain.value + plain.gap)
    error = float((ours.gradient - plain.gradient).abs().max())
    assert error <= ours.gradient_bound + plain.gradient_bound
    assert error <= 1e-3


def test_the_coarse_matrix_is_that_of_dots_that_move_together():
    """Where one cell of a block has all its mass, nothing is approximate."""
    dual, beta = batch((80, 0, 70), 32)
    point, parts, n, p = dual.anew(beta), dual.systems.parts, 3, dual.systems.parts.number
    weight = torch.zeros_like(point.total)
    weight[:, 5] = dual.cells.mass[:, 5] / point.total[:, 5].square()
    second = weight.float()
    fixed = torch.cat([50.0 * dual.problem.present.flatten().float(), torch.zeros(1)])
    inverse = dual.systems._coarse_inverse(parts, second, point.total.float(), fixed)
    together = torch.zeros(len(fixed), n * (p + 1)).scatter_(1, parts.of_dot[:, None], 1.0)
    columns = torch.stack([dual.pairs.columns(dual.pairs.rows(one) * second) for one in together.T.contiguous()], 1)
    matrix = together.T @ (fixed[:, None] * together - columns)
    for k in (0, 2):
        own = slice(k * (p + 1), k * (p + 1) + p)
        torch.testing.assert_close(inverse[k, :p, :p] @ matrix[own, own], torch.eye(p), rtol=0, atol=1e-5)
        assert not inverse[k, p].any()
    assert not inverse[1].any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (None, 0.0),
        (0, math.nan),
        (0, -1.0),
        (0, math.inf),
        (0, 1e61),
        (1, math.nan),
        (1, math.inf),
        (2, 0.0),
        (2, -1.0),
    ],
)
def test_one_look_at_a_batch_finds_what_a_look_at_each_image_does(field, value):
    batch = [
        [torch.ones(3, 4, dtype=torch.float64 if value == 1e61 else None), torch.ones(5, 2), torch.ones(5)],
        [torch.ones(2, 2), torch.ones(0, 2), None],
    ]
    if field is not None:
        batch[0][field].view(-1)[-1] = value
    refused = 0
    for density, points, weights in batch:
        try:
            check_values(density, points, weights, None, "")
        except InputError:
            refused += 1
    assert sound_values(*map(list, zip(*batch))) == (refused == 0) == (field is None)


@pytest.mark.parametrize("device", DEVICES)
def test_a_ragged_batch_is_solved_as_its_images_are(device):
    g = torch.Generator().manual_seed(3)
    sizes, counts = [(32, 32), (5, 9), (48, 20), (64, 64)], [40, 0, 1, 500]
    maps = [(torch.rand(size, generator=g) * 0.1).to(device) for size in sizes]
    points = [(torch.rand(m, 2, generator=g) * torch.tensor([w, h]) * 8).to(device) for m, (h, w) in zip(counts, sizes)]
    together = solve_batch(maps, points, stride=8, length_scale=512.0, tol_gradient=1e-3)
    for density, dots, got in zip(maps, points, together):
        alone = solve(density, dots, stride=8, length_scale=512.0, tol_gradient=1e-3)
        assert got.converged
        assert max(got.value, alone.value) <= min(got.value + got.gap, alone.value + alone.gap)
        assert float((got.gradient - alone.gradient).abs().max()) <= got.gradient_bound + alone.gradient_bound


@pytest.mark.cuda
@pytest.mark.skipif(not has_gpu, reason="no GPU")
def test_a_gpu_is_not_waited_for_within_a_phase(monkeypatch):
    """PyTorch itself raises where a host waits."""
    monkeypatch.setattr(ascent, "LOOK", 1000)
    monkeypatch.setattr(systems, "LOOK", 1000)
    dual, beta = batch((400, 0, 31), 64, "cuda")
    active = dual.problem.present.any(1)
    point = dual.anew(beta)
    _ = dual.newton_step(point, point.m, point.m - point.gamma, True, torch.full_like(point.value, 0.1), 5)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        point = dual.anew(beta + 0.01)
        step = dual.newton_step(point, point.m, point.m - point.gamma, True, torch.full_like(point.value, 0.1), 20)
        search = ascent._Search.at(point)
        search.begin(point, active, step, torch.zeros_like(point.value))
        search.judge(dual.anew(search.beta + search.step), active)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_and_tensor_cores_do_not_spoil_a_certificate(device, monkeypatch):
    g = torch.Generator().manual_seed(4)
    density, points = torch.rand(32, 32, generator=g) * 0.2, torch.rand(150, 2, generator=g) * 256
    exact = solve(density.double(), points.double(), stride=8, tol=1e-10)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast(device, torch.bfloat16):
            got = solve(density.to(device), points.to(device), stride=8)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert got.converged
    assert got.value - 1e-9 <= exact.value <= got.value + got.gap
    assert (
        float((got.gradient.cpu().double() - exact.gradient).abs().max()) <= got.gradient_bound + exact.gradient_bound
    )
