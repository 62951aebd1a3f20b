"""What the loss takes of a training step.

It is measured in a process of its own, which asks the system for what ``dotcount train`` asks for before torch is
imported; ``python -m benchmarks.transport.training`` prints the records as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from dotcount.process import keep_freed_memory, let_threads_sleep


def training_steps(log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return what the loss takes of a step as ``dotcount train`` does it, with potentials remembered."""
    run = subprocess.run([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True, check=True)
    records: list[dict[str, Any]] = json.loads(run.stdout)
    for record in records:
        log(
            f"{record['model']} crop {record['crop']} batch {record['batch']}: "
            f"loss {record['seconds']['loss'] * 1e3:.1f} ms, {100 * record['loss_share']:.2f} % of a step"
        )
    return records


def _steps(name: str, crop: int, batch: int, m: int, steps: int) -> dict[str, Any]:
    import time

    import torch

    from benchmarks.transport.problems import dots
    from dotcount import losses, models
    from dotcount.config import RunConfig
    from dotcount.training.module import CountingModule
    from dotcount.training.schedule import rate_factor
    from dotcount.training.state import RunState

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
    return {
        "model": name, "crop": crop, "batch": batch, "dots_per_image": m, "stride": stride, "seconds": middle,
        "first_loss_seconds": parts["loss"][0], "loss_share": share,
    }  # fmt: skip


if __name__ == "__main__":
    let_threads_sleep()
    keep_freed_memory()
    print(json.dumps([_steps("compact", 256, 4, 60, 40), _steps("vgg19", 512, 1, 250, 4)]))
