"""Solve problems at the edge of arithmetic and judge every answer by the reference.

    python -m tests.transport.hostile [--problems 20000] [--seed 0] [--exact] [--out FILE]

Sizes 1 to 24, up to 12 dots, densities from subnormal to 1e30, no blur and blurs from 1e-6 to 1e3, strengths from
1e-6 to 1e6, far and coincident dots, given potentials of any size, every method, cost and penalty. Problems are solved
in a forked process, so that one that kills it is counted and the others go on. A fault is a crash, an error that is
not ours, an answer ``converged`` with a number that is not finite, an optimum outside ``[value, value + gap]``, and a
gradient farther from the exact one than ``gradient_bound``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dotcount.errors import DotcountError
from dotcount.transport import Solution, compiled, solve

from . import reference as ref

PATIENCE = 300.0
"""Seconds without an answer after which a worker counts as hanging; nothing is left to be compiled by then."""
NOISE = 4e-16
"""What the judge's own float64 interface may lose, relative to the magnitudes that a value is added up from."""


def draw(seed: int, exact: bool = False) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Return a density, dots and options; dots must be paid exactly where ``exact``."""
    rng = np.random.default_rng(seed)

    def log(low: float, high: float, size: int | None = None) -> Any:
        return 10 ** rng.uniform(low, high, size)

    dtype = torch.float32 if rng.random() < 0.5 else torch.float64
    rows, columns = (int(x) for x in rng.integers(1, 25, 2))
    m = int(rng.integers(0, 13))
    density = rng.random((rows, columns)) ** rng.choice([1.0, 4.0])
    kind = rng.choice(
        ["plain", "zero", "tiny", "subnormal", "huge", "mixed", "sparse"], p=[0.3, 0.05, 0.15, 0.1, 0.15, 0.15, 0.1]
    )
    least = -44.0 if dtype == torch.float32 else -320.0
    if kind == "zero":
        density[:] = 0.0
    elif kind == "tiny":
        density *= log(-40, -1)
    elif kind == "subnormal":
        density *= log(least, least + 8)
    elif kind == "huge":
        density *= log(0, 30)
    elif kind == "mixed":
        density = log(-40, 30, (rows, columns))
    if kind in ("sparse", "mixed"):
        density *= rng.random((rows, columns)) < 0.3
    stride = float(rng.choice([1.0, 8.0, log(-3, 3)]))
    extent = np.array([columns, rows]) * stride
    spread = rng.choice([1.0, 1.0, 0.0, 3.0, log(0, 6)])
    points = rng.random((m, 2)) * extent * spread - extent * rng.choice([0.0, 0.0, 1.0])
    if m and rng.random() < 0.3:  # some in one place, or on the middle of a cell
        points[: rng.integers(1, m + 1)] = (
            (np.floor(points[0] / stride) + 0.5) * stride if rng.random() < 0.5 else points[0]
        )
    cost = str(rng.choice(["l1", "l2", "sql2", "wfr"]))
    penalty = str(rng.choice(["kl", "kl", "quadratic"]))
    epsilon = float(rng.choice([0.0, log(-6, 3), log(-3, 0), 0.01], p=[0.15, 0.45, 0.3, 0.1]))
    rho: Any = float(rng.choice([1.0, log(-6, 6)]))
    if rng.random() < 0.5:
        rho = (float(log(-6, 6)), float(log(-6, 6))) if rng.random() < 0.6 else (float(log(-1, 1)), float(log(-1, 1)))
    options: dict[str, Any] = {
        "stride": stride, "cost": cost, "penalty": penalty, "epsilon": epsilon, "rho": rho,
        "tol": float(rng.choice([1e-2, 1e-4, 1e-4, 1e-6, 1e-9])),
        "max_iter": int(rng.choice([500, 500, 100, 12, 1])),
        "method": str(rng.choice(["auto", "newton", "dense", "lbfgs"] + ["sinkhorn"] * (penalty == "kl"))),
    }  # fmt: skip
    if rng.random() < 0.5:
        options["length_scale"] = float(extent.max() * log(*rng.choice([[-1.0, 1.0], [-6.0, 6.0]])))
    if cost == "wfr":
        options["delta"] = float(log(-2, 1))
    if rng.random() < 0.4:
        options["weights"] = torch.from_numpy(log(-3, 3, m)).to(dtype)
    if rng.random() < 0.3:
        beta = rng.normal(size=m) * log(-3, 6) + rng.choice(
            [0.0, -1e4, 1e4, -1e3, 1e300, math.nan], p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]
        )
        options["beta"] = torch.from_numpy(beta).to(dtype)
    if rng.random() < 0.2:
        options["tol_gradient"] = float(log(-6, 0))
    if exact:
        options["rho"] = (rho[0] if isinstance(rho, tuple) else rho, math.inf)
    return torch.from_numpy(density).to(dtype), torch.from_numpy(points).to(dtype), options


def dense(density: torch.Tensor, points: torch.Tensor, options: dict[str, Any]) -> ref.Dense:
    """Return the problem as the reference takes it."""
    rows, columns = density.shape
    scale = options.get("length_scale") or max(rows, columns) * options["stride"]
    cost = ref.costs(
        options["cost"], options.get("delta"), rows, columns, points.double().numpy(), options["stride"], scale
    )
    weights = options.get("weights")
    v = np.ones(len(points)) if weights is None else weights.double().numpy()
    rho = options["rho"] if isinstance(options["rho"], tuple) else (options["rho"],) * 2
    u = density.double().numpy().ravel().astype(ref.LONG)
    return ref.Dense(u, v.astype(ref.LONG), cost, options["penalty"], options["epsilon"], rho)


def numbers(got: Solution) -> list[float]:
    """Return all numbers of an answer that must be finite if it is converged, as sums."""
    tensors = (got.beta, got.gradient, got.pixel_mass, got.dot_mass)
    whole = [float("nan") if not bool(torch.isfinite(one).all()) else 0.0 for one in tensors]
    return [got.value, got.gap, *vars(got.terms).values(), *whole]


def judge(density: torch.Tensor, points: torch.Tensor, options: dict[str, Any]) -> tuple[list[str], str]:
    """Solve one problem; return the faults found and how far the answer could be judged."""
    try:
        with np.errstate(all="ignore"):
            got = solve(density, points, **options)
            bound = got.gradient_bound
    except DotcountError as error:
        faults = [] if str(error) and "\n" not in str(error) else ["error without one clear line"]
        if "no mass can reach" in str(error) and not _lost(density, points, options):
            faults.append(f"refused, but every dot can be reached: {error}")
        return faults, "refused"
    faults = []
    if _lost(density, points, options):
        faults.append("solved, but a dot can't be reached")
    if got.converged and not all(map(math.isfinite, numbers(got))):
        faults.append("converged, not finite")
    if got.converged and not got.gap <= options["tol"] * max(1.0, abs(got.value)) * (1 + 1e-6):
        faults.append("converged, gap above tol")
    if got.converged and not bound <= options.get("tol_gradient", math.inf):
        faults.append("converged, gradient bound above tol_gradient")
    if math.isnan(got.value) or math.isnan(got.gap) or got.gap < 0 or math.isnan(bound):
        faults.append("a bound is not a number")
    if math.isinf(got.value) and not (got.value < 0 and math.isinf(got.gap) and not got.converged):
        faults.append("an infinite value that is not told as unknown")
    if not len(points):
        return faults, "converged" if got.converged else "not converged"
    with np.errstate(all="ignore"):
        more, judged = _compare(got, bound, dense(density, points, options))
    state = "converged" if got.converged else "not converged"
    return faults + more, f"{state}, {judged}"


def _lost(density: torch.Tensor, points: torch.Tensor, options: dict[str, Any]) -> bool:
    """Whether a dot that must be paid exactly can't be reached by any mass."""
    problem = dense(density, points, options)
    return problem.exact and not (np.isfinite(problem.cost) & (problem.u > 0)[:, None]).any(0).all()


