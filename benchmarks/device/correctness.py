"""What a device computes against float64 on the CPU: losses, gradients, certificates, networks, autocast, compile."""

from __future__ import annotations

from typing import Any

import torch

from dotcount import losses, models
from dotcount.transport import solve_batch

SPREAD = 0.1
"""Objects per cell, at most, of the random densities."""


def problem(side: int, dots: tuple[int, ...], stride: int, seed: int = 0) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return random densities (B, 1, side, side) and dots in float64 on the CPU; one image may have none."""
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(len(dots), 1, side, side, generator=generator, dtype=torch.float64) * SPREAD + 1e-3
    points = [torch.rand(m, 2, generator=generator, dtype=torch.float64) * side * stride for m in dots]
    return density, points


def loss(name: str, device: torch.device, side: int, dots: tuple[int, ...]) -> dict[str, float]:
    """Return the relative errors of value and gradient in float32 on the device; solves as exact as float32 allows."""
    density, points = problem(side, dots, 8)
    exact = {
        "uot": {"tol": 1e-9},
        "dm_count": {"tol": 1e-7, "max_iter": 5000},
        "generalized": {"tol": 1e-7, "max_iter": 5000},
    }

    def run(where: torch.device, kind: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        options = (
            exact.get(name, {})
            if kind == torch.float64
            else exact.get(name, {}) | ({"tol": 1e-6} if name == "uot" else {})
        )
        leaf = density.to(where, kind).clone().requires_grad_()
        out = losses.create(name, **options)(leaf, [one.to(where, kind) for one in points], stride=8)
        out.total.backward()
        assert leaf.grad is not None
        return out.per_image.detach().cpu().double(), leaf.grad.cpu().double()

    (value, gradient), (other, found) = run(torch.device("cpu"), torch.float64), run(device, torch.float32)
    return {
        "value": float((value - other).abs().max() / value.abs().max()),
        "gradient": float((gradient - found).norm() / gradient.norm()),
    }


def certificate(device: torch.device, side: int, dots: tuple[int, ...]) -> dict[str, float]:
    """Return gaps of solves on the device and how far their values are from exact ones, which the gaps must cover."""
    density, points = problem(side, dots, 8, seed=1)
    exact = solve_batch(density[:, 0], points, stride=8, tol=1e-11)
    found = solve_batch(
        density[:, 0].to(device, torch.float32), [p.to(device, torch.float32) for p in points], stride=8
    )
    slack = [e.gap + 1e-6 * max(1.0, abs(e.value)) for e in exact]
    broken = sum(not -s <= e.value - f.value <= f.gap + s for e, f, s in zip(exact, found, slack))
    return {
        "largest_gap": max(s.gap for s in found),
        "largest_error": max(abs(e.value - f.value) for e, f in zip(exact, found)),
        "violated": float(broken),
        "unconverged": float(sum(not s.converged for s in found)),
    }


def network(name: str, device: torch.device, size: int) -> dict[str, float]:
    """Return relative errors of densities on the device: float32, channels last, PyTorch's default, bfloat16.

    By default PyTorch rounds what convolutions on a GPU read to ten bits (TensorFloat-32).
    """
    torch.manual_seed(0)
    model = models.create(name).eval()
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        right = model(images)

    def error(found: torch.Tensor) -> float:
        return float((found.float().cpu() - right).norm() / right.norm())

    model.to(device)
    moved = images.to(device)
    errors = {}
    with torch.no_grad():
        with torch.backends.cudnn.flags(allow_tf32=False):
            errors["float32"] = error(model(moved))
            last: Any = model.to(memory_format=torch.channels_last)
            errors["channels_last"] = error(last(moved.contiguous(memory_format=torch.channels_last)))
        errors["default"] = error(model(moved))
        with torch.autocast(device.type, torch.bfloat16):
            errors["bfloat16"] = error(model(moved))
    return errors


def compiled_step(device: torch.device, size: int) -> dict[str, float]:
    """Return how far a compiled training step, with the loss left out of tracing, is from the plain one."""
    torch.manual_seed(0)
    model: Any = models.create("compact", width=8).to(device)
    loss_of = losses.create("uot", warm_start=False)
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(2, 3, size, size, generator=generator).to(device)
    points = [torch.rand(m, 2, generator=generator).mul(size).to(device) for m in (5, 0)]

    def step(network: Any) -> tuple[float, torch.Tensor]:
        model.zero_grad()
        total = loss_of(network(images), points, stride=model.stride).total
        total.backward()
        return float(total.detach()), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    # Without a compiler on the machine, what is traced runs as it is: the path through the loss is the same.
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    (value, gradient), (other, found) = step(model), step(torch.compile(model, backend=backend))
    torch.compiler.reset()
    return {"value": abs(value - other) / abs(value), "gradient": float((gradient - found).norm() / gradient.norm())}


def mixed_step(device: torch.device, size: int) -> dict[str, float]:
    """Return how far a step under bfloat16 autocast with channels last is from one in float32, and in what the loss is.

    The dots are those that the loss sees within autocast, as in a training loop that does not leave it.
    """
    torch.manual_seed(0)
    model: Any = models.create("compact", width=8).to(device)
    model.initialize_density(0.02)
    loss_of = losses.create("uot", warm_start=False)
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(2, 3, size, size, generator=generator).to(device)
    points = [torch.rand(m, 2, generator=generator).mul(size).to(device) for m in (5, 0)]

    def step(mixed: bool) -> tuple[float, torch.Tensor, torch.dtype]:
        model.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            out = loss_of(model(images), points, stride=model.stride)
        out.total.backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        return float(out.total.detach()), torch.cat(gradients), out.total.dtype

    value, gradient, _ = step(False)
    model.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    other, found, kind = step(True)
    return {
        "value": abs(value - other) / abs(value),
        "gradient": float((gradient - found).norm() / gradient.norm()),
        "float32": float(kind == torch.float32),
    }
