"""Try to catch a certificate lying: random problems of every kind, solved fast, judged by an exact float64 solve.

    python -m benchmarks.transport.certificates [--problems 10000] [--seed 0] [--workers 2]

Each problem is solved in float32 or float64, to a random tolerance or with a random budget of evaluations (so that many
end unconverged), by a random method. The optimum must lie in ``[value, value + gap]`` and the gradient within
``gradient_bound`` of the exact one. The data handed to float32 is rounded first, so that both solve the same problem.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from pathlib import Path

import torch

from dotcount.transport import Solution, solve

RESULTS = Path(__file__).parents[1] / "results" / "transport_certificates.json"
COSTS, PENALTIES = ("l2", "l2", "l1", "sql2", "wfr"), ("kl", "kl", "quadratic")


def draw(g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, dict]:
    """Return a density, dots and options."""

    def pick(options: tuple) -> object:
        return options[int(torch.randint(0, len(options), (1,), generator=g))]

    rows, columns = (int(x) for x in torch.randint(1, 25, (2,), generator=g))
    m = int(pick((1, 2, 5, 20, 60)))
    density = torch.rand(rows, columns, generator=g) ** float(pick((1.0, 4.0)))
    density *= float(pick((0.1, 1.0, 10.0))) * m / max(float(density.sum()), 1e-9)
    if pick((True, False)):
        density *= torch.rand(rows, columns, generator=g) > 0.6
    extent = torch.tensor([columns, rows]) * 8.0
    points = torch.rand(m, 2, generator=g) * extent * float(pick((0.2, 1.0, 1.2)))
    cost = pick(COSTS)
    options = {
        "stride": 8.0, "cost": cost, "penalty": pick(PENALTIES), "epsilon": pick((0.002, 0.01, 0.05, 0.3)),
        "rho": pick((1.0, 0.3, (0.5, 2.0))), "delta": float(pick((0.2, 0.6))) if cost == "wfr" else None,
    }  # fmt: skip
    return density, points, options


def check(seed: int) -> dict[str, float]:
    """Solve one problem; return what was found out about it."""
    g = torch.Generator().manual_seed(seed)
    density, points, options = draw(g)
    kind = int(torch.randint(0, 4, (1,), generator=g))
    limits = {"tol": (1e-2, 1e-4, 1e-5, 1e-4)[kind], "max_iter": 2000 if kind < 3 else 3 + seed % 12}
    method = ("auto", "newton", "dense")[seed % 3]
    if seed % 2:
        density, points = density.double(), points.double()
    got = solve(density, points, method=method, **limits, **options)
    # From where the first solve ended: the optimum is the same from anywhere, and its own certificate judges it.
    exact = solve(density.double(), points.double(), tol=1e-10, max_iter=4000, beta=got.beta.double(), **options)
    return {"converged": got.converged, "stopped": kind == 3, "known": exact.converged, **_compare(got, exact)}


def _compare(got: Solution, exact: Solution) -> dict[str, float]:
    size = max(1.0, abs(exact.value))
    error = float((got.gradient.double() - exact.gradient).abs().max())
    # A float32 gradient is rounded when it is handed out.
    rounding = float(got.gradient.double().abs().max()) * float(torch.finfo(got.gradient.dtype).eps)
    return {
        "below": got.value - (exact.value + exact.gap) > 1e-12 * size,
        "above": exact.value - (got.value + got.gap) > 1e-12 * size,
        "gradient": error - (got.gradient_bound + exact.gradient_bound + rounding) > 1e-12,
        "gap": got.gap / size,
        "exact_gap": exact.gap / size,
    }


def _save(found: list[dict[str, float]], seed: int) -> dict:
    """Write the figures of what was found so far and return them."""
    known = [f for f in found if f["known"]]
    result = {
        "problems": len(found), "seed": seed, "optimum_known": len(known), "torch": torch.__version__,
        "not_converged": sum(not f["converged"] for f in found),
        "stopped_early": sum(bool(f["stopped"]) for f in found),
        "not_converged_unstopped": sum(not f["converged"] and not f["stopped"] for f in found),
        "below": sum(bool(f["below"]) for f in known), "above": sum(bool(f["above"]) for f in known),
        "gradient": sum(bool(f["gradient"]) for f in known),
        "largest_gap": max(f["gap"] for f in found), "largest_gap_of_the_reference": max(f["exact_gap"] for f in known),
    }  # fmt: skip
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    part.replace(RESULTS)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    start = time.perf_counter()
    found = []
    # The problems are small: one thread each.
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        seeds = range(arguments.seed, arguments.seed + arguments.problems)
        for seed, last in zip(seeds, pool.imap(check, seeds, chunksize=20)):
            found.append(last)
            if last["below"] or last["above"] or last["gradient"]:
                print(f"seed {seed}: {last}", flush=True)
            if len(found) % 500 == 0:
                print(f"{len(found)} problems, {time.perf_counter() - start:.0f} s", flush=True)
                _save(found, arguments.seed)
    print(_save(found, arguments.seed))


if __name__ == "__main__":
    main()
