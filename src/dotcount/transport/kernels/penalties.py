"""The penalties' conjugates; as in :mod:`dotcount.transport.penalties`."""

from __future__ import annotations

import math

from dotcount.transport.kernels.arithmetic import exp64
from dotcount.transport.kernels.jit import jit
from dotcount.transport.kernels.layout import KL, QUADRATIC


@jit()
def quadratic_conjugate(rho: float, z: float) -> tuple[float, float]:
    """Return ``rho phi*(z / rho)`` of the quadratic penalty and its slope."""
    if z < -2.0 * rho:
        return -rho, 0.0
    return z * z / (4.0 * rho) + z, 1.0 + z / (2.0 * rho)


@jit()
def conjugate_curvature(kind: int, rho: float, z: float) -> float:
    """Return the second derivative of ``rho phi*(z / rho)``."""
    if kind == KL:
        return exp64(min(max(z / rho, -700.0), 709.0)) / rho
    return 1.0 / (2.0 * rho) if z > -2.0 * rho else 0.0


@jit()
def unpaid(kind: int, rho: float, ratio: float, z: float) -> float:
    """Return ``rho phi(ratio) + rho phi*(z / rho) - z ratio``; as the penalties' ``fenchel_young``."""
    if kind == QUADRATIC:
        if z < -2.0 * rho:
            return ratio * (rho * ratio - 2.0 * rho - z)
        return rho * (ratio - 1.0 - z / (2.0 * rho)) ** 2
    target = math.exp(z / rho)
    if ratio <= 0.0:
        return rho * target
    excess = (target - ratio) / ratio
    if abs(excess) < 0.5:
        return rho * max(ratio * (excess - math.log1p(excess)), 0.0)
    return rho * max(target - ratio + ratio * (math.log(ratio) - z / rho), 0.0)
