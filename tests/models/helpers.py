"""Shared by the tests of the shipped models."""

from __future__ import annotations

import torch

from dotcount.models import DensityNetwork


def measured_reach(model: DensityNetwork, axis: int = -1) -> int:
    """Return how far beyond its own border, in px, a central cell's density depends on the image (by its gradient)."""
    assert model.receptive_radius is not None
    multiple = model.size_multiple
    side = 2 * (-(-model.receptive_radius // multiple) + 1) * multiple
    shape = [1, 3, multiple, multiple]
    shape[axis] = side
    images = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    cell = side // 2 // model.stride
    density = model.double()(images).select(axis, cell).sum()
    (gradient,) = torch.autograd.grad(density, images)
    seen = gradient.abs().sum(dim=[d for d in range(4) if d != axis % 4]).nonzero().flatten()
    return max(cell * model.stride - int(seen.min()), int(seen.max()) + 1 - (cell + 1) * model.stride)


def parameter_count(model: torch.nn.Module) -> int:
    """Return the number of trained values."""
    return sum(p.numel() for p in model.parameters())
