"""How far the mass that minimises the transport distance is from the count, with known truth and without a network.

    python -m experiments.reproduce.mass_bias

Three scalar problems have closed forms (docs/explanation/mass-bias.md); they are minimised here through the real
solver. Scenes add what the forms leave out: many dots, seen through a blur that no density map can undo, annotated by
people who disagree.
Writes experiments/results/reproduce/mass_bias.json and docs/images/mass-bias.png.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar
from torch import Tensor

from benchmarks.machine import machine
from dotcount.data.synthetic import generate
from dotcount.transport import solve, solve_batch
from experiments.reproduce.suite import RESULTS

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "mass-bias.png"
RHOS: dict[str, tuple[float, float]] = {
    "1, 1": (1.0, 1.0),
    "0.3, 1": (0.3, 1.0),
    "1, 10": (1.0, 10.0),
    "1, 100": (1.0, 100.0),
}
"""Strengths of the mass penalties (pixels, dots)."""
SIDE, STRIDE, SEED = 256, 4, 20
SCENES, ANNOTATIONS = 2, 6
BLURS = (0.0, 2.0, 4.0)
"""Standard deviations, cells, of what the scene is seen through."""
MISSED = 0.15
"""Share of the dots that an annotation leaves out, each by chance."""
COUNT_TERM = 10.0
"""Weight of ``(mass - m)^2 / (2 m)``, m the number of dots, where such a term is added to the transport."""
STEPS, RATE = 200, 0.05


def best_mass(points: Sequence[Tensor], cell: tuple[int, int], **options: Any) -> float:
    """Return the mass in one cell of a grid that minimises the mean distance to the sets of dots ``points``."""

    def distance(log_mass: float) -> float:
        density = torch.zeros(16, 16, dtype=torch.float64)
        density[cell] = math.exp(log_mass)
        solved = [solve(density, xy, stride=1.0, length_scale=16.0, tol=1e-12, **options).value for xy in points]
        return float(np.mean(solved))

    return math.exp(minimize_scalar(distance, bounds=(-6.0, 6.0), method="bounded", options={"xatol": 1e-7}).x)


def closed_forms() -> list[dict[str, Any]]:
    """Return measured and predicted masses of the three scalar problems."""
    rows = []
    dot = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    for name, rho in RHOS.items():
        for cells in (1, 4, 12):
            d = cells / 16
            mass = best_mass([dot], (0, cells), epsilon=0.01, rho=rho)
            rows.append(
                {"effect": "distance", "rho": name, "value": d, "mass": mass, "predicted": math.exp(-d / rho[1])}
            )
        for k in (2, 10, 50):
            mass = best_mass([dot.expand(k, 2)], (0, 0), epsilon=0.01, rho=rho) / k
            rows.append({"effect": "entropy", "rho": name, "value": k, "mass": mass, "predicted": k ** (0.01 / rho[1])})
        for present in (9, 7, 5):
            sets = [dot] * present + [dot[:0]] * (10 - present)
            p, power = present / 10, 1 + rho[0] / rho[1]
            mass = best_mass(sets, (0, 0), epsilon=0.01, rho=rho)
            rows.append({"effect": "uncertainty", "rho": name, "value": p, "mass": mass, "predicted": p**power})
    return rows


def scene_map(dots: Sequence[Tensor], blur: float, weight: float = 0.0, **options: Any) -> tuple[Tensor, float]:
    """Return the blurred map (n, n) that minimises the mean distance to the annotations ``dots``, and that distance.

    ``weight`` is that of an added ``(mass - m)^2 / (2 m)``, m the number of dots.
    """
    n = SIDE // STRIDE
    log_density = torch.full((n, n), math.log(np.mean([len(xy) for xy in dots]) / n**2), requires_grad=True)
    optimizer = torch.optim.Adam([log_density], lr=RATE)
    see = _blur(n, blur)
    beta: list[Tensor] | None = None
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        density = see(log_density.exp())
        solved = solve_batch(
            [density.detach()] * len(dots), list(dots), stride=STRIDE, length_scale=SIDE, beta=beta, tol=1e-5, **options
        )
        beta = [one.beta for one in solved]
        gradient = torch.stack([one.gradient for one in solved]).mean(0)
        gradient += weight * float(np.mean([float(density.detach().sum()) / len(xy) - 1 for xy in dots]))
        optimizer.zero_grad()
        density.backward(gradient.to(density))
        optimizer.step()
    with torch.no_grad():
        return see(log_density.exp()), float(np.mean([one.value for one in solved]))


def _blur(n: int, sigma: float) -> Callable[[Tensor], Tensor]:
    """Return the blur of an (n, n) map by a Gaussian of ``sigma`` cells that keeps all mass inside."""
    if sigma == 0:
        return lambda density: density
    at = torch.arange(n, dtype=torch.float32)
    kernel = torch.exp(-((at[:, None] - at) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum(0)  # every column, that is every source, keeps its mass
    return lambda density: kernel @ density @ kernel.T


SETTINGS: list[dict[str, Any]] = [
    *({"rho": name, "epsilon": 0.01, "count_term": 0.0} for name in RHOS),
    {"rho": "1, 1", "epsilon": 0.003, "count_term": 0.0},
    {"rho": "1, 1", "epsilon": 0.01, "count_term": COUNT_TERM},
    {"rho": "1, 10", "epsilon": 0.01, "count_term": COUNT_TERM},
]
"""What is compared in the scenes."""


def scenes() -> list[dict[str, Any]]:
    """Return the masses that minimise W on synthetic street scenes, relative to the mean annotated count.

    ``far`` is the same for the upper part of the scene that holds half of the dots: people are small and close there.
    """
    rows = []
    for seed in range(SCENES):
        _, points = generate("crowd", seed=SEED, index=seed, size=SIDE, count=(80, 80))
        xy = torch.as_tensor(points.xy, dtype=torch.float32)
        horizon = round(float(xy[:, 1].median()) / STRIDE)
        draw = torch.Generator().manual_seed(seed)
        kept = [xy[torch.rand(len(xy), generator=draw) >= MISSED] for _ in range(ANNOTATIONS)]
        for annotated, dots in (("all dots", [xy]), (f"{MISSED:.0%} missed", kept)):
            truth = float(np.mean([len(one) for one in dots]))
            truth_far = float(np.mean([int((one[:, 1] < horizon * STRIDE).sum()) for one in dots]))
            for blur, setting in itertools.product(BLURS, SETTINGS):
                density, value = scene_map(
                    dots, blur, setting["count_term"], rho=RHOS[setting["rho"]], epsilon=setting["epsilon"]
                )
                mass, far = float(density.sum()), float(density[:horizon].sum())
                scene = {"seed": seed, "annotated": annotated, "blur_px": blur * STRIDE, **setting}
                result = {"count": truth, "mass": mass, "ratio": mass / truth, "far": far / truth_far}
                rows.append({**scene, **result, "distance": value})
                print(json.dumps(rows[-1]), flush=True)
    return rows


def plot(forms: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """Draw the three closed forms with what was measured, and the scenes."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for name in RHOS:
        rows = [row for row in forms if row["rho"] == name and row["effect"] == "uncertainty"]
        (line,) = left.plot([r["value"] for r in rows], [r["predicted"] for r in rows], label=f"ρ = ({name})")
        left.plot([r["value"] for r in rows], [r["mass"] for r in rows], "o", color=line.get_color())
    left.plot([0.5, 0.9], [0.5, 0.9], "k--", linewidth=0.8, label="the expected count")
    left.set(title="A dot that is there with probability p", xlabel="p", ylabel="mass that minimises the mean distance")
    left.legend(fontsize=8)
    for axis, annotated in ((middle, "all dots"), (right, f"{MISSED:.0%} missed")):
        for name in RHOS:
            setting = {"rho": name, "epsilon": 0.01, "count_term": 0.0}
            rows = [r for r in found if r["annotated"] == annotated and r == {**r, **setting}]
            mean = [np.mean([r["ratio"] for r in rows if r["blur_px"] == b * STRIDE]) for b in BLURS]
            axis.plot([b * STRIDE for b in BLURS], mean, "o-", label=f"ρ = ({name})")
        axis.axhline(1.0, color="k", linestyle="--", linewidth=0.8)
        axis.set(title=f"Street scenes, {annotated}", xlabel="blur of the scene, px", ylabel="mass / mean count")
    right.legend(fontsize=8)
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGE, dpi=110)


def main() -> None:
    """Measure, write the record and the plot."""
    forms = closed_forms()
    for row in forms:
        print(json.dumps(row), flush=True)
    found = scenes()
    record = {"machine": machine(), "torch": torch.__version__, "closed_forms": forms, "scenes": found}
    rows = {key: ",\n    ".join(json.dumps(row) for row in record[key]) for key in ("closed_forms", "scenes")}
    head = ",\n  ".join(f"{json.dumps(key)}: {json.dumps(record[key])}" for key in ("machine", "torch"))
    body = ",\n  ".join(f'"{key}": [\n    {text}\n  ]' for key, text in rows.items())
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "mass_bias.json").write_text(f"{{\n  {head},\n  {body}\n}}\n", encoding="utf-8")
    plot(forms, found)


if __name__ == "__main__":
    main()
