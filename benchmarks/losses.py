"""Time every loss, hold the later ones against their definitions, and rewrite what docs/reference/losses.md says.

    python -m benchmarks.losses

One forward and backward pass on one CPU thread in float32, with default options, on random densities of 64 x 64 cells
of 8 px: an image with 400 dots and one without any. CPU time of the thread, the least of five rounds over all losses
after one that warms up; no pass knows the solution of another. The last column is over the time of ``gaussian_l2``.

The losses published after the paper are computed a second time, in float64, one cell, dot, frequency and block at a
time (``tests/losses/definitions.py``); the largest relative difference is recorded.
"""

from __future__ import annotations

import json
import platform
import re
import time
from pathlib import Path

import torch

from dotcount.losses import LOSSES, create
from tests.losses.definitions import CASES, problem
from tests.losses.definitions import STRIDE as CELL

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/losses.json"
PAGE = ROOT / "docs/reference/losses.md"
CELLS, STRIDE, DOTS, PASSES = 64, 8, 400, 5
BASELINE = "gaussian_l2"


def main() -> None:
    """Measure, and write the record and the table."""
    torch.set_num_threads(1)
    rounds = [{name: measure(name) for name in LOSSES} for _ in range(PASSES + 1)]
    seconds = {name: float(f"{min(one[name] for one in rounds[1:]):.2g}") for name in LOSSES}
    machine = {"cpu": platform.processor() or platform.machine(), "torch": torch.__version__, "threads": 1}
    setting = {"cells": CELLS, "stride_px": STRIDE, "dots": [DOTS, 0]}
    for name, taken in sorted(seconds.items(), key=lambda one: one[1]):
        print(f"{name}: {taken:g} s, {times(taken / seconds[BASELINE])} times {BASELINE}")
    found = differences()
    for name, difference in found.items():
        print(f"{name}: differs from its definition by {difference:.1e} at most")
    record = {"machine": machine, "setting": setting, "seconds": seconds, "difference_from_definition": found}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        row = re.match(r"(\| `(\w+)` \|.*\|) [\d.]+ s \| [\d.e+]+ \|$", line)
        if row and row[2] in seconds:
            lines[place] = f"{row[1]} {seconds[row[2]]:.2g} s | {times(seconds[row[2]] / seconds[BASELINE])} |"
    text = re.sub(r"(definitions\s+by\s+)[\d.e+-]+", rf"\g<1>{max(found.values()):.0e}", "\n".join(lines))
    PAGE.write_text(text + "\n", encoding="utf-8")


def differences() -> dict[str, float]:
    """Return the largest relative difference of each later loss from its definition."""
    found: dict[str, float] = {}
    for name, definition, options in CASES:
        for m in (0, 1, 5, 60):
            density, points = problem(name, options, m)
            got = create(name, **options)(density, [points], stride=CELL).total.item()
            right = definition(density, points, **options)
            found[name] = max(found.get(name, 0.0), float(abs(got - right) / max(1.0, abs(right))))
    return found


def times(ratio: float) -> str:
    """Return a ratio to two digits."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def measure(name: str) -> float:
    """Return the CPU time of a pass, s."""
    generator = torch.Generator().manual_seed(0)
    points = [torch.rand(m, 2, generator=generator) * CELLS * STRIDE for m in (DOTS, 0)]
    density = torch.rand(2, 1, CELLS, CELLS, generator=generator) * 2 * DOTS / CELLS**2
    loss = create(name)
    leaf = density.clone().requires_grad_()
    started = time.process_time()
    loss(leaf, points, stride=STRIDE).total.backward()
    return time.process_time() - started


if __name__ == "__main__":
    main()
