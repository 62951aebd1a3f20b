"""Entropic transport between two weighted point sets by Sinkhorn's iteration in the log domain.

For weights a (n,), b (m,), a cost C (n, m), a blur eps and a strength rho (infinite: balanced), it maximises

    D(f, g) = -rho <a, e^{-f/rho} - 1> - rho <b, e^{-g/rho} - 1> - eps <a b, e^{(f + g - C)/eps} - 1>

whose primal is ``<C, P> + rho KL(P 1 | a) + rho KL(P^T 1 | b) + eps KL(P | a b)`` (Chizat et al. 2018; Feydy et al.
2019). This is the solver of the baselines; the project's own loss has its own, in :mod:`dotcount.transport`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_SHRINK = 0.25  # factor between the blurs of successive levels, from the largest cost down to eps
_STEPS_PER_LEVEL = 10
_STEPS_PER_KERNEL = 20
_SAFE = 30.0  # greatest log of a scaling by which a kernel may be reused: e^30 keeps float32 sums exact enough


@torch.no_grad()
def sinkhorn(
    cost: Tensor,
    log_a: Tensor,
    log_b: Tensor,
    *,
    epsilon: float,
    rho: float = math.inf,
    tol: float = 1e-3,
    max_iter: int = 100,
) -> tuple[Tensor, Tensor]:
    """Return potentials f (n,), g (m,); f is the exact maximiser for g.

    The blur is lowered from the largest cost to ``epsilon`` first, which replaces most iterations at ``epsilon``.

    Parameters
    ----------
    cost
        (n, m), any unit; ``epsilon`` and ``rho`` have the same.
    log_a, log_b
        Logarithms of the weights; minus infinity for weight 0, but not for all of a set.
    tol
        Greatest change of ``log`` of the scaling ``e^{g/eps}`` in the last iteration.
    max_iter
        Bound on the iterations at ``epsilon``.
    """
    f, g = torch.zeros_like(log_a), torch.zeros_like(log_b)
    levels = max(0, math.ceil(math.log(max(float(cost.max()), epsilon) / epsilon) / -math.log(_SHRINK)))
    for number in range(levels, -1, -1):
        level = _Level(cost, log_a, log_b, epsilon * _SHRINK**-number, rho)
        f, g = level.run(f, g, tol, _STEPS_PER_LEVEL if number else max_iter)
    return level.best_f(g), g


@dataclass(frozen=True)
class _Level:
    """The problem at one blur."""

    cost: Tensor
    log_a: Tensor
    log_b: Tensor
    blur: float
    rho: float

    @property
    def damping(self) -> float:
        return 1.0 if math.isinf(self.rho) else self.rho / (self.rho + self.blur)

    def best_f(self, g: Tensor) -> Tensor:
        """Return the maximiser over f: ``-eps log sum_j b_j e^{(g_j - C_ij)/eps}``, damped."""
        return -self.damping * self.blur * torch.logsumexp((self.log_b + g / self.blur) - self.cost / self.blur, dim=1)

    def best_g(self, f: Tensor) -> Tensor:
        weight = (self.log_a + f / self.blur)[:, None]
        return self._shifted(f, -self.damping * self.blur * torch.logsumexp(weight - self.cost / self.blur, dim=0))

    def _shifted(self, f: Tensor, g: Tensor) -> Tensor:
        """Return g after the best common shift (f + t, g - t), which is known and is the iteration's slowest mode."""
        if math.isinf(self.rho):
            return g
        mass_a, mass_b = torch.logsumexp(self.log_a - f / self.rho, 0), torch.logsumexp(self.log_b - g / self.rho, 0)
        return g - self.rho / 2 * (mass_a - mass_b)

    def run(self, f: Tensor, g: Tensor, tol: float, steps: int) -> tuple[Tensor, Tensor]:
        """Iterate until g changes by no more than ``tol`` blurs, at most ``steps`` times."""
        while steps > 0:
            f, before = self.best_f(g), g
            g = self.best_g(f)
            steps -= 1
            if float((g - before).abs().max()) <= tol * self.blur:
                break
            f, g, used, finished = self._with_kernel(f, g, tol, min(steps, _STEPS_PER_KERNEL))
            steps -= used
            if finished:
                break
        return f, g

    def _with_kernel(self, f0: Tensor, g0: Tensor, tol: float, steps: int) -> tuple[Tensor, Tensor, int, bool]:
        """Take the same steps as matrix products with ``e^{(f0 + g0 - C)/eps}``, while the scalings stay moderate.

        Returns f, g, the number of steps taken and whether the last changed g by no more than ``tol`` blurs.
        """
        kernel = torch.exp((f0[:, None] + g0 - self.cost) / self.blur)
        a, b, f, g = self.log_a.exp(), self.log_b.exp(), f0, g0
        for step in range(steps):
            new_f = self.damping * (f0 - self.blur * torch.log(kernel @ (b * torch.exp((g - g0) / self.blur))))
            if not bool(((new_f - f0).abs() <= _SAFE * self.blur).all()):
                return f, g, step, False
            new_g = self.damping * (g0 - self.blur * torch.log((a * torch.exp((new_f - f0) / self.blur)) @ kernel))
            new_g = self._shifted(new_f, new_g)
            if not bool(((new_g - g0).abs() <= _SAFE * self.blur).all()):
                return f, g, step, False
            change = float((new_g - g).abs().max())
            f, g = new_f, new_g
            if change <= tol * self.blur:
                return f, g, step + 1, True
        return f, g, steps, False
