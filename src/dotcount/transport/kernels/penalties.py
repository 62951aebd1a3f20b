"""The penalties' conjugates and gaps; as in :mod:`dotcount.transport.penalties` and ``rescaling``."""

from __future__ import annotations

import math

from dotcount.transport.kernels.arithmetic import exp64
from dotcount.transport.kernels.jit import jit
from dotcount.transport.kernels.layout import EQUALITY, KL, QUADRATIC, TINY


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
    if kind == EQUALITY:
        return 0.0
    return 1.0 / (2.0 * rho) if z > -2.0 * rho else 0.0


@jit()
def fenchel_young(kind: int, rho: float, ratio: float, z: float) -> float:
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


@jit()
def rescaling_strengths(pixel: int, rho: float, epsilon: float, steepest: float) -> tuple[float, float]:
    """Return the factors (a, b); ``steepest`` is the largest ``q_i / u_i``."""
    if pixel == KL:
        return max(rho, epsilon), 0.0
    return epsilon, rho * steepest


@jit()
def rescaling_gap(v: float, gamma: float, a: float, b: float) -> float:
    """Return ``a KL(v | gamma) + b (v - gamma)^2 / gamma``."""
    paid = max(gamma, TINY)
    excess = (paid - v) / v
    entropy = excess - (math.log1p(excess) if abs(excess) < 0.5 else math.log(paid / v))
    return a * v * entropy + b * (v - paid) * (v - paid) / paid