def _compare(got: Solution, bound: float, problem: ref.Dense) -> tuple[list[str], str]:
    beta = got.beta.double().numpy()
    beta = np.where(np.isfinite(beta), beta, 0.0)
    if problem.epsilon > 0:
        exact = ref.look(problem, beta)
        lower, upper = exact.lower, exact.upper
        proven = got.value <= exact.lower and exact.upper <= got.value + got.gap
        if math.isfinite(bound) or not proven:  # what beta alone does not settle
            exact = ref.maximise(problem, beta)
            lower, upper = exact.lower, exact.upper
            if not upper - lower <= 1e-12 * exact.size:
                other = ref.maximise(problem, np.zeros_like(beta))
                lower, upper = max(lower, other.lower), min(upper, other.upper)
                exact = min(exact, other, key=lambda one: one.upper - one.lower)
    else:
        exact, lower, upper = _hard(problem, beta)
    size = float(exact.size)
    faults = []
    slack = NOISE * size
    if got.value > upper + slack:
        faults.append(f"value {got.value!r} above W <= {float(upper)!r}")
    if got.value + got.gap < lower - slack:
        faults.append(f"value + gap {got.value + got.gap!r} below W >= {float(lower)!r}")
    if not math.isfinite(bound):
        return faults, "value judged"
    away = ref.potential_error(problem, exact)
    if not math.isfinite(away):
        return faults, "value judged"
    alpha = exact.alpha
    low, high = ref.gradient(problem, alpha - away), ref.gradient(problem, alpha + away)
    ours = got.gradient.double().numpy().ravel().astype(ref.LONG)
    room = bound + 4e-16 * abs(ours)
    beyond = np.maximum(low - room - ours, ours - room - high)
    alone = -ref.conjugate(problem.penalty, problem.rho[0], np.full(1, -np.inf, ref.LONG))[0]
    beyond = np.where(np.isfinite(alpha), beyond, abs(ours - alone) - room)
    if (beyond > 0).any():
        k = int(np.nanargmax(beyond))
        faults.append(f"gradient {float(ours[k])!r} not within {bound!r} of {float(low[k])!r} .. {float(high[k])!r}")
    known = float(np.nanmax(np.where(np.isfinite(alpha), high - low, 0)))
    return faults, "all judged" if known <= bound else "gradient hardly judged"


