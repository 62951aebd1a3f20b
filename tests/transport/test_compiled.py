"""The compiled loops: their arithmetic, their neighbour search, threads, forks, and the way around them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dotcount
from dotcount.transport import compiled, solve, solve_batch
from dotcount.transport.cells import make_cells
from dotcount.transport.compiled import CompiledDual, make_dual
from dotcount.transport.costs import Cost
from dotcount.transport.dual import TensorDual
from dotcount.transport.kernels import jit as jit_module
from dotcount.transport.kernels.arithmetic import exp, log64
from dotcount.transport.kernels.jit import entry_point, jit
from dotcount.transport.penalties import KL
from dotcount.transport.problem import TransportProblem

from . import problems as pb


@pytest.fixture(autouse=True, scope="module")
def route():
    """Once is enough here: the tests choose their route."""


@jit()
def _logarithms(x, out):
    for k in range(len(x)):
        out[k] = log64(x[k])


def test_the_logarithm_is_right_to_two_units():
    g = np.random.default_rng(0)
    x = np.concatenate(
        [np.exp(g.uniform(-690, 700, 200_000)), g.uniform(0.4, 2.5, 200_000), [1.0, 0.5, 2.0, 1 + 1e-15]]
    )
    out = np.empty_like(x)
    _logarithms(x, out)
    exact = np.log(x.astype(np.longdouble))
    assert np.abs((out - exact) / np.maximum(np.abs(exact), 1.0)).max() <= 2 * np.finfo(float).eps


@jit()
def _exponentials(x, out):
    for k in range(len(x)):
        out[k] = exp(x[k])


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.float32, -87.0, 88.0), (np.float64, -700.0, 700.0)])
def test_the_exponential_is_right_to_two_units_in_the_last_place(dtype, low, high):
    x = np.concatenate([np.linspace(low, high, 200_001), [0.0, -1e-30, 1e-9, -0.5, np.log(2) / 2]]).astype(dtype)
    out = np.empty_like(x)
    _exponentials(x, out)
    exact = np.exp(x.astype(np.longdouble))
    assert np.abs(out / exact - 1).max() <= 2 * np.finfo(dtype).eps


def search(seed: int, rows: int, columns: int, m: int, name: str, epsilon: float, cutoff: float) -> tuple:
    g = torch.Generator().manual_seed(seed)
    unit = 1.0 / max(rows, columns)
    density = torch.rand(1, rows, columns, generator=g, dtype=torch.float64)
    dots = torch.rand(1, m, 2, generator=g, dtype=torch.float64) * 1.2 - 0.1
    beta = torch.randn(1, m, generator=g, dtype=torch.float64) * 0.2
    problem = TransportProblem(
        densities=density,
        units=[unit],
        dots=dots,
        weights=torch.ones(1, m, dtype=torch.float64),
        present=torch.ones(1, m, dtype=torch.bool),
        n_dots=[m],
        far=[2.2],
        cost=Cost(name, 0.2 if name == "wfr" else None),
        pixel_penalty=KL(1.0),
        dot_penalty=KL(1.0),
        epsilon=epsilon,
        dtype=torch.float64,
    )
    cells = make_cells(density, [unit])
    return problem, cells, beta, CompiledDual(problem, cells, epsilon, beta, cutoff, torch.tensor([True]))


@settings(max_examples=40, deadline=None)
@given(*pb.SEARCHES)
def test_the_bound_covers_every_pair_left_out(seed, rows, columns, m, name, epsilon, cutoff):
    problem, cells, beta, dual = search(seed, rows, columns, m, name, epsilon, cutoff)
    at = cells.corner[:, None] + cells.offsets[None] * cells.unit[:, None, None]
    apart = at[:, :, None] - problem.dots[0]
    listed = torch.zeros(m, dtype=torch.bool)
    inside = (at < torch.tensor([columns, rows]) / max(rows, columns)).all(2)
    for now in (beta, beta + 0.5 * epsilon * torch.rand(beta.shape, generator=torch.Generator().manual_seed(seed))):
        point = dual.at(now)
        account = dual.account(point)
        score = (now[0] - problem.cost.of_difference(apart[..., 0], apart[..., 1])) / epsilon
        spilled = 0.0
        for b in range(len(at)):
            kept = dual._pairs.dots[dual._pairs.first[b] : dual._pairs.first[b] + dual._pairs.kept[b]].astype(np.int64)
            kept = kept[kept < m]
            assert len(set(kept)) == len(kept), "no dot twice"
            listed[kept] = True
            rest = torch.ones(m, dtype=torch.bool)
            rest[kept] = False
            if rest.any():
                lost, reached = torch.logsumexp(score[b][:, rest], 1), torch.isfinite(point.alpha[b])
                assert (lost[inside[b] & ~reached] == -torch.inf).all()
                reached &= inside[b]
                share = torch.exp(lost + point.alpha[b] / epsilon)[reached]
                assert (epsilon * torch.log1p(share) <= account.shift + 1e-9).all()
                spilled += float((point.q[b][reached] * share).sum())
        assert spilled <= float(account.spilled) * (1 + 1e-9) + 1e-12
    assert listed.all(), "every dot is on some list"


@pytest.mark.parametrize("side", [40, 130])
def test_the_search_keeps_no_more_than_the_rule_asks_for(side):
    dual = search(0, side, side, 400, "l2", 0.01, 10.0)[-1]
    assert len(dual._pairs.dots) < 0.4 * dual.cells.mass.shape[0] * 400


def test_the_matrix_between_parts_is_newtons_and_makes_its_systems_easier():
    epsilon, m = 0.02, 400
    problem, cells, _, dual = search(0, 48, 48, m, "l2", epsilon, 14.0)
    beta = solve(problem.densities[0], problem.dots[0] * 48, stride=1.0, epsilon=epsilon, tol=1e-3).beta[None]
    dual = CompiledDual(problem, cells, epsilon, beta, 14.0, torch.tensor([True]))
    known = dual.at(beta)
    q, gamma = known.q.flatten(), known.gamma[0].clone()
    at = (cells.corner[:, None] + cells.offsets[None] * cells.unit[:, None, None]).view(-1, 2)
    share = torch.softmax((beta - problem.cost.of_difference(*(at[:, None] - problem.dots[0]).unbind(-1))) / epsilon, 1)
    matrix = torch.diag(gamma + gamma / epsilon) - share.T @ ((q / epsilon - q)[:, None] * share)
    dual.ascend(beta, torch.tensor([True]), 1e-12, 2, known, False)
    part, factor = torch.from_numpy(dual._pairs.part), torch.from_numpy(dual._pairs.coarse[0])
    parts = len(factor)
    assert parts == 25
    assert int(part.max()) < parts, "every dot has a part"
    indicator = torch.nn.functional.one_hot(part, parts).double()
    exact, ours = indicator.T @ matrix @ indicator, factor @ factor.T
    relative = torch.linalg.eigvals(torch.linalg.solve(exact, ours)).real
    assert float(relative.min()) > 0.99, "it is no smaller, so that it is as definite"
    assert float(relative.max()) < 1.6, "nor much larger, though a block is as wide as four times the blur"
    plain = torch.diag(1 / matrix.diagonal())
    corrected = plain + indicator @ torch.cholesky_solve(indicator.T, factor)
    condition = []
    for inverse in (plain, corrected):
        spectrum = torch.linalg.eigvals(inverse @ matrix).real
        condition.append(float(spectrum.max() / spectrum.min()))
    assert condition[1] < 0.3 * condition[0]


def test_parts_of_few_dots_and_of_dots_in_one_place_do_no_harm():
    g = torch.Generator().manual_seed(0)
    density = torch.rand(2, 40, 40, generator=g, dtype=torch.float64) * 0.3
    line = torch.full((200, 2), 7.25, dtype=torch.float64)
    line[:, 0] = torch.linspace(0, 39, 200)
    for points in ([line, line[:3]], [line * 0 + 20.5, line[:0]]):
        for got in solve_batch(density, points, stride=1.0, epsilon=0.02, tol=1e-8):
            assert got.converged


@settings(max_examples=30, deadline=None)
@given(pb.scenes(), st.sampled_from(["newton", "dense"]), st.booleans())
def test_both_routes_agree(s, method, single):
    density, points = s.density, s.points
    options = {**s.options, "method": method, "tol": 1e-9, "max_iter": 2000}
    if single:
        density, points, options["tol"] = density.float(), points.float(), 1e-4
        if s.weights is not None:
            options["weights"] = s.weights.float()
    found = []
    for switch in ("1", "0"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(compiled.SWITCH, switch)
            found.append(solve(density, points, **options))
    a, b = found
    assert a.converged == b.converged
    assert max(a.value, b.value) <= min(a.value + a.gap, b.value + b.gap) + 1e-12
    error = (a.gradient - b.gradient).abs().max()
    assert float(error) <= a.gradient_bound + b.gradient_bound + 1e-6 * float(a.gradient.abs().max())


def test_threads_change_nothing():
    g = torch.Generator().manual_seed(0)
    counts = [90, 0, 40, 1, 150, 70]
    densities = torch.rand(len(counts), 48, 48, generator=g) * 0.1
    points = [torch.rand(m, 2, generator=g) * 384 for m in counts]
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            found.append(solve_batch(densities, points, stride=8.0))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(*found):
        assert a.value == b.value
        assert torch.equal(a.gradient, b.gradient)


def _value(queue) -> None:
    torch.set_num_threads(1)  # as in a loader's worker: torch's own threads do not survive a fork
    g = torch.Generator().manual_seed(0)
    points = [torch.rand(90, 2, generator=g) * 384 for _ in range(2)]
    solved = compiled._pool(os.getpid()).submit(solve_batch, torch.full((2, 48, 48), 0.04), points, stride=8.0)
    queue.put(sum(s.value for s in solved.result(timeout=60)))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_may_solve_too():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    threads = torch.get_num_threads()
    try:
        _value(queue)
        process = context.Process(target=_value, args=(queue,), daemon=True)
        process.start()
        values = [queue.get(timeout=60) for _ in range(2)]
        process.join(60)
    finally:
        torch.set_num_threads(threads)
    assert values[0] == values[1]


def test_without_numba_or_with_the_switch_off_tensor_operations_serve(monkeypatch):
    problem, cells, beta, _ = search(0, 8, 8, 5, "l2", 0.1, 5.0)
    arguments = (problem, cells, 0.1, beta, 5.0, torch.tensor([True]))
    monkeypatch.setenv(compiled.SWITCH, "0")
    assert type(make_dual(*arguments)) is TensorDual
    monkeypatch.setenv(compiled.SWITCH, "1")
    assert type(make_dual(*arguments)) is CompiledDual
    assert not compiled.usable(torch.device("meta"))
    monkeypatch.setattr(compiled, "_kernels", lambda: None)
    assert type(make_dual(*arguments)) is TensorDual


def run(code: str, **environment: str) -> str:
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert got.returncode == 0, got.stderr
    return got.stdout


def test_importing_the_package_does_not_import_numba():
    code = "import sys, dotcount, dotcount.losses, dotcount.transport; print('numba' in sys.modules)"
    assert run(code).strip() == "False"


def test_a_place_to_keep_machine_code_is_not_needed(monkeypatch):
    """As where neither the package's folder nor a home can be written to: numba then refuses to cache."""

    def refuse(*args, cache=False, **options):
        if cache:
            return lambda function: (_ for _ in ()).throw(RuntimeError("cannot cache function: no locator available"))
        return lambda function: function

    monkeypatch.setattr(jit_module.numba, "njit", refuse)

    def function() -> None:
        pass

    assert entry_point()(function) is function


