"""How fast a step and a validation are, measured on copies so that the run itself is not touched."""

from __future__ import annotations

import copy
import time

import torch

from dotcount.inference import density_maps
from dotcount.training.budget import Pace
from dotcount.training.loader import CountingData, to_device
from dotcount.training.module import CountingModule, make_optimizer

SHARE = 0.03
"""Part of the budget that measuring may take, about."""

LEAST, MOST = 5, 20


def measure_pace(module: CountingModule, data: CountingData, budget: float) -> Pace:
    """Return the time of a step and of one validation for a budget in seconds.

    A few steps are taken on a copy of model and loss; a few validation images are predicted and scaled up to all. The
    quickest counts: what makes the others slower (cold caches and solves, other programs) passes.
    """
    device = torch.device(module.config.training.device)
    model, loss = copy.deepcopy(module.model).to(device).train(), copy.deepcopy(module.loss).to(device)
    optimizer = make_optimizer(model, module.config.optimizer)
    seconds: list[float] = []
    started = time.monotonic()
    for batch in data.train_dataloader():
        begun = time.monotonic()
        moved = to_device(batch, device)
        result = loss(
            model(moved.images).float(),
            moved.points,
            stride=module.stride,
            image_size=batch.image_sizes,
            keys=moved.keys,
        )
        optimizer.zero_grad()
        result.total.backward()
        optimizer.step()
        _wait(device)
        seconds.append(time.monotonic() - begun)
        if len(seconds) >= MOST or (len(seconds) >= LEAST and time.monotonic() - started > SHARE * budget):
            break
    images: list[float] = []
    started = time.monotonic()
    model.eval()
    for validated in data.val_dataloader():
        begun = time.monotonic()
        if validated is not None:
            density_maps(model, validated.images.to(device))
            _wait(device)
        images.append(time.monotonic() - begun)
        if len(images) >= MOST or (len(images) >= LEAST and time.monotonic() - started > SHARE * budget / 2):
            break
    return Pace(min(seconds), min(images, default=0.0) * len(data.plan.validation))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
