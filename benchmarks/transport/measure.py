"""Clock, memory and the exact dense formulas that every contestant is judged by."""

from __future__ import annotations

import gc
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
PAGE = 4096


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    import geomloss
    import ot

    return {
        "cpu": next((x.split(":")[1].strip() for x in _lines("/proc/cpuinfo") if x.startswith("model name")), "?"),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pot": ot.__version__,
        "geomloss": geomloss.__version__,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def clock(run: Callable[[], T], repeats: int, before: Callable[[], None] | None = None) -> tuple[float, T]:
    """Return the median seconds of ``repeats`` runs after one that is not counted, and the last result.

    ``before`` is called before each run, outside the time.
    """
    result = run() if repeats > 1 else None
    seconds = []
    for _ in range(repeats):
        if before is not None:
            before()
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2], result  # type: ignore[return-value]


def resident() -> int:
    """Return the bytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def peak_memory(run: Callable[[], object]) -> float:
    """Return how many MB the resident memory rises while ``run`` runs, sampled every millisecond."""
    gc.collect()
    base, top, done = resident(), resident(), threading.Event()

    def watch() -> None:
        nonlocal top
        while not done.wait(0.001):
            top = max(top, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    done.set()
    watcher.join()
    return (top - base) / 1e6


def dense_costs(side: int, points: Tensor, stride: float) -> Tensor:
    """Return the (N, m) Euclidean costs, float64, in units of the image's side."""
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    cells = torch.stack([axis.repeat(side), axis.repeat_interleave(side)], 1)
    return torch.cdist(cells, points.double() / (side * stride))


def judge(u: Tensor, cost: Tensor, epsilon: float, beta: Tensor) -> tuple[float, float, Tensor]:
    """Return value, gap and gradient (N,) at beta for KL and rho = 1, in float64, a few rows at a time."""
    beta = beta.double()
    gamma, value, slopes = torch.zeros_like(beta), 0.0, []
    for mass, c in zip(u.double().split(2048), cost.double().split(2048)):
        score = (beta - c) / epsilon
        log = torch.logsumexp(score, 1)
        sent = mass * torch.exp(epsilon * log)
        gamma += torch.exp(score - log[:, None]).T @ sent
        slopes.append(-torch.expm1(epsilon * log))
        value += float((mass * slopes[-1]).sum())
    m = torch.exp(-beta)
    value -= float(torch.expm1(-beta).sum())
    excess = (m - gamma) / gamma
    return value, float((gamma * (excess - torch.log1p(excess))).sum()), torch.cat(slopes)
