"""Products with the matrix of shares ``p_ij``, stored for the neighbouring pairs only.

Pairs come as tiles: one block of ``k`` cells times :data:`TILE` dots, a dense (k, TILE) matrix. A product with the
whole matrix is a gather of ``n_tiles * TILE`` numbers, one batched small matrix product and one scatter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dotcount.transport.cells import SIDE, CellBlocks
from dotcount.transport.costs import Cost
from dotcount.transport.neighbours import TILE, Neighbours
from dotcount.transport.rounding import LARGEST_EXPONENT, UNIT64

FLOOR = -80.0
"""Least exponent that is kept apart from zero in float32: ``e^-80`` is still a normal number."""
SAFE_SPREAD = 20.0
"""Spread of the scores within a block, in units of epsilon, up to which its cells share one reference."""
CHUNK, CHUNK_ON_DEVICE = 1 << 11, 1 << 16
"""Tiles worked on in one go where temporaries would add up, to bound the memory; the latter on a GPU."""


class TensorPlans:
    """Costs and shares of the neighbouring pairs.

    Vectors over dots are flat with the dummy dot's 0 at the end, (B * m_max + 1,); over cells (n_blocks, k).

    Parameters
    ----------
    cells, neighbours
        The pixels and their lists of dots.
    dots
        (B, m_max, 2) float64 positions.
    cost
        The ground cost.
    dtype
        Precision of the stored pairs.
    shrink
        (B, m_max) factors on the distances to the dots, if they have some.
    """

    def __init__(
        self,
        cells: CellBlocks,
        neighbours: Neighbours,
        dots: Tensor,
        cost: Cost,
        dtype: torch.dtype,
        shrink: Tensor | None = None,
    ) -> None:
        self.block = neighbours.block
        self.index = neighbours.dots.flatten()
        self.n_blocks, self.k = cells.mass.shape
        self.dtype = dtype
        self.n_dots = dots.shape[0] * dots.shape[1] + 1
        self.floored = cost.delta is None and dtype == torch.float32
        self.ground = cost
        # Relative to the block, so that float32 rounds short distances and not coordinates.
        flat = torch.cat([dots.view(-1, 2), dots.new_zeros(1, 2)])
        near = flat.index_select(0, self.index).view(-1, TILE, 2) - cells.corner.index_select(0, self.block)[:, None]
        step = torch.arange(SIDE, device=dots.device) * cells.unit.index_select(0, self.block)[:, None]
        step = step[:, :, None]
        if shrink is not None:  # before rounding, so that what is rounded is no larger than without
            own = torch.cat([shrink.flatten(), shrink.new_ones(1)]).index_select(0, self.index).view(-1, TILE)
            near, step = near * own[:, :, None], step * own[:, None]
        near, step = near.to(dtype), step.to(dtype)
        self._dx, self._dy = near[:, None, :, 0] - step, near[:, None, :, 1] - step
        # How much scores can differ within a block; only for costs that are norms is this known beforehand.
        side = (SIDE - 1) * max(grid.unit for grid in cells.grids)
        self.spread = {"l1": 2.0, "l2": math.sqrt(2.0)}.get(cost.name, math.inf) * side
        self.plans = torch.empty(len(self.block), self.k, TILE, dtype=dtype, device=dots.device)
        self.chunk = CHUNK if dots.device.type == "cpu" else CHUNK_ON_DEVICE
        self.matrix_units = dtype == torch.float64 or _exact_products(dots.device)

    def _chunks(self) -> Iterator[slice]:
        for first in range(0, len(self.block), self.chunk):
            yield slice(first, min(first + self.chunk, len(self.block)))

    def costs(self, some: slice) -> Tensor:
        """Return the (n, k, TILE) costs of some tiles."""
        dx, dy = self._dx[some, None], self._dy[some, :, None]
        return self.ground.of_difference(dx, dy).flatten(1, 2)

    def stabilise(self, beta: Tensor, epsilon: float) -> Tensor:
        """Set the shares to ``exp((beta_j - c_ij - r_i) / eps)`` and return r, (n_blocks, 1 or k) float64.

        ``r_i`` is about the largest ``beta_j - c_ij``, so that shares neither overflow nor all vanish; ``beta`` is
        (B, m_max) float64.
        """
        extended = torch.cat([beta.flatten(), beta.new_full((1,), -math.inf)])
        local = extended.index_select(0, self.index).view(-1, TILE)
        # Taken off before rounding to float32. Every tile starts with a dot that exists.
        reference = _block_maximum(local[:, :1], self.block, self.n_blocks)
        score = ((local - reference.index_select(0, self.block)) / epsilon).to(self.dtype)
        if self.spread <= SAFE_SPREAD * epsilon:
            # The best score at the nearest point of the block serves all its cells.
            best = torch.sub(score, self._nearest_costs(), alpha=1.0 / epsilon).amax(1, keepdim=True)
            top = _block_maximum(best, self.block, self.n_blocks)
        else:
            tops = [
                torch.sub(score[some, None], self.costs(some), alpha=1.0 / epsilon).amax(2) for some in self._chunks()
            ]
            top = _block_maximum(torch.cat([score.new_zeros(0, self.k), *tops]), self.block, self.n_blocks)
        offset = top.index_select(0, self.block)[:, :, None]
        for some in self._chunks():
            part = self.plans[some]
            torch.sub(score[some, None] - offset[some], self.costs(some), alpha=1.0 / epsilon, out=part)
            if self.floored:
                part.clamp_(min=FLOOR)
            part.exp_()
        return reference + epsilon * top.double()

    def _nearest_costs(self) -> Tensor:
        """Return (n_tiles, TILE) costs from each dot to the nearest point of the box of its block's cells."""
        dx = torch.maximum(self._dx[:, -1], -self._dx[:, 0]).clamp_(min=0.0)
        dy = torch.maximum(self._dy[:, -1], -self._dy[:, 0]).clamp_(min=0.0)
        return self.ground.of_difference(dx, dy)

    def hard_minimum(self, beta: Tensor) -> Tensor:
        """Return ``min_j (c_ij - beta_j)`` over the neighbours (n_blocks, k), float64; ``inf`` where there is none."""
        extended = torch.cat([beta.flatten(), beta.new_full((1,), -math.inf)])
        local = extended.index_select(0, self.index).view(-1, 1, TILE).to(self.dtype)
        tops = [(local[some] - self.costs(some)).amax(2) for some in self._chunks()]
        out = torch.full((self.n_blocks, self.k), -math.inf, dtype=self.dtype, device=beta.device)
        if tops:
            best = torch.cat(tops)
            out.scatter_reduce_(0, self.block[:, None].expand_as(best), best, "amax")
        return -out.double()

    def rows(self, x: Tensor) -> Tensor:
        """Return ``sum_j p_ij x_j`` (n_blocks, k) for x of the pairs' dtype whose last element is 0."""
        local = x.index_select(0, self.index).view(-1, 1, TILE)
        if self.matrix_units:
            partial = torch.bmm(local, self.plans.transpose(1, 2))[:, 0]
        else:
            partial = local.new_empty(len(local), self.k)
            for some in self._chunks():
                torch.sum(self.plans[some] * local[some], 2, out=partial[some])
        return partial.new_zeros(self.n_blocks, self.k).index_add_(0, self.block, partial)

    def columns(self, w: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return ``sum_i w_i p_ij`` for w of the pairs' dtype, added up in ``dtype`` (theirs, if None)."""
        return self._scatter(self.columns_of_tiles(w), dtype or self.dtype)

    def columns_of_tiles(self, w: Tensor) -> Tensor:
        """Return ``sum_i w_i p_ij`` over the cells of each tile's block, (n_tiles, 1, TILE)."""
        local = self._local(w)
        if self.matrix_units:
            return torch.bmm(local, self.plans)
        out = local.new_empty(len(local), 1, TILE)
        for some in self._chunks():
            torch.sum(self.plans[some] * local[some].mT, 1, keepdim=True, out=out[some])
        return out

    def columns_squared(self, w: Tensor) -> Tensor:
        """Return ``sum_i w_i p_ij^2`` for w of the pairs' dtype."""
        local = self._local(w)
        parts = [(self.plans[some].square() * local[some].mT).sum(1, keepdim=True) for some in self._chunks()]
        return self._scatter(torch.cat(parts) if parts else local, self.dtype)

    def columns_of_cost(self, w: Tensor, factor: Tensor) -> Tensor:
        """Return ``sum_i w_i p_ij c_ij factor_j`` by block (n_blocks,), float64."""
        local = self._local(w)
        scale = factor.to(self.dtype).index_select(0, self.index).view(-1, 1, TILE)
        out = torch.zeros(self.n_blocks, dtype=torch.float64, device=w.device)
        for some in self._chunks():
            paid = self.costs(some)
            if self.ground.delta is not None:
                paid.masked_fill_(torch.isinf(paid), 0.0)
            paid = paid.mul_(self.plans[some]).mul_(local[some].mT).sum(1, keepdim=True).mul_(scale[some])
            out.index_add_(0, self.block[some], paid.double().sum((1, 2)))
        return out

    def near_pole(self, factor: Tensor, turn: Tensor, epsilon: float) -> Tensor:
        """Return ``sum_j p_ij (e^{e_ij / eps} - 1)`` (n_blocks, k), without the total of p.

        ``e_ij`` is the rounding of the ``wfr`` cost where the angle is off by ``turn`` (n_blocks,).
        """
        scale = factor.to(self.dtype).index_select(0, self.index).view(-1, 1, TILE)
        out = torch.zeros(self.n_blocks, self.k, dtype=torch.float64, device=turn.device)
        for some in self._chunks():
            block = self.block[some]
            cost = self.costs(some)
            turned = turn[block][:, None, None] * torch.exp(0.5 * cost)
            error = torch.where(turned < 0.25, turned + 8.0 * UNIT64 * cost, math.inf)
            more = torch.expm1((error / epsilon).clamp(max=LARGEST_EXPONENT))
            share = self.plans[some] * scale[some]
            out.index_add_(0, block, torch.where(share > 0, share * more, 0.0).sum(2).double())
        return out

    def _local(self, w: Tensor) -> Tensor:
        return w.index_select(0, self.block)[:, None, :]

    def _scatter(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        out = torch.zeros(self.n_dots, dtype=dtype, device=values.device)
        return out.scatter_add_(0, self.index, values.flatten().to(dtype))


def _exact_products(device: torch.device) -> bool:
    """Whether products of float32 matrices are as exact as float32.

    What a user allows his network, TensorFloat-32 or bfloat16 products, is too coarse for shares: certificates bound
    the rounding of float32. Processes have several switches for this, so on GPUs none is relied on.
    """
    try:
        return device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # switches of two kinds have been set
        return False


def _block_maximum(values: Tensor, block: Tensor, n_blocks: int) -> Tensor:
    """Return (n_blocks, k) maxima of values (n_tiles, k) over the tiles of a block; 0 where that is not finite."""
    out = values.new_full((n_blocks, values.shape[1]), -math.inf)
    out.scatter_reduce_(0, block[:, None].expand_as(values), values, "amax")
    return out.masked_fill_(out == -math.inf, 0.0)
