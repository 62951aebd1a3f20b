"""How time and memory grow with the problem, what a batch saves, and what the loss takes of a training step."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from benchmarks.transport.measure import clock, peak_memory
from benchmarks.transport.problems import STRIDE, dots, problem
from dotcount import losses, models
from dotcount.config import RunConfig
from dotcount.process import keep_freed_memory
from dotcount.training.module import CountingModule
from dotcount.training.schedule import rate_factor
from dotcount.training.state import RunState
from dotcount.transport import solve, solve_batch

SIZES = ((64, 1000), (128, 4000), (256, 16_000), (256, 20_000))


def scaling(log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return time and memory of cold solves, epsilon scaled with the spacing of the dots."""
    records = []
    for side, m in SIZES:
        given, epsilon = problem("mid", side, m), 0.01 * 64 / side
        options = {"stride": STRIDE, "epsilon": epsilon, "tol": 1e-5}
        # In a process of its own: elsewhere, memory that was freed before would be used again and not be seen.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            memory = pool.apply(_memory, (side, m, options))
        seconds, got = clock(lambda g=given, o=options: solve(g.density, g.points, **o), 3)  # type: ignore[misc]
        record = {
            "n": side * side, "m": m, "epsilon": epsilon, "seconds": seconds, "peak_mb": memory,
            "dense_matrix_mb": side * side * m * 4 / 1e6, "gap": got.gap / max(1.0, abs(got.value)),
            "evaluations": got.n_evaluations, "converged": got.converged,
        }  # fmt: skip
        records.append(record)
        log(f"N={side * side} M={m}: {seconds:.3f} s, {memory:.0f} MB, converged {got.converged}")
    return records


def _memory(side: int, m: int, options: dict[str, Any]) -> float:
    """Return the MB that a solve takes on top of what the libraries and the problem do."""
    given, small = problem("mid", side, m), problem("mid", 16, 50)
    solve(small.density, small.points, **options)
    return peak_memory(lambda: solve(given.density, given.points, **options))


def batches(log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the time of 8 images together and one by one."""
    records = []
    for m in (20, 100, 200):
        given = [problem(("early", "mid", "late")[k % 3], 64, m, seed=k) for k in range(8)]
        density, points = torch.stack([g.density for g in given]), [g.points for g in given]
        together, _ = clock(lambda d=density, p=points: solve_batch(d, p, stride=STRIDE, tol=1e-5), 7)  # type: ignore[misc]
        alone, _ = clock(lambda: [solve(g.density, g.points, stride=STRIDE, tol=1e-5) for g in given], 7)  # noqa: B023
        records.append({"m": m, "together_seconds": together, "one_by_one_seconds": alone, "ratio": together / alone})
        log(f"batch of 8, M={m}: {together * 1e3:.1f} ms together, {alone * 1e3:.1f} ms one by one")
    return records


def training_steps(log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return what the loss takes of a step as ``dotcount train`` does it, with potentials remembered."""
    keep_freed_memory()
    return [_steps("compact", 256, 4, 60, 12, log), _steps("vgg19", 512, 1, 250, 4, log)]


def _steps(name: str, crop: int, batch: int, m: int, steps: int, log: Callable[[str], None]) -> dict[str, Any]:
    g = torch.Generator().manual_seed(0)
    model = models.create(name).to(memory_format=torch.channels_last)
    loss = losses.create("uot", length_scale=float(crop), n_dots=batch * m)
    config = RunConfig()
    module = CountingModule(model, loss, config, RunState())
    optimizer = module.configure_optimizers()
    images = torch.rand(batch, 3, crop, crop, generator=g)
    points = [dots(m, crop, g).float() for _ in range(batch)]
    keys = [torch.arange(m) + k * m for k in range(batch)]
    stride = int(model.stride)  # type: ignore[arg-type]
    if hasattr(model, "initialize_density"):
        model.initialize_density(m * (stride / crop) ** 2)  # type: ignore[operator]
    parts: dict[str, list[float]] = {"forward": [], "loss": [], "backward": [], "optimizer": []}
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = config.optimizer.learning_rate * rate_factor(config.schedule, step, None, 0)
        marks = [time.perf_counter()]
        density = model(images).float()
        marks.append(time.perf_counter())
        out = loss(density, points, stride=stride, keys=keys)
        marks.append(time.perf_counter())
        optimizer.zero_grad()
        out.total.backward()
        marks.append(time.perf_counter())
        module.configure_gradient_clipping(optimizer)
        optimizer.step()
        module.average.update_parameters(model)
        marks.append(time.perf_counter())
        for part, (a, b) in zip(parts, pairwise(marks)):
            parts[part].append(b - a)
    # The first step is cold and warms caches up; it is reported, not averaged.
    middle = {part: sorted(seconds[1:])[(len(seconds) - 1) // 2] for part, seconds in parts.items()}
    share = middle["loss"] / sum(middle.values())
    log(f"{name} crop {crop} batch {batch}: loss {middle['loss'] * 1e3:.1f} ms, {100 * share:.2f} % of a step")
    return {
        "model": name, "crop": crop, "batch": batch, "dots_per_image": m, "stride": stride, "seconds": middle,
        "first_loss_seconds": parts["loss"][0], "loss_share": share,
    }  # fmt: skip