def _hard(problem: ref.Dense, beta: np.ndarray) -> tuple[ref.Look, Any, Any]:
    """Return bounds on the optimum without blur, from falling blurs, and the best hard point."""
    exact = ref.look(problem, beta)
    lower, upper = exact.lower, exact.upper
    largest = float(np.max(problem.cost, where=np.isfinite(problem.cost), initial=1e-30))
    epsilon = max(1e-3 * largest, 1e-12)
    for _ in range(4):
        soft = ref.maximise(replace(problem, epsilon=epsilon), beta, 40)
        plan = soft.q[:, None] * soft.share
        paid = (plan * np.where(plan > 0, problem.cost, 0)).sum()
        filled = np.where(problem.u > 0, problem.u, 1)
        if problem.exact:
            if not (soft.gamma > 0).all():
                epsilon *= 0.1
                continue
            plan = plan * (problem.v / soft.gamma)
            paid = (plan * np.where(plan > 0, problem.cost, 0)).sum()
        else:
            paid += (problem.v * ref.primal(problem.penalty, problem.rho[1], soft.gamma / problem.v)).sum()
        paid += (problem.u * ref.primal(problem.penalty, problem.rho[0], plan.sum(1) / filled)).sum()
        here = ref.look(problem, soft.beta)
        if here.lower > lower:
            exact, lower = here, here.lower
        upper = min(upper, paid)
        beta, epsilon = soft.beta, epsilon * 0.1
    return replace(exact, lower=lower, upper=upper), lower, upper


def _work(pipe: Connection, seeds: range, exact: bool) -> None:
    torch.set_num_threads(1)
    known = _specialisations()
    for seed in seeds:
        pipe.send(("begin", seed, None))
        try:
            faults, state = judge(*draw(seed, exact))
        except Exception as error:
            faults, state = [f"{type(error).__name__}: {error}"], "raised"
        if known != (known := _specialisations()):
            faults.append("compiled loops that warm() should have compiled")
        pipe.send(("end", seed, (faults, state)))
    pipe.close()


def _specialisations() -> int:
    """Return for how many kinds of numbers loops have been compiled, or read from disk, in this process."""
    if not compiled.usable(torch.device("cpu")):
        return 0
    kernels = importlib.import_module("dotcount.transport.kernels")
    return sum(len(one.signatures) for one in vars(kernels).values() if hasattr(one, "signatures"))


def warm() -> None:
    """Compile the loops for every kind of numbers that they may get: workers must not seem to hang over it."""
    dot = torch.ones(1, 2)
    for dtype in (torch.float32, torch.float64):
        density = torch.full((2, 2), 0.5, dtype=dtype)
        for options in ({}, {"epsilon": 0.0}, {"cost": "wfr", "delta": 1.0}):
            solve(density, dot.to(dtype), **options)
    for epsilon in (0.01, 0.0):  # float32 does not do: pairs in float64, Newton's systems in float32
        solve(torch.full((2, 2), 0.5), dot, rho=1e-6, epsilon=epsilon)


def run(seeds: range, exact: bool = False) -> Iterator[tuple[int, list[str], str]]:
    """Yield (seed, faults, state) of each problem; a process that dies costs one problem."""
    context = multiprocessing.get_context("fork")
    warm()
    following = seeds.start
    while following < seeds.stop:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(sender, range(following, seeds.stop), exact), daemon=True)
        process.start()
        sender.close()
        current = following
        while following < seeds.stop:
            try:
                answer = receiver.recv() if receiver.poll(PATIENCE) else None
            except EOFError:
                process.join()
                yield current, [f"crash: exit code {process.exitcode}"], "crashed"
                following = current + 1
                break
            if answer is None:
                process.kill()
                yield current, ["hangs"], "crashed"
                following = current + 1
                break
            word, current, found = answer
            if word == "end":
                yield current, *found
                following = current + 1
        process.kill()
        process.join()
        receiver.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exact", action="store_true", help="an infinite strength on the dots")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    states: Counter[str] = Counter()
    faults: dict[int, list[str]] = {}
    start = time.perf_counter()
    for seed, found, state in run(range(arguments.seed, arguments.seed + arguments.problems), arguments.exact):
        states[state] += 1
        if found:
            faults[seed] = found
            print(seed, found, flush=True)
    record = {
        "problems": arguments.problems, "first_seed": arguments.seed, "exact": arguments.exact,
        "seconds": round(time.perf_counter() - start),
        "states": dict(sorted(states.items())), "problems_with_faults": len(faults), "faults": faults,
    }  # fmt: skip
    print(json.dumps({k: v for k, v in record.items() if k != "faults"}, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
