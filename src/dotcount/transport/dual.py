"""The dual function of a batch, its gradient, its gap and products with its second derivative.

``G(beta) = -sum_i u_i phi*(-alpha_i) - sum_j v_j phi*(-beta_j)``; ``dG/dbeta_j = m_j - gamma_j`` with
``m_j = v_j phi*'(-beta_j)``, ``gamma_j = sum_i q_i p_ij``, ``q_i = u_i phi*'(-alpha_i)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.cells import Cells
from dotcount.transport.neighbours import find_neighbours
from dotcount.transport.pairs import Pairs
from dotcount.transport.problem import Problem

REACH = 30.0
"""Change of ``beta / eps`` up to which stored shares are rescaled instead of recomputed."""


@dataclass(frozen=True)
class Point:
    """Everything known at one beta. Dot quantities are (B, m_max), cell quantities (n_blocks, k), all float64.

    ``factor`` and ``total`` rescale the stored shares: ``p_ij = share_ij factor_j / total_i``.
    """

    beta: Tensor
    alpha: Tensor
    factor: Tensor
    total: Tensor
    q: Tensor
    gamma: Tensor
    m: Tensor
    value: Tensor
    gap: Tensor


class Dual:
    """The dual function at one epsilon on one grid, restricted to neighbouring pairs.

    Parameters
    ----------
    problem
        The batch.
    cells
        Its pixels, possibly pooled.
    epsilon
        Entropic blur, positive; not necessarily the problem's.
    beta
        (B, m_max) potentials for which the neighbours are chosen.
    cutoff
        See :func:`find_neighbours`; in units of epsilon.
    active
        Images that take part; the others have no pairs.
    """

    def __init__(
        self, problem: Problem, cells: Cells, epsilon: float, beta: Tensor, cutoff: float, active: list[bool]
    ) -> None:
        self.problem = problem
        self.cells = cells
        self.epsilon = epsilon
        n_dots = [m if on else 0 for m, on in zip(problem.n_dots, active)]
        self.neighbours = find_neighbours(cells, problem.dots, n_dots, beta, problem.cost, epsilon, cutoff * epsilon)
        self.pairs = Pairs(cells, self.neighbours, problem.dots, problem.cost, problem.dtype)
        self._refer(beta)
        self.search_beta = beta
        self.concentration: Tensor | None = None

    def _refer(self, beta: Tensor) -> None:
        self.reference_beta = beta
        self.reference = self.pairs.refer(beta, self.epsilon)

    def at(self, beta: Tensor) -> Point:
        """Evaluate the dual at ``beta`` (B, m_max)."""
        if float((beta - self.reference_beta).abs().max()) > REACH * self.epsilon:
            self._refer(beta)
        change = torch.exp((beta - self.reference_beta) / self.epsilon)
        factor = torch.cat([change.flatten(), change.new_zeros(1)])
        dtype = self.problem.dtype
        total = self.pairs.rows(factor.to(dtype)).double()
        alpha = -self.reference - self.epsilon * total.log()
        total = torch.where(total > 0, total, 1.0)
        pixel, dot, v = self.problem.pixel_penalty, self.problem.dot_penalty, self.problem.weights
        conjugate, slope = pixel.conjugate_and_slope(-alpha)
        q = self.cells.mass * slope
        gamma = (factor * self.pairs.columns((q / total).to(dtype), torch.float64))[:-1].view_as(beta)
        price, wanted = dot.conjugate_and_slope(-beta)
        m = v * wanted
        value = -self.cells.per_image(self.cells.mass * conjugate) - (v * price).sum(1)
        return Point(beta, alpha, factor, total, q, gamma, m, value, self._gap(gamma, beta))

    def _gap(self, gamma: Tensor, beta: Tensor) -> Tensor:
        """Return (B,) the distance from the value to the primal cost of the plan at this point."""
        v = self.problem.weights
        ratio = gamma / torch.where(self.problem.present, v, torch.ones_like(v))
        return (v * self.problem.dot_penalty.fenchel_young(ratio, -beta)).sum(1)

    def curvature(self, point: Point, dot_curvature: Tensor, near: bool) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return the product with ``-d2G/dbeta2`` at ``point`` and about its diagonal, flat in the pairs' dtype.

        ``diag(dot_curvature) + diag(gamma) / eps - P^T (q / eps - u phi*''(-alpha)) P``. The exact second derivative
        has ``dot_curvature = v phi*''(-beta)`` (B, m_max). Vectors are flat with the dummy's 0 at the end.
        ``near`` says that the shares have changed little since the last call.
        """
        dtype = self.problem.dtype
        bend = self.cells.mass * self.problem.pixel_penalty.curvature(-point.alpha)
        first = (point.q / self.epsilon - bend) / point.total
        second = (first / point.total).to(dtype)
        fixed = torch.zeros_like(point.factor)
        fixed[:-1] = (dot_curvature + point.gamma / self.epsilon).flatten()
        factor = point.factor.to(dtype)
        fixed = fixed.to(dtype)

        def product(x: Tensor) -> Tensor:
            spread = self.pairs.rows(factor * x).mul_(second)
            return torch.addcmul(fixed * x, factor, self.pairs.columns(spread), value=-1.0)

        # How concentrated a dot's mass is, sum_i w p^2 / sum_i w p, changes little: good enough to precondition with.
        spread = torch.cat([point.gamma.flatten() / self.epsilon, point.factor[-1:]]).to(dtype)
        if self.concentration is None or not near:
            shared = factor.square() * self.pairs.columns_squared(second)
            self.concentration = torch.where(spread > 0, shared / spread, 0.0)
        return product, fixed - self.concentration * spread

    def dropped(self, point: Point) -> Tensor:
        """Return (n_blocks, k) bounds on how much too large alpha is for want of the pairs left out."""
        grown = (point.beta - self.search_beta).amax(1)[self.cells.image]
        lost = (self.neighbours.log_dropped + grown / self.epsilon)[:, None] + point.alpha / self.epsilon
        lost = torch.where(self.neighbours.log_dropped[:, None] == -math.inf, torch.full_like(lost, -math.inf), lost)
        return self.epsilon * torch.nn.functional.softplus(lost, threshold=700.0)
