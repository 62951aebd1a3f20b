"""The dual function of a batch, its gradient, its gap and products with its second derivative.

``G(beta) = -sum_i u_i phi*(-alpha_i) - sum_j v_j phi*(-beta_j)``; ``dG/dbeta_j = m_j - gamma_j`` with
``m_j = v_j phi*'(-beta_j)``, ``gamma_j = sum_i q_i p_ij``, ``q_i = u_i phi*'(-alpha_i)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dotcount.transport import rescaling
from dotcount.transport.cells import CellBlocks
from dotcount.transport.neighbours import find_neighbours
from dotcount.transport.pairs import TensorPlans
from dotcount.transport.penalties import KL, Equality
from dotcount.transport.problem import LARGEST, LOWEST, TransportProblem
from dotcount.transport.rounding import UNIT64, Scales, Sizes, excess, largest_error
from dotcount.transport.systems import Systems


@dataclass(frozen=True)
class Account:
    """What a certificate takes from the cells, for every image, (B,) float64.

    ``dropped`` bounds how much too high the value is for want of the pairs left out, ``shift`` how much too large
    alpha is in any cell, ``spilled`` the mass that those pairs would get; ``pixels`` is the price of the change of the
    pixels' mass, ``transport`` the plan's cost ``<c, pi>``; ``below`` and ``above`` are the two numbers of
    :func:`dotcount.transport.rounding.excess`.
    """

    dropped: Tensor
    shift: Tensor
    spilled: Tensor
    pixels: Tensor
    transport: Tensor
    below: Tensor
    above: Tensor


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
        self, problem: TransportProblem, cells: CellBlocks, epsilon: float, beta: Tensor, cutoff: float, active: Tensor
    ) -> None:
        self.problem = problem
        self.cells = cells
        self.epsilon = epsilon
        self.cutoff = cutoff
        self.search_beta = beta
        self.whole = math.isinf(cutoff) or len(cells.mass) * beta.shape[1] <= FEW_PAIRS * len(beta)
        self._prepare(active, beta, math.inf if self.whole else cutoff)

    @abstractmethod
    def _prepare(self, active: Tensor, beta: Tensor, cutoff: float) -> None:
        """Choose the pairs of images that are active (B,)."""

    def _dots_of(self, active: Tensor) -> list[int]:
        """Return the number of dots of each image, 0 for those that take no part."""
        return [m if on else 0 for m, on in zip(self.problem.n_dots, active.tolist())]

    def renew(self, problem: TransportProblem, cells: CellBlocks) -> None:
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

    def _excess(self, image: int, sizes: Sizes, dot_rho: float) -> tuple[float, float]:
        """Return :func:`dotcount.transport.rounding.excess` of an image; ``dot_rho`` as in :class:`Scales`."""
        problem, roundoff = self.problem, 0.5 * torch.finfo(self.problem.dtype).eps
        kinds = int(problem.cost.kind), int(problem.pixel_penalty.kind)
        strengths = self.epsilon, problem.pixel_penalty.rho, dot_rho
        scales = Scales(*kinds, *strengths, roundoff, self.cells.grids[image].unit, problem.far[image])
        return excess(scales, sizes, largest_error(scales, sizes.span))

    log_floored: float
    """Logarithm of the largest share of a cell's mass that may stand for a smaller one."""

    @property
    def span(self) -> float:
        """By how much potentials may move apart until other pairs than the chosen ones may matter."""
        return math.inf if self.whole else 0.75 * self.cutoff * self.epsilon


