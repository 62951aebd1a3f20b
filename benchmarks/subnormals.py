"""Measure what subnormal numbers cost in a training step: ``python -m benchmarks.subnormals``.

A network that has learned where nothing is gives raw densities far below zero there. Softplus of -95 has a slope of
5e-42, and the gradient of the map carries such numbers into every convolution on the way back. Timed are the passes of
``lite0`` on four crops of 256 px whose raw density is lowered by 95 in four fifths of the cells, with plain softplus
and with the package's, which ends at -50; in turn, one thread. Writes benchmarks/results/subnormals.json: medians, ms.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.machine import machine
from dotcount import models

RESULTS = Path(__file__).parent / "results/subnormals.json"
ROUNDS = 12


def main() -> None:
    """Time both and write the result."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = models.create("lite0").to(memory_format=torch.channels_last).train()
    assert isinstance(model, models.DensityNetwork)
    crops = torch.rand(4, 3, 256, 256).to(memory_format=torch.channels_last)
    lowered = 95.0 * (torch.rand(4, 1, 64, 64) < 0.8)
    scale = model.output.scale
    outputs: dict[str, Callable[[Tensor], Tensor]] = {"plain": lambda x: scale * F.softplus(x), "ended": model.output}
    forward: dict[str, list[float]] = {name: [] for name in outputs}
    backward: dict[str, list[float]] = {name: [] for name in outputs}
    for _ in range(ROUNDS):
        for name, output in outputs.items():
            model.zero_grad()
            began = time.perf_counter()
            loss = output(model.regress(crops - 0.5) - lowered).sum()
            middle = time.perf_counter()
            loss.backward()
            forward[name].append(1e3 * (middle - began))
            backward[name].append(1e3 * (time.perf_counter() - middle))
    found = {
        name: {
            "forward_ms": round(float(np.median(forward[name][2:])), 1),
            "backward_ms": round(float(np.median(b[2:])), 1),
        }
        for name, b in backward.items()
    }
    ratio = found["plain"]["backward_ms"] / found["ended"]["backward_ms"]
    record = {"machine": machine(), "torch": torch.__version__, "rounds": ROUNDS - 2, **found, "ratio": round(ratio, 2)}
    RESULTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(RESULTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
