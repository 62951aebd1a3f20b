"""An infinite strength on the dots: what the minimiser counts, W as a likelihood, and what a solve costs.

    python -m benchmarks.transport.exact

Writes benchmarks/results/transport_exact.json. Times are CPU seconds of one thread, the best of several, with the
strengths taken in turn.
"""

from __future__ import annotations

import itertools
import json
import math
import platform
import time
from pathlib import Path
from typing import Any

import torch
from scipy.optimize import brentq

from benchmarks.machine import machine
from benchmarks.transport.problems import PHASES, STRIDE, problem
from dotcount.transport import solve, solve_batch

RESULTS = Path(__file__).parents[1] / "results" / "transport_exact.json"
APART = 16.0
"""Distance of the two places that a dot may be at, px."""
SCALES, STRENGTHS, PROBABILITIES = (256.0, 48.0, 16.0), (1.0, 10.0, math.inf), (1.0, 0.5)
REPEATS = 7


def minimising_mass(p: float, scale: float, rho: tuple[float, float]) -> float:
    """Return the mass at which the expected W is least: a dot with probability p, at one of two places alike.

    By symmetry half of the mass lies at either place; W is convex, so that a vanishing derivative says all.
    """
    places = torch.tensor([[2.0, 2.0], [2.0 + APART, 2.0]], dtype=torch.float64)
    dots = [places[:1], places[1:], places[:0]]

    def slope(log_mass: float) -> float:
        density = torch.zeros(1, 5, dtype=torch.float64)
        density[0, 0] = density[0, -1] = 0.5 * math.exp(log_mass)
        found = solve_batch([density] * 3, dots, stride=4.0, length_scale=scale, rho=rho, tol=1e-12)
        here, there, none = (float(one.gradient[0, 0]) for one in found)
        return 0.5 * p * (here + there) + (1.0 - p) * none

    return math.exp(brentq(slope, math.log(1e-3), math.log(2.0), xtol=1e-10))


def masses() -> list[dict[str, Any]]:
    """Return the mass per expected object, minimised through the solver and by the closed form."""
    records = []
    for p, scale, rho in itertools.product(PROBABILITIES, SCALES, STRENGTHS):
        overlap = 0.5 + 0.5 * math.exp(-APART / scale)
        closed = p ** (1.0 + 1.0 / rho) * overlap ** (1.0 / rho)
        found = minimising_mass(p, scale, (1.0, rho))
        records.append({"p": p, "length_scale": scale, "rho_dots": str(rho), "solver": found, "closed_form": closed})
    return records


def likelihoods(n: int = 20) -> list[dict[str, float]]:
    """Return W where epsilon is the pixels' strength, and the likelihood that it should be, for random problems.

    A cell i sends a Poisson number of points of mean u_i, each displaced with density exp(-d / (rho L)) / Z. The
    negative logarithm of the likelihood of the dots is ``sum u - sum_j ln sum_i u_i exp(-d_ij / (rho L)) / Z``, and W
    is rho times that, less ``rho m (1 + ln Z)``.
    """
    records = []
    for seed in range(n):
        g = torch.Generator().manual_seed(seed)
        m, rho, scale = 1 + 3 * seed, (0.3, 1.0)[seed % 2], (16.0, 64.0, 256.0)[seed % 3]
        density = torch.rand(12, 16, generator=g, dtype=torch.float64) * 0.2
        dots = torch.rand(m, 2, generator=g, dtype=torch.float64) * torch.tensor([128.0, 96.0])
        got = solve(density, dots, stride=8.0, length_scale=scale, epsilon=rho, rho=(rho, math.inf), tol=1e-12)
        y, x = torch.meshgrid(torch.arange(12) + 0.5, torch.arange(16) + 0.5, indexing="ij")
        apart = torch.cdist(8.0 * torch.stack([x, y], -1).reshape(-1, 2).double(), dots)
        normaliser = 2.0 * math.pi * (rho * scale) ** 2  # of exp(-d / (rho L)) over the plane
        intensity = (density.reshape(-1, 1) * torch.exp(-apart / (rho * scale)) / normaliser).sum(0)
        minus_log = float(density.sum() - intensity.log().sum())
        records.append(
            {"dots": m, "value": got.value, "likelihood": rho * (minus_log - m * (1 + math.log(normaliser)))}
        )
    return records


def times() -> list[dict[str, Any]]:
    """Return CPU seconds of cold solves with strengths (1, 1), (1, 10) and (1, infinity)."""
    records = []
    for phase, m, penalty in itertools.product(PHASES, (20, 200, 1000), ("kl", "quadratic")):
        given = problem(phase, 64, m)
        best: dict[str, float] = {str(rho): math.inf for rho in STRENGTHS}
        evaluations = {}
        for _ in range(REPEATS):
            for rho in STRENGTHS:
                start = time.thread_time()
                got = solve(given.density, given.points, stride=STRIDE, penalty=penalty, rho=(1.0, rho))
                best[str(rho)] = min(best[str(rho)], time.thread_time() - start)
                evaluations[str(rho)] = got.n_evaluations
        records.append(
            {"phase": phase, "dots": m, "penalty": penalty, "seconds": best, "evaluations": evaluations,
             "ratio": best["inf"] / best["10.0"]}
        )  # fmt: skip
        print(f"{phase} M={m} {penalty}: " + ", ".join(f"{k} {v * 1e3:.2f} ms" for k, v in best.items()), flush=True)
    return records


def main() -> None:
    """Run all and write the figures."""
    torch.set_num_threads(1)
    counted, likely, timed = masses(), likelihoods(), times()
    ratios = sorted(one["ratio"] for one in timed)
    record = {
        "machine": machine(),
        "python": platform.python_version(),
        "masses": counted,
        "largest_relative_difference_of_masses": max(abs(r["solver"] / r["closed_form"] - 1) for r in counted),
        "likelihoods": likely,
        "largest_relative_difference_of_likelihoods": max(
            abs(r["value"] - r["likelihood"]) / max(1.0, abs(r["value"])) for r in likely
        ),
        "times": timed,
        "median_ratio": ratios[len(ratios) // 2],
        "largest_ratio": ratios[-1],
    }
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(RESULTS)
    print({key: value for key, value in record.items() if key.startswith(("largest", "median"))})


if __name__ == "__main__":
    main()
