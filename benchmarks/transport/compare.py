"""Our solver against the baselines, problem by problem, in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.transport import baselines
from benchmarks.transport.baselines import Run
from benchmarks.transport.measure import clock, dense_costs, judge, peak_memory
from benchmarks.transport.problems import PHASES, STRIDE, Problem, problem
from dotcount.transport import Solution, Solver, solve

GOAL, TIGHT = 1e-5, 1e-6
"""Relative gap of the comparison, and one that is well below what the dense default ends with."""
DENSE_DEFAULT, DENSE_TO_GAP = 21_000_000, 4_100_000
"""Largest number of pairs at which the dense default, and the dense run to the gap and the libraries, are run."""


def cases(quick: bool) -> Iterator[tuple[float, int, int, str]]:
    """Yield (epsilon, cells a side, dots, phase)."""
    sides, counts = ((64,), (0, 20, 1000)) if quick else ((64, 128), (0, 20, 200, 1000, 5000))
    for epsilon in (0.01,) if quick else (0.01, 0.002):
        for side in sides:
            for m in counts:
                for phase in PHASES if m else ("early",):
                    yield epsilon, side, m, phase


def compare(quick: bool, done: set, log: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield one record a problem, but for those (epsilon, N, M, phase) that are done."""
    for epsilon, side, m, phase in cases(quick):
        if (epsilon, side * side, m, phase) in done:
            continue
        record = _one(problem(phase, side, m), side, epsilon)
        log(f"{phase} N={side * side} M={m} eps={epsilon}: " + _summary(record))
        yield record


def _one(given: Problem, side: int, epsilon: float) -> dict[str, Any]:
    m = len(given.points)
    options = {"stride": STRIDE, "epsilon": epsilon}
    exact = solve(given.density.double(), given.points.double(), tol=1e-11, **options)
    changed = given.changed(1)
    before = solve(changed, given.points, tol=GOAL, **options)
    solver = Solver([given.points], tol=GOAL, **options)

    def cold() -> Solution:
        return solve(given.density, given.points, tol=GOAL, **options)

    def warm() -> Solution:
        return solve(given.density, given.points, tol=GOAL, beta=before.beta, **options)

    def prepare() -> None:
        solver.solve([changed])

    def again() -> Solution:
        return solver.solve([given.density])[0]

    def tight() -> Solution:
        return solve(given.density, given.points, tol=TIGHT, **options)

    repeats = 7 if m <= 1000 else 3
    record: dict[str, Any] = {
        "phase": given.phase, "n": side * side, "m": m, "epsilon": epsilon, "value": exact.value,
        "reference_gap": exact.gap,
    }  # fmt: skip
    for name, run, before_each in (
        ("cold", cold, None), ("warm", warm, None), ("again", again, prepare), ("tight", tight, None),
    ):  # fmt: skip
        seconds, got = clock(run, repeats, before_each)
        record[name] = {
            "seconds": seconds, "gap": got.gap / max(1.0, abs(got.value)), "evaluations": got.n_evaluations,
            "converged": got.converged, "method": got.method, "gradient_bound": got.gradient_bound,
            "gradient_error": float((got.gradient - exact.gradient).abs().max()),
        }  # fmt: skip
    record["cold"]["peak_mb"] = peak_memory(cold)
    if m:
        _add_baselines(record, given, side, epsilon, exact)
    return record


def _add_baselines(record: dict[str, Any], given: Problem, side: int, epsilon: float, exact: Solution) -> None:
    pairs = side * side * len(given.points)
    if pairs > DENSE_DEFAULT:
        return
    u, c64 = given.density.flatten(), dense_costs(side, given.points, STRIDE)
    cost = c64.float()
    ours = judge(u, c64, epsilon, exact.beta)[2]

    def add(name: str, run: Callable[[], Run], repeats: int) -> None:
        runs = [run() for _ in range(repeats)]
        best = sorted(runs, key=lambda r: r.seconds)[len(runs) // 2]
        record[name] = {"seconds": best.seconds, "gap": best.gap, "evaluations": best.evaluations}
        if best.gradient is not None:
            record[name]["gradient_error"] = float((best.gradient - ours).abs().max())

    repeats = 3 if pairs <= 4_100_000 else 1
    add("lbfgs_default", lambda: baselines.lbfgs_default(u, cost, epsilon), repeats)
    if pairs > DENSE_TO_GAP:
        return
    record["lbfgs_default"]["peak_mb"] = peak_memory(lambda: baselines.lbfgs_default(u, cost, epsilon))
    add("lbfgs_to_gap", lambda: baselines.lbfgs_to_gap(u, cost, epsilon, GOAL), 1)
    if epsilon >= 0.01:
        add("pot_sinkhorn", lambda: baselines.pot_sinkhorn(u, c64, epsilon, exact.value), 1)
        add("geomloss", lambda: baselines.geomloss_sinkhorn(u, given.points, side, STRIDE, epsilon), 1)
        if pairs <= 100_000 and given.phase == "mid":
            add("pot_lbfgsb", lambda: baselines.pot_lbfgsb(u, c64, epsilon, exact.value), 1)


def _summary(record: dict[str, Any]) -> str:
    names = (
        "cold",
        "warm",
        "again",
        "tight",
        "lbfgs_default",
        "lbfgs_to_gap",
        "pot_sinkhorn",
        "pot_lbfgsb",
        "geomloss",
    )
    return ", ".join(f"{n} {record[n]['seconds'] * 1e3:.1f} ms ({record[n]['gap']:.0e})" for n in names if n in record)
