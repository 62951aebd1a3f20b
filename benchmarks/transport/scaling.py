"""How time and memory grow with the problem, and what a batch saves."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.transport.measure import clock, peak_memory
from benchmarks.transport.problems import STRIDE, problem
from dotcount.transport import solve, solve_batch

SIZES = ((64, 1000), (128, 4000), (256, 16_000), (256, 20_000))


def scaling(log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return time and memory of cold solves, epsilon scaled with the spacing of the dots."""
    records = []
    for side, m in SIZES:
        given, epsilon = problem("mid", side, m), 0.01 * 64 / side
        options = {"stride": STRIDE, "epsilon": epsilon, "tol": 1e-5}
        # In a process of its own: elsewhere, memory that was freed before would be used again and not be seen.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            memory = pool.apply(_memory, (side, m, options))
        seconds, got = clock(lambda g=given, o=options: solve(g.density, g.points, **o), 3)  # type: ignore[misc]
        record = {
            "n": side * side, "m": m, "epsilon": epsilon, "seconds": seconds, "peak_mb": memory,
            "dense_matrix_mb": side * side * m * 4 / 1e6, "gap": got.gap / max(1.0, abs(got.value)),
            "evaluations": got.n_evaluations, "converged": got.converged,
        }  # fmt: skip
        records.append(record)
        log(f"N={side * side} M={m}: {seconds:.3f} s, {memory:.0f} MB, converged {got.converged}")
    return records


def _memory(side: int, m: int, options: dict[str, Any]) -> float:
    """Return the MB that a solve takes on top of what the libraries and the problem do."""
    given, small = problem("mid", side, m), problem("mid", 16, 50)
    solve(small.density, small.points, **options)
    return peak_memory(lambda: solve(given.density, given.points, **options))


def batches(log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the time of 8 images together and one by one."""
    records = []
    for m in (20, 100, 200):
        given = [problem(("early", "mid", "late")[k % 3], 64, m, seed=k) for k in range(8)]
        density, points = torch.stack([g.density for g in given]), [g.points for g in given]
        together, _ = clock(lambda d=density, p=points: solve_batch(d, p, stride=STRIDE, tol=1e-5), 7)  # type: ignore[misc]
        alone, _ = clock(lambda: [solve(g.density, g.points, stride=STRIDE, tol=1e-5) for g in given], 7)  # noqa: B023
        records.append({"m": m, "together_seconds": together, "one_by_one_seconds": alone, "ratio": together / alone})
        log(f"batch of 8, M={m}: {together * 1e3:.1f} ms together, {alone * 1e3:.1f} ms one by one")
    return records