def test_comments_docstrings_and_layout_are_no_code():
    plain = jit_module.code_of("def f(x):\n    return x + 1\n")
    assert jit_module.code_of('"""Top."""\ndef f(x):  # of x\n    "A text."\n\n    return (x +\n    1)\n') == plain
    assert jit_module.code_of("def f(x):\n    return x + 2\n") != plain
    assert jit_module.code_of("def f(x, y=1):\n    return x + 1\n") != plain


def test_machine_code_of_other_sources_is_deleted_and_nothing_else(tmp_path):
    stale, other = tmp_path / f"search.search_{'0a' * 8}-12.py311.nbi", tmp_path / "search.cpython-311.pyc"
    fresh = tmp_path / f"search.search_{jit_module.source_digest()}-12.py311.nbi"
    for path in (stale, other, fresh):
        path.touch()
    jit_module.delete_stale(tmp_path)
    assert stale.exists(), "as long as there is some that is used, another version may be at work"
    fresh.unlink()
    jit_module.delete_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [other.name]


def test_editing_a_helper_recompiles(tmp_path):
    """Of what a cached entry point calls, numba looks at no file; here any edit of the package is seen."""
    root = tmp_path / "dotcount"
    shutil.copytree(
        Path(dotcount.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__", "weights", "*.html")
    )
    code = """
import numpy as np
from dotcount.transport.kernels import Ground, PairLists, hard_minimum
dots, corner, unit, out = np.array([[3.0, 4.0], [0.0, 0.0]]), np.zeros((1, 2)), np.ones(1), np.empty((1, 16))
ground = Ground(1, np.inf, 0.1, 1.0, dots, corner, unit)
block, plan = np.zeros(1, np.int64), np.zeros(0)
index = np.zeros(1, np.uint32)
ends = np.array([0, 1])
lists = PairLists(
    ends, ends, index, plan, plan, 0, out, block, block, block, plan, plan, block, np.zeros((1, 0, 0))
)
hard_minimum(0, 1, ground, lists, np.zeros(2), out)
print(sum(hard_minimum.stats.cache_hits.values()), sum(hard_minimum.stats.cache_misses.values()), out[0, 0])
"""

    def solved() -> tuple[int, int, float]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        hits, misses, value = run(code, **environment).split()
        return int(hits), int(misses), float(value)

    assert solved() == (0, 1, 5.0)
    assert solved() == (1, 0, 5.0), "machine code is found on disk"
    helper = root / "transport" / "kernels" / "ground.py"
    text, line = helper.read_text(), "        return math.sqrt(squared)\n"
    assert text.count(line) == 1
    helper.write_text(text.replace(line, "        return 2.0 * math.sqrt(squared)\n"))
    assert solved() == (0, 1, 10.0), "and is not once a helper has changed"


@pytest.mark.slow
def test_a_process_that_compiles_finds_what_those_find_that_load_machine_code(tmp_path):
    """Functions that are called, and not inlined, were once others in the process that compiled them."""
    code = """
import torch
from dotcount.transport import solve_batch
g = torch.Generator().manual_seed(0)
densities = [torch.rand(16, 16, generator=g) * 0.1 for _ in range(3)]
points = [torch.rand(m, 2, generator=g) * 64 for m in (5, 9, 0)]
for one in solve_batch(densities, points, stride=4.0):
    print(one.value.hex(), one.gap.hex(), float(one.gradient.double().sum()).hex(), one.terms.transport.hex())
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True).stdout
        for _ in range(2)
    )
    assert len(first.splitlines()) == 3
    assert first == second
