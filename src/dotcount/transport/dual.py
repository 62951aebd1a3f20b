"""The dual function of a batch, its gradient, its gap and products with its second derivative.

``G(beta) = -sum_i u_i phi*(-alpha_i) - sum_j v_j phi*(-beta_j)``; ``dG/dbeta_j = m_j - gamma_j`` with
``m_j = v_j phi*'(-beta_j)``, ``gamma_j = sum_i q_i p_ij``, ``q_i = u_i phi*'(-alpha_i)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.cells import Cells
from dotcount.transport.neighbours import find_neighbours
from dotcount.transport.pairs import Pairs
from dotcount.transport.problem import Problem


@dataclass(frozen=True)
class Account:
    """What a certificate takes from the cells, for every image, (B,) float64.

    ``dropped`` bounds how much too high the value is for want of the pairs left out, ``shift`` how much too large
    alpha is in any cell, ``spilled`` the mass that those pairs would get; ``pixels`` is the price of the change of the
    pixels' mass, ``transport`` the plan's cost ``<c, pi>``.
    """

    dropped: Tensor
    shift: Tensor
    spilled: Tensor
    pixels: Tensor
    transport: Tensor


@dataclass(frozen=True)
class Point:
    """Everything known at one beta. Dot quantities are (B, m_max), cell quantities (n_blocks, k), all float64.

    ``factor`` and ``total`` rescale the stored shares: ``p_ij = share_ij factor_j / total_i``. ``factor`` is flat
    with a place for the dummy at the end, and so is ``received``, gamma without its factor.
    """

    beta: Tensor
    alpha: Tensor
    factor: Tensor
    total: Tensor
    q: Tensor
    received: Tensor
    gamma: Tensor
    m: Tensor
    value: Tensor
    gap: Tensor


FEW_PAIRS = 20_000
"""Up to this many (block, dot) pairs of an image on average, choosing neighbours costs more than it saves."""


class Dual(ABC):
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
        See :func:`find_neighbours`; in units of epsilon. Where pairs are few, all are kept at hand.
    active
        (B,) bool: images that take part; the others have no pairs.
    """

    def __init__(
        self, problem: Problem, cells: Cells, epsilon: float, beta: Tensor, cutoff: float, active: Tensor
    ) -> None:
        self.problem = problem
        self.cells = cells
        self.epsilon = epsilon
        self.cutoff = cutoff
        self.search_beta = beta
        self.whole = math.isinf(cutoff) or len(cells.mass) * beta.shape[1] <= FEW_PAIRS * len(beta)
        n_dots = [m if on else 0 for m, on in zip(problem.n_dots, active.tolist())]
        self._prepare(n_dots, beta, math.inf if self.whole else cutoff)

    @abstractmethod
    def _prepare(self, n_dots: list[int], beta: Tensor, cutoff: float) -> None:
        """Choose the pairs."""

    def renew(self, problem: Problem, cells: Cells) -> None:
        """Take another density on the same grid; dots, weights and pairs stay."""
        self.problem, self.cells = problem, cells

    @abstractmethod
    def at(self, beta: Tensor) -> Point:
        """Evaluate the dual at ``beta`` (B, m_max)."""

    @abstractmethod
    def account(self, point: Point) -> Account:
        """Return what the certificate needs to know about the cells."""

    @abstractmethod
    def hard_minimum(self, beta: Tensor) -> Tensor:
        """Return ``min_j (c_ij - beta_j)`` over the neighbours (n_blocks, k), float64; ``inf`` where there is none."""

    @property
    def span(self) -> float:
        """By how much potentials may move apart until other pairs than the chosen ones may matter."""
        return math.inf if self.whole else 0.75 * self.cutoff * self.epsilon


