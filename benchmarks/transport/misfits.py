"""Find solves that do not converge: maps that hold next to nothing where dots are, and dots ten times as dear.

    python -m benchmarks.transport.misfits [--problems 500] [--seed 5000]

Such maps come up while a network learns a crowd. Each problem is 64 x 64 cells of 4 px with up to 150 dots in clumps,
a few of which have a blob of mass somewhere near; the rest of the map is between 2e-24 and 1e-7 a cell. It is solved
cold, and then for another map of the same dots from the potentials of the first, some of them disturbed or unknown.
Writes benchmarks/results/transport_misfits.json: how many miss a relative gap of 1e-4, and by how much.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import machine
from dotcount.density import cell_centres
from dotcount.points import FloatArray
from dotcount.transport import Solution, solve

RESULTS = Path(__file__).parents[1] / "results" / "transport_misfits.json"
SIDE, STRIDE = 64, 4.0


def draw_map(rng: np.random.Generator, dots: FloatArray, floor: float) -> torch.Tensor:
    """Return a density in which few dots have mass, displaced and of any width."""
    density = np.full((SIDE, SIDE), floor)
    centres = cell_centres(SIDE, SIDE, STRIDE)
    seen = rng.random(len(dots)) < rng.uniform() ** 4
    for place in dots[seen] + rng.normal(0, 6, (int(seen.sum()), 2)):
        width = STRIDE * rng.uniform(0.3, 2.5)
        blob = np.exp(-np.square(centres - place).sum(-1) / (2 * width**2))
        density += rng.uniform(0.2, 1.5) * blob / max(blob.sum(), 1e-9)
    return torch.from_numpy(np.maximum(density * 10 ** rng.uniform(-1, 1), floor)).float()


def solve_pair(seed: int) -> list[tuple[dict[str, object], Solution]]:
    """Return the cold and the warm solution of one problem, with what it is."""
    rng = np.random.default_rng(seed)
    clumps = rng.uniform(0, SIDE * STRIDE, (int(rng.integers(1, 5)), 2))
    m = int(rng.integers(1, 150))
    spread = rng.normal(0, rng.uniform(3, 60), (m, 2))
    dots = np.clip(clumps[rng.integers(0, len(clumps), m)] + spread, 0, SIDE * STRIDE - 0.1)
    floor, epsilon = float(rng.choice([2e-24, 1e-16, 1e-10, 1e-7])), float(rng.choice([0.01, 0.003]))
    points = torch.from_numpy(dots).float()
    maps = [draw_map(rng, dots, floor) for _ in range(2)]
    options = {"stride": STRIDE, "epsilon": epsilon, "rho": (1.0, 10.0), "length_scale": SIDE * STRIDE}
    cold = solve(maps[0], points, **options)  # type: ignore[arg-type]
    beta = cold.beta + rng.choice([0.0, 1e-2, 1.0]) * torch.from_numpy(rng.normal(size=m)).float()
    beta[torch.from_numpy(rng.random(m) < 0.05)] = torch.nan
    warm = solve(maps[1], points, beta=beta, **options)  # type: ignore[arg-type]
    kind = {"seed": seed, "dots": m, "floor": floor, "epsilon": epsilon}
    return [(kind | {"start": "none"}, cold), (kind | {"start": "potentials"}, warm)]


def main() -> None:
    """Solve all and write what did not converge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--seed", type=int, default=5000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    solved = [one for k in range(args.problems) for one in solve_pair(args.seed + k)]
    evaluations = [solution.n_evaluations for _, solution in solved]
    record = {
        "machine": machine(),
        "solves": len(solved),
        "mean_evaluations": round(float(np.mean(evaluations)), 1),
        "median_evaluations": float(np.median(evaluations)),
        "not_converged": [
            kind | {"relative_gap": float(f"{s.gap / max(1.0, abs(s.value)):.2g}"), "evaluations": s.n_evaluations}
            for kind, s in solved
            if not s.converged
        ],
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(RESULTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
