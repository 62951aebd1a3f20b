"""Measure what keeping freed memory in the process saves: ``python -m benchmarks.allocator``.

A training step (forward, backward, AdamW; channels last) and the density of a large photo, with and without
``dotcount.process.keep_freed_memory``, each in a process of its own, in turn and three times. Writes
benchmarks/results/allocator.json: medians in ms, and the peak of the process in MB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine
from dotcount import models
from dotcount.process import keep_freed_memory

RESULTS = Path(__file__).parent / "results/allocator.json"
ROUNDS, REPEATS = 3, 4


def median_ms(work: Callable[[], object]) -> float:
    """Return the median time of :data:`REPEATS` calls after two that are not counted."""
    times = []
    for _ in range(REPEATS + 2):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1e3 * float(np.median(times[2:]))


def measure(keep: bool) -> dict[str, float]:
    """Return the times of this process."""
    if keep and not keep_freed_memory():
        raise SystemExit("this system's allocator can't be told; there is nothing to measure")
    torch.manual_seed(0)
    found = {}
    for name in ("lite0", "compact"):
        model = models.create(name).to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        crops = torch.rand(8, 3, 256, 256).to(memory_format=torch.channels_last)

        def step(model: Any = model, optimizer: Any = optimizer, crops: Any = crops) -> None:
            optimizer.zero_grad()
            (model(crops).sum() - 80).square().backward()
            optimizer.step()

        found[f"{name}, step, 8 x 256 px"] = median_ms(step)
        photo = torch.rand(1, 3, 768, 1024).to(memory_format=torch.channels_last)
        model.eval()
        with torch.inference_mode():
            found[f"{name}, photo, 1024 x 768 px"] = median_ms(lambda model=model, photo=photo: model(photo))
    return found | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    """Run the processes in turn and write the medians over them."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1] == "keep")))
        return
    runs: dict[str, list[dict[str, float]]] = {"default": [], "keep": []}
    for _ in range(ROUNDS):
        for name, found in runs.items():
            words = [sys.executable, "-m", "benchmarks.allocator", name]
            found.append(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    table = {
        key: {name: round(float(np.median([run[key] for run in found])), 1) for name, found in runs.items()}
        for key in runs["default"][0]
    }
    for key, row in table.items():
        print(f"{key:32s} {row['default']:8.1f} {row['keep']:8.1f}  {row['keep'] / row['default']:.2f}")
    facts = {"machine": machine(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    RESULTS.write_text(json.dumps(facts | {"median": table}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
