"""Time the loss with a length scale for each dot against that with one for all.

    python -m benchmarks.transport.lengths

Batches of four crops of 64 x 64 cells of 4 px with 5 to 80 and with 400 dots in clumps, every dot paid in full, one
thread. "Cold" starts from nothing; "warm" from the potentials of the same crops with a map that is up to 5 % off. Both
forms take turns in one process; median of the rounds after the first. Writes benchmarks/results/transport_lengths.json.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from pathlib import Path

import torch

from benchmarks.machine import machine
from dotcount.losses import create
from dotcount.losses.uot import UOTLoss

RESULTS = Path(__file__).parents[1] / "results" / "transport_lengths.json"
CELLS, STRIDE, ROUNDS = 64, 4, 8
BATCHES = {"5 to 80 dots": (10, 40, 5, 80), "400 dots": (400, 400, 400, 400)}
FORMS = {"one": {"length_scale": 64.0}, "each": {"neighbour_scale": 1.8}}


def draw(counts: tuple[int, ...]) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    """Return a density, dots that are the denser the farther up, and their keys."""
    g, side = torch.Generator().manual_seed(0), CELLS * STRIDE
    points = [torch.rand(m, 2, generator=g).pow(torch.tensor([1.0, 2.0])) * side for m in counts]
    density = torch.rand(len(counts), 1, CELLS, CELLS, generator=g) * 2 * torch.tensor(counts)[:, None, None, None]
    keys = [torch.arange(m) + 1000 * k for k, m in enumerate(counts)]
    return density / CELLS**2, points, keys


def seconds(
    loss: UOTLoss, density: torch.Tensor, points: list[torch.Tensor], keys: list[torch.Tensor], start: str, turn: int
) -> float:
    """Return the time of one loss with its gradient, s."""
    assert loss.cache is not None, "it remembers potentials"
    if start == "cold":
        loss.cache.potentials.fill_(math.nan)
    g = torch.Generator().manual_seed(turn)
    leaf = (density * (0.95 + 0.1 * torch.rand(density.shape, generator=g))).requires_grad_()
    began = time.perf_counter()
    loss(leaf, points, stride=STRIDE, keys=keys).total.backward()
    return time.perf_counter() - began


def main() -> None:
    """Measure, and write the record."""
    torch.set_num_threads(1)
    losses = {name: create("uot", rho=(1.0, math.inf), **options) for name, options in FORMS.items()}
    rows = []
    for batch, counts in BATCHES.items():
        drawn = draw(counts)
        for start in ("cold", "warm"):
            taken: dict[str, list[float]] = {name: [] for name in FORMS}
            for turn in range(ROUNDS):
                for name, loss in losses.items():
                    assert isinstance(loss, UOTLoss)
                    taken[name].append(seconds(loss, *drawn, start, turn))
            middle = {name: statistics.median(times[1:]) for name, times in taken.items()}
            row = {"batch": batch, "start": start} | {f"{name}_ms": round(1e3 * middle[name], 1) for name in FORMS}
            rows.append(row | {"ratio": round(middle["each"] / middle["one"], 1)})
            print(rows[-1], flush=True)
    record = {"machine": machine(), "torch": torch.__version__, "threads": 1, "forms": FORMS, "rows": rows}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
