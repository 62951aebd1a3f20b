r"""What it costs to pay every dot exactly, for an infinite strength on the dots: a plan that is off is rescaled.

At any beta, let :math:`\pi'_{ij} = \pi_{ij} v_j / \gamma_j`, with row sums q'. Its columns are v, and its cost exceeds
the dual value by

.. math:: \sum_i u_i [\varphi(q'_i / u_i) + \varphi^*(-\alpha_i) + \alpha_i q'_i / u_i]
          + \epsilon [KL(v | \gamma) - KL(q' | q)].

For the penalty ``kl`` the first sum is :math:`\rho KL(q' | q)`. As :math:`KL(q' | q) \le KL(v | \gamma)` (data
processing), all is at most :math:`\max(\rho, \epsilon) KL(v | \gamma)`. For ``quadratic`` the first sum is
:math:`\rho \sum_i (q'_i - q_i)^2 / u_i`, by Jensen's inequality at most :math:`\rho \max_i (q_i / u_i) \sum_j (v_j -
\gamma_j)^2 / \gamma_j`. Either bound is ``a KL(v | gamma) + b sum (v - gamma)^2 / gamma``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dotcount.transport.penalties import KL, Penalty

TINY = 1e-300
"""Masses below this count as this where they are divided by; there is no bound on the cost where a dot gets less."""


def relative_entropy(mass: Tensor, reference: Tensor) -> Tensor:
    """Return ``KL(mass | reference)``, without cancellation where they agree, elementwise; both positive."""
    excess = (reference - mass) / mass
    close = excess - torch.log1p(excess.clamp(min=-0.5))
    far = excess - torch.log(reference / mass)
    return mass * torch.where(excess.abs() < 0.5, close, far)


def strengths(pixel: Penalty, epsilon: float, steepest: Tensor) -> tuple[float, Tensor]:
    """Return the factors (a, b (B,)); ``steepest`` (B,) is the largest ``q_i / u_i``."""
    if isinstance(pixel, KL):
        return max(pixel.rho, epsilon), torch.zeros_like(steepest)
    return epsilon, pixel.rho * steepest


def gap(v: Tensor, gamma: Tensor, factors: tuple[float, Tensor]) -> Tensor:
    """Return (B,) the bound on the cost above the dual value, for masses (B, m_max); dots without mass have no part."""
    a, b = factors
    present, v, paid = v > 0, torch.where(v > 0, v, 1.0), gamma.clamp(min=TINY)
    bound = a * relative_entropy(v, paid) + b[:, None] * (v - paid).square() / paid
    return torch.where(present, bound, 0.0).sum(1)


def gap_slope(v: Tensor, gamma: Tensor, factors: tuple[float, Tensor]) -> Tensor:
    """Return ``gamma |d gap / d gamma|`` (B, m_max)."""
    a, b = factors
    paid, off = gamma.clamp(min=TINY), gamma - v
    return torch.where(v > 0, (a * off + b[:, None] * (2.0 * off - off.square() / paid)).abs(), 0.0)
