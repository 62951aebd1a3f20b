"""Synthetic problems of three training phases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

STRIDE = 8.0
PHASES = ("early", "mid", "late")
BLUR = {"mid": 3.0, "late": 0.7}
JITTER = {"mid": 1.0, "late": 0.3}
CONTRAST = {"mid": 0.5, "late": 0.2}
FOUND = {"mid": 0.7, "late": 0.97}
FLOOR = {"mid": 0.15, "late": 0.01}


@dataclass(frozen=True)
class Problem:
    """A density (side, side) and dots (m, 2) px, float32."""

    phase: str
    density: Tensor
    points: Tensor

    def changed(self, seed: int) -> Tensor:
        """Return the density with every cell changed by up to 20 %: what the next epoch might predict."""
        g = torch.Generator().manual_seed(seed)
        return self.density * (0.8 + 0.4 * torch.rand(self.density.shape, generator=g))


def dots(m: int, size: float, g: torch.Generator) -> Tensor:
    """Return m dots: four fifths in clusters of about 60, the rest anywhere."""
    clusters = max(1, m // 60)
    centre = torch.rand(clusters, 2, generator=g, dtype=torch.float64) * size
    spread = (0.02 + 0.08 * torch.rand(clusters, generator=g, dtype=torch.float64)) * size
    of = torch.randint(0, clusters, (m,), generator=g)
    points = centre[of] + torch.randn(m, 2, generator=g, dtype=torch.float64) * spread[of, None]
    anywhere = torch.rand(m, generator=g) < 0.2
    points[anywhere] = torch.rand(int(anywhere.sum()), 2, generator=g, dtype=torch.float64) * size
    return points.clamp(0, size - 1e-3)


def problem(phase: str, side: int, m: int, seed: int = 0) -> Problem:
    """Return a problem on ``side`` x ``side`` cells.

    ``early``: flat with 20 % noise and half the mass. ``mid``: dots moved by a cell, blurred over three, 70 % of the
    mass, a noisy floor. ``late``: sharp peaks near the dots, most other cells exactly empty.
    """
    g = torch.Generator().manual_seed(seed)
    points = dots(m, side * STRIDE, g)
    noise = torch.rand(side, side, generator=g, dtype=torch.float64)
    if phase == "early" or m == 0:
        density = 1.0 + 0.2 * noise
        return Problem(phase, (density * (0.5 * max(m, 1) / density.sum())).float(), points.float())
    blur = BLUR[phase]
    moved = (points + torch.randn(m, 2, generator=g, dtype=torch.float64) * STRIDE * JITTER[phase]) / STRIDE - 0.5
    axis = torch.arange(side, dtype=torch.float64)
    x = torch.exp(-((axis - moved[:, :1]) ** 2) / (2 * blur**2))
    y = torch.exp(-((axis - moved[:, 1:]) ** 2) / (2 * blur**2))
    height = (1 + CONTRAST[phase] * torch.randn(m, 1, generator=g, dtype=torch.float64)).clamp(min=0)
    density = (y * height).T @ x / (2 * math.pi * blur**2) * FOUND[phase] + FLOOR[phase] * noise * m / side**2
    if phase == "late":
        density = torch.where(density < 1e-4, 0.0, density)
    return Problem(phase, density.float(), points.float())
