"""The solver against L-BFGS on the dense matrix, the loss's share of a training step, and images a second."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.device.correctness import problem
from benchmarks.device.record import seconds
from dotcount import load, losses, models
from dotcount.metadata import ModelMetadata
from dotcount.models import io as model_io
from dotcount.transport import solve_batch
from dotcount.transport.compiled import SWITCH
from dotcount.transport.gpu.driver import SWITCH as KERNELS


@contextlib.contextmanager
def _off(switch: str) -> Iterator[None]:
    before = os.environ.get(switch)
    os.environ[switch] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[switch]
        else:
            os.environ[switch] = before


def tensors() -> contextlib.AbstractContextManager[None]:
    """Have the solver use tensor operations also on a CPU, as it does where there are no compiled loops."""
    return _off(SWITCH)


def without_kernels() -> contextlib.AbstractContextManager[None]:
    """Have the solver use tensor operations on a GPU as well."""
    return _off(KERNELS)


def solver(device: torch.device, side: int, dots: int, batch: int, repeats: int) -> dict[str, float]:
    """Return seconds of cold solves of a batch: ours on the device and on the CPU, and dense L-BFGS on the device.

    ``ours_tensors`` is that of ours on the device without kernels.
    """
    density, points = problem(side, (dots,) * batch, 8)
    here = density[:, 0].to(device, torch.float32)
    xy = [one.to(device, torch.float32) for one in points]
    cpu = density[:, 0].float(), [one.float() for one in points]
    with tensors():
        ours = seconds(lambda: solve_batch(here, xy, stride=8), device, repeats)
        gap = max(s.gap / max(1.0, abs(s.value)) for s in solve_batch(here, xy, stride=8))
        with without_kernels():
            plain = seconds(lambda: solve_batch(here, xy, stride=8), device, repeats)
    route = seconds(lambda: solve_batch(*cpu, stride=8), torch.device("cpu"), repeats)
    result = {"ours": ours, "gap": gap, "ours_tensors": plain, "ours_cpu": route}
    if here[0].numel() * dots * batch * 4 <= 8e9:
        dense_lbfgs(here[:1, :8, :8], torch.stack(xy)[:1, :3], 0.1)  # warms up
        started = time.perf_counter()
        reached, evaluations = dense_lbfgs(here, torch.stack(xy), gap)
        taken = time.perf_counter() - started
        result |= {"dense_lbfgs": round(taken, 4), "dense_gap": reached, "dense_evaluations": evaluations}
        result["ratio"] = round(taken / ours, 2)
    return result


def dense_lbfgs(density: torch.Tensor, points: torch.Tensor, goal: float) -> tuple[float, int]:
    """Maximise the dual over the dense costs of a batch by L-BFGS until the relative gap of each image is ``goal``.

    KL, rho 1, epsilon 0.01, as the defaults of a solve. Returns the largest relative gap and the evaluations.
    """
    batch, rows, columns = density.shape
    axes = [(torch.arange(n, device=density.device) + 0.5) / max(rows, columns) for n in (rows, columns)]
    centres = torch.stack(torch.meshgrid(axes[1], axes[0], indexing="xy"), dim=-1).reshape(-1, 2)
    cost = torch.cdist(centres.expand(batch, -1, -1), points / (8 * max(rows, columns)))
    mass, epsilon = density.reshape(batch, -1), 0.01
    beta = torch.zeros(batch, points.shape[1], device=density.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([beta], max_iter=20, line_search_fn="strong_wolfe", history_size=10)
    evaluations = 0

    def closure() -> torch.Tensor:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        alpha = -epsilon * torch.logsumexp((beta[:, None] - cost) / epsilon, 2)
        loss = (mass * torch.expm1(-alpha)).sum() + torch.expm1(-beta).sum()
        loss.backward()
        return loss

    reached = float("inf")
    for _ in range(60):
        optimizer.step(closure)  # type: ignore[arg-type]
        reached = float(relative_gap(mass, cost, epsilon, beta.detach()).max())
        if reached <= goal:
            break
    return reached, evaluations


def relative_gap(mass: torch.Tensor, cost: torch.Tensor, epsilon: float, beta: torch.Tensor) -> torch.Tensor:
    """Return (B,) the duality gap over the value, or over 1 for small ones."""
    score = (beta[:, None] - cost) / epsilon
    log = torch.logsumexp(score, 2)
    sent = mass * torch.exp(epsilon * log)
    gamma = (torch.exp(score - log[:, :, None]) * sent[:, :, None]).sum(1).double()
    wanted = torch.exp(-beta.double())
    value = (mass * -torch.expm1(epsilon * log)).sum(1).double() - torch.expm1(-beta.double()).sum(1)
    excess = (wanted - gamma) / gamma
    return (gamma * (excess - torch.log1p(excess))).sum(1) / value.abs().clamp(min=1.0)


def step(name: str, device: torch.device, batch: int, crop: int, dots: int, repeats: int) -> dict[str, float]:
    """Return seconds of a training step, of its loss, and its share: plain, and by autocast with channels last."""
    torch.manual_seed(0)
    model: Any = models.create(name).to(device).train()
    loss_of = losses.create("uot", warm_start=False)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, crop, crop, generator=generator).to(device)
    points = [torch.rand(dots, 2, generator=generator).mul(crop).to(device) for _ in range(batch)]
    result = timed_step(model, loss_of, images, points, device, repeats, autocast=False)
    if device.type != "cpu":  # there bfloat16 is far slower than float32, and nobody trains so
        model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
        result |= timed_step(model, loss_of, images, points, device, repeats, autocast=True)
    return result


def timed_step(
    model: Any,
    loss_of: torch.nn.Module,
    images: torch.Tensor,
    points: list[torch.Tensor],
    device: torch.device,
    repeats: int,
    autocast: bool,
) -> dict[str, float]:
    """Time a step of :func:`step`."""

    def density() -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            found: torch.Tensor = model(images)
        return found.float()

    def whole() -> None:
        model.zero_grad(set_to_none=True)
        loss_of(density(), points, stride=model.stride).total.backward()

    leaf = density().detach().requires_grad_()
    loss_alone = seconds(lambda: loss_of(leaf, points, stride=model.stride).total.backward(), device, repeats)
    taken = seconds(whole, device, repeats)
    kind = "bfloat16" if autocast else "float32"
    return {f"{kind}_step": taken, f"{kind}_loss": loss_alone, f"{kind}_share": round(loss_alone / taken, 4)}


def predict(name: str, device: torch.device, width: int, height: int, repeats: int) -> dict[str, float]:
    """Return images a second of :meth:`dotcount.Predictor.predict` on arrays in memory."""
    torch.manual_seed(0)
    model: Any = models.create(name)
    with tempfile.TemporaryDirectory() as folder:
        model_io.save(model, Path(folder) / "model", ModelMetadata(name, int(model.stride)))
        predictor = load(Path(folder) / "model", device=str(device))
        pixels = (torch.rand(height, width, 3, generator=torch.Generator().manual_seed(0)) * 255).byte().numpy()
        taken = seconds(lambda: predictor.predict(pixels), device, repeats)
    return {"seconds": taken, "images_per_second": round(1 / taken, 3), "width": width, "height": height}