class TensorDual(Dual):
    """:class:`Dual` on tensor operations, on any device."""

    log_floored = -30.0
    reach = 15.0
    """Change of ``beta / eps`` up to which stored shares are rescaled instead of recomputed."""

    def _prepare(self, active: Tensor, beta: Tensor, cutoff: float) -> None:
        problem, cells, n_dots = self.problem, self.cells, self._dots_of(active)
        beta = beta.nan_to_num(0.0)  # no list is chosen by what is not a number
        neighbours = find_neighbours(
            cells, problem.dots, n_dots, beta, problem.cost, self.epsilon, cutoff * self.epsilon, problem.shrink
        )
        self.log_dropped = neighbours.log_dropped
        self.pairs = TensorPlans(cells, neighbours, problem.dots, problem.cost, problem.dtype, problem.shrink)
        self.systems = Systems(problem, cells, self.pairs)
        self.reference_beta = torch.full_like(beta, math.inf)  # no shares yet

    def _stabilise(self, beta: Tensor) -> None:
        """Compute the shares that later ones are scaled from."""
        self.reference_beta = beta
        self.reference = self.pairs.stabilise(beta, self.epsilon)

    def at(self, beta: Tensor) -> Point:
        """See :meth:`Dual.at`."""
        change = (beta - self.reference_beta).div_(self.epsilon)
        farthest = float(change.abs().max())
        return self._evaluate(beta, change.exp_()) if farthest <= self.reach else self.anew(beta)

    def anew(self, beta: Tensor) -> Point:
        """Evaluate as :meth:`at`, with shares computed for this point, and without waiting for the device.

        Images whose potentials are not bounded get a value that is worse than any other, at other potentials.
        """
        bounded = (beta.abs() <= LARGEST).all(1)
        beta = torch.where(bounded[:, None], beta, 0.0)
        self._stabilise(beta)
        point = self._evaluate(beta, torch.ones_like(beta))
        value, gap = point.value.masked_fill(~bounded, LOWEST), point.gap.masked_fill(~bounded, math.inf)
        return replace(point, value=value, gap=gap)

    def _evaluate(self, beta: Tensor, change: Tensor) -> Point:
        """Return the point whose shares are those at hand times ``change`` (B, m_max)."""
        factor = torch.cat([change.flatten(), change.new_zeros(1)])
        dtype = self.problem.dtype
        total = self.pairs.rows(factor.to(dtype)).double()
        alpha = -self.reference - self.epsilon * total.log()
        total = torch.where(total > 0, total, 1.0)
        price, slope = self.problem.pixel_penalty.conjugate_and_slope(-alpha)
        empty = self.cells.mass == 0  # no mass times an infinite slope is none
        price, slope = price.masked_fill(empty, 0.0), slope.masked_fill(empty, 0.0)
        q = self.cells.mass * slope
        received = self.pairs.columns((q / total).to(dtype), torch.float64)
        conjugate = self.cells.per_image(self.cells.mass * price)
        dot, v = self.problem.dot_penalty, self.problem.weights
        gamma = (factor * received)[:-1].view_as(beta)
        price, wanted = dot.conjugate_and_slope(-beta)
        value = -conjugate - (v * price).sum(1)
        value = value.nan_to_num(LOWEST, LOWEST, LOWEST)
        gap = self._gap(gamma, beta, slope).nan_to_num(math.inf, math.inf)
        return Point(beta, alpha, factor, total, q, received, gamma, v * wanted, value, gap)

    def _gap(self, gamma: Tensor, beta: Tensor, slope: Tensor) -> Tensor:
        """Return (B,) the distance from the value to the primal cost of the plan at this point.

        ``slope`` (n_blocks, k) is ``q / u``. Where the dots must be paid exactly it is that of a rescaled plan.
        """
        v = self.problem.weights
        if isinstance(self.problem.dot_penalty, Equality):
            return rescaling.gap(v, gamma, self._rescaling(slope))
        ratio = gamma / torch.where(self.problem.present, v, torch.ones_like(v))
        return (v * self.problem.dot_penalty.fenchel_young(ratio, -beta)).sum(1)

    def _rescaling(self, slope: Tensor) -> tuple[float, Tensor]:
        """Return :func:`dotcount.transport.rescaling.strengths` for the ``slope`` q / u (n_blocks, k)."""
        steepest = torch.zeros(len(self.cells.grids), dtype=slope.dtype, device=slope.device)
        steepest.scatter_reduce_(0, self.cells.image, slope.amax(1), "amax")
        return rescaling.strengths(self.problem.pixel_penalty, self.epsilon, steepest)

    def newton_step(
        self, point: Point, curvature: Tensor, right: Tensor, renew: bool, relative: Tensor, steps: int
    ) -> Tensor:
        """Solve ``(diag(curvature + gamma / eps) - P^T (q / eps - u phi*''(-alpha)) P) x = right``.

        That is about ``-d2G/dbeta2``.

        Parameters
        ----------
        point
            Where; the last that was evaluated.
        curvature
            (B, m_max) curvature of the dots' term; ``v phi*''(-beta)`` makes the matrix the exact second derivative.
        right
            (B, m_max), of a size that float32 can hold; rows of zeros give zeros.
        renew
            Whether the shares have changed much since the last call: what preconditions is set anew.
        relative
            (B,) factors by which the preconditioned residual has to fall.
        steps
            Bound on the steps of conjugate gradients.
        """
        if point.beta is not self.reference_beta:
            point = self.anew(point.beta)
        dtype = self.problem.dtype
        curved = self.cells.mass * self.problem.pixel_penalty.curvature(-point.alpha)
        second = ((point.q / self.epsilon - curved) / point.total / point.total).to(dtype)
        end = second.new_zeros(1)
        spread = torch.cat([(point.gamma.flatten() / self.epsilon).to(dtype), end])
        fixed = torch.cat([curvature.flatten().to(dtype), end]) + spread
        if renew or self.systems.concentration is None:
            self.systems.renew(second, point.total, spread, fixed)
        flat = torch.cat([right.flatten().to(dtype), end])
        step = self.systems.solve(second, spread, fixed, flat, relative.to(dtype), steps)
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
        share = torch.where(left_out > -math.inf, log.exp(), 0.0)
        stiff = torch.zeros_like(point.value)
        if self.problem.cost.delta is not None:
            more = self._near_pole(point)
            stiff = self.epsilon * cells.per_image(torch.where(point.q > 0, point.q * more, 0.0))
            share = share + more
        off = self.epsilon * torch.log1p(share)
        lost = torch.where(reached, mass * (pixel.conjugate(off - point.alpha) - pixel.conjugate(-point.alpha)), 0.0)
        ratio = torch.where(mass > 0, point.q / torch.where(mass > 0, mass, 1.0), 0.0)
        shift = torch.zeros_like(point.value).scatter_reduce_(0, cells.image, off.amax(1), "amax")
        spilled = torch.where(point.q > 0, point.q * share, 0.0)
        sums = (cells.per_image(part) for part in (lost, spilled, mass * pixel.primal(ratio)))
        dropped, spilled, pixels = sums
        paid = self.pairs.columns_of_cost((point.q / point.total).to(self.problem.dtype), point.factor)
        transport = torch.zeros_like(point.value).index_add_(0, cells.image, paid)
        below, above = self._rounding(point, transport, stiff)
        return Account(dropped, shift, spilled, pixels, transport, below, above)

    def _near_pole(self, point: Point) -> Tensor:
        """Return (n_blocks, k) the shares that rounding of the ``wfr`` cost may add to those of a cell."""
        far = torch.tensor(self.problem.far, dtype=torch.float64, device=point.value.device)
        turn = 8.0 * UNIT64 * (far / (self.problem.cost.delta or math.inf) + 1.0)
        return self.pairs.near_pole(point.factor, turn[self.cells.image], self.epsilon) / point.total

    def _rounding(self, point: Point, transport: Tensor, stiff: Tensor) -> tuple[Tensor, Tensor]:
        """Return :func:`dotcount.transport.rounding.excess` of every image."""
        problem, cells, mass = self.problem, self.cells, self.cells.mass
        pixel, dot, v, rho = problem.pixel_penalty, problem.dot_penalty, problem.weights, problem.pixel_penalty.rho
        size = torch.where(torch.isfinite(point.alpha), point.alpha, 0.0)
        if isinstance(pixel, KL):
            potential = point.q * size.abs()
        else:
            size = torch.where(size > 0, size.clamp(max=2.0 * rho), -size)
            potential = mass * size * (1.0 + size / (4.0 * rho))
        absent, moved, received = ~problem.present, cells.per_image(point.q), point.gamma
        one = torch.ones_like(moved)
        stretch, floored, strength = one, torch.zeros_like(moved), one * dot.rho
        if isinstance(dot, Equality):
            factors = self._rescaling(torch.where(mass > 0, point.q / torch.where(mass > 0, mass, 1.0), 0.0))
            slope, strength = rescaling.gap_slope(v, point.gamma, factors), factors[0] + 2.0 * factors[1]
            paid = torch.where(absent, math.inf, point.gamma.clamp(min=rescaling.TINY))
            stretch = (v / paid).amax(1).clamp(min=1.0)
            floored = moved * math.exp(self.log_floored) / paid.amin(1)
            lost = problem.present & ~(point.gamma >= rescaling.TINY)  # the plan can't be rescaled to one that pays it
            floored = floored.masked_fill(lost.any(1), math.inf)
            received = torch.maximum(received, v)
        else:
            slope = dot.primal_slope(point.gamma / torch.where(problem.present, v, 1.0)) + point.beta
            slope = torch.where(point.gamma > 0, point.gamma * slope.abs(), 0.0)
        span = point.beta.masked_fill(absent, -math.inf).amax(1) - point.beta.masked_fill(absent, math.inf).amin(1)
        columns = [cells.per_image(mass), moved, transport, stiff, cells.per_image(potential)]
        columns += [(v + point.m + point.gamma).sum(1), (received * point.beta.abs()).sum(1), slope.sum(1)]
        terms = [float(grid.n_blocks + v.shape[1]) for grid in cells.grids]
        columns += [span.clamp(min=0.0), torch.tensor(terms).to(span), stretch, floored, strength]
        found = [
            self._excess(image, Sizes(*row), dot_rho)
            for image, (*row, dot_rho) in enumerate(torch.stack(columns, 1).tolist())
        ]
        below, above = torch.tensor(found, dtype=torch.float64, device=point.value.device).unbind(1)
        return below, above