class TensorDual(Dual):
    """:class:`Dual` on tensor operations, on any device."""

    reach = 30.0
    """Change of ``beta / eps`` up to which stored shares are rescaled instead of recomputed."""

    def _prepare(self, n_dots: list[int], beta: Tensor, cutoff: float) -> None:
        problem, cells = self.problem, self.cells
        neighbours = find_neighbours(
            cells, problem.dots, n_dots, beta, problem.cost, self.epsilon, cutoff * self.epsilon
        )
        self.log_dropped = neighbours.log_dropped
        self.pairs = Pairs(cells, neighbours, problem.dots, problem.cost, problem.dtype)
        self._refer(beta)
        self.concentration: Tensor | None = None

    def _refer(self, beta: Tensor) -> None:
        """Compute the shares that later ones are scaled from."""
        self.reference_beta = beta
        self.reference = self.pairs.refer(beta, self.epsilon)

    def at(self, beta: Tensor) -> Point:
        """See :meth:`Dual.at`."""
        change = (beta - self.reference_beta).div_(self.epsilon)
        if float(change.abs().max()) > self.reach:
            self._refer(beta)
            change = torch.zeros_like(beta)
        factor = torch.cat([change.exp_().flatten(), change.new_zeros(1)])
        dtype = self.problem.dtype
        total = self.pairs.rows(factor.to(dtype)).double()
        alpha = -self.reference - self.epsilon * total.log()
        total = torch.where(total > 0, total, 1.0)
        price, slope = self.problem.pixel_penalty.conjugate_and_slope(-alpha)
        q = self.cells.mass * slope
        received = self.pairs.columns((q / total).to(dtype), torch.float64)
        conjugate = self.cells.per_image(self.cells.mass * price)
        dot, v = self.problem.dot_penalty, self.problem.weights
        gamma = (factor * received)[:-1].view_as(beta)
        price, wanted = dot.conjugate_and_slope(-beta)
        value = -conjugate - (v * price).sum(1)
        return Point(beta, alpha, factor, total, q, received, gamma, v * wanted, value, self._gap(gamma, beta))

    def _gap(self, gamma: Tensor, beta: Tensor) -> Tensor:
        """Return (B,) the distance from the value to the primal cost of the plan at this point."""
        v = self.problem.weights
        ratio = gamma / torch.where(self.problem.present, v, torch.ones_like(v))
        return (v * self.problem.dot_penalty.fenchel_young(ratio, -beta)).sum(1)

    def newton_step(
        self, point: Point, bend: Tensor, right: Tensor, near: bool, relative: Tensor, steps: int
    ) -> Tensor:
        """Solve ``(diag(bend + gamma / eps) - P^T (q / eps - u phi*''(-alpha)) P) x = right``, about ``-d2G/dbeta2``.

        Parameters
        ----------
        point
            Where.
        bend
            (B, m_max) curvature of the dots' term; ``v phi*''(-beta)`` makes the matrix the exact second derivative.
        right
            (B, m_max), of a size that float32 can hold; rows of zeros give zeros.
        near
            Whether the shares have changed little since the last call.
        relative
            (B,) factors by which the preconditioned residual has to fall.
        steps
            Bound on the steps of conjugate gradients.
        """
        dtype = self.problem.dtype
        curved = self.cells.mass * self.problem.pixel_penalty.curvature(-point.alpha)
        second = ((point.q / self.epsilon - curved) / point.total / point.total).to(dtype)
        factor = point.factor.to(dtype)
        end = factor.new_zeros(1)
        spread = torch.cat([(point.gamma.flatten() / self.epsilon).to(dtype), end])
        fixed = torch.cat([bend.flatten().to(dtype), end]) + spread

        def product(x: Tensor) -> Tensor:
            passed = self.pairs.rows(factor * x).mul_(second)
            return torch.addcmul(fixed * x, factor, self.pairs.columns(passed), value=-1.0)

        # How concentrated a dot's mass is, sum_i w p^2 / sum_i w p, changes little: good enough to precondition with.
        if self.concentration is None or not near:
            shared = factor.square() * self.pairs.columns_squared(second)
            self.concentration = torch.where(spread > 0, shared / spread, 0.0)
        diagonal = torch.maximum(fixed - self.concentration * spread, 1e-7 * fixed)
        diagonal = torch.where(diagonal > 0, diagonal, 1.0)
        flat = torch.cat([right.flatten().to(dtype), end])
        step = conjugate_gradient(product, flat, diagonal, relative.to(dtype), steps)
        return step[:-1].view_as(right).double()

    def hard_minimum(self, beta: Tensor) -> Tensor:
        """See :meth:`Dual.hard_minimum`."""
        return self.pairs.hard_minimum(beta)

    def account(self, point: Point) -> Account:
        """See :meth:`Dual.account`."""
        cells, mass, pixel = self.cells, self.cells.mass, self.problem.pixel_penalty
        grown = (point.beta - self.search_beta).amax(1)[cells.image]
        left_out = (self.log_dropped + grown / self.epsilon)[:, None]
        reached = torch.isfinite(point.alpha)
        log = torch.where(reached & (left_out > -math.inf), left_out + point.alpha / self.epsilon, -math.inf)
        off = self.epsilon * torch.nn.functional.softplus(log, threshold=700.0)
        lost = torch.where(reached, mass * (pixel.conjugate(off - point.alpha) - pixel.conjugate(-point.alpha)), 0.0)
        ratio = torch.where(mass > 0, point.q / torch.where(mass > 0, mass, 1.0), 0.0)
        shift = torch.zeros_like(point.value).scatter_reduce_(0, cells.image, off.amax(1), "amax")
        spilled = torch.where(point.q > 0, point.q * log.exp(), 0.0)
        sums = (cells.per_image(part) for part in (lost, spilled, mass * pixel.primal(ratio)))
        dropped, spilled, pixels = sums
        paid = self.pairs.columns_of_cost((point.q / point.total).to(self.problem.dtype), point.factor)
        transport = torch.zeros_like(point.value).index_add_(0, cells.image, paid)
        return Account(dropped, shift, spilled, pixels, transport)


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], right: Tensor, diagonal: Tensor, relative: Tensor, steps: int
) -> Tensor:
    """Solve ``A x = right`` for each image, preconditioned with the diagonal; images of zeros stay zero.

    Parameters
    ----------
    product
        Symmetric positive definite product on flat vectors, block-diagonal in the images.
    right, diagonal
        (rows * m + 1,), the last element of ``right`` 0.
    relative
        (B,): stop when every image's preconditioned residual norm has fallen by its factor.
    steps
        Stop after this many products.
    """

    def dot(a: Tensor, b: Tensor) -> Tensor:
        if rows == 1:
            return torch.dot(a, b)[None]
        return torch.linalg.vecdot(a[:-1].view(rows, -1), b[:-1].view(rows, -1))

    def spread(scalars: Tensor) -> Tensor:
        return scalars if rows == 1 else torch.cat([scalars.repeat_interleave(width), scalars.new_zeros(1)])

    rows = len(relative)
    width = (len(right) - 1) // rows
    tiny = torch.finfo(right.dtype).tiny
    inverse = 1.0 / diagonal
    x = torch.zeros_like(right)
    residual = right.clone()
    z = residual * inverse
    direction = z
    rho = dot(residual, z)
    target = relative * relative * rho
    for _ in range(steps):
        image = product(direction)
        length = spread(rho / dot(direction, image).clamp_(min=tiny))
        x.addcmul_(direction, length)
        residual.addcmul_(image, length, value=-1.0)
        z = residual * inverse
        new = dot(residual, z)
        if bool((new <= target).all()):
            break
        direction = torch.addcmul(z, direction, spread(new / rho.clamp(min=tiny)))
        rho = new
    return x
