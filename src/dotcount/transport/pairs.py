"""Products with the matrix of shares ``p_ij``, stored for the neighbouring pairs only.

Pairs come as tiles: one block of ``k`` cells times :data:`TILE` dots, a dense (k, TILE) matrix. A product with the
whole matrix is a gather of ``n_tiles * TILE`` numbers, one batched small matrix product and one scatter.
"""

from __future__ import annotations

import math

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
CHUNK = 2048
"""Tiles worked on in one go where temporaries would add up, to bound the memory."""


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
    """

    def __init__(self, cells: CellBlocks, neighbours: Neighbours, dots: Tensor, cost: Cost, dtype: torch.dtype) -> None:
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
        near, step = near.to(dtype), step.to(dtype)[:, :, None]
        self._dx, self._dy = near[:, None, :, 0] - step, near[:, None, :, 1] - step
        # How much scores can differ within a block; only for costs that are norms is this known beforehand.
        side = (SIDE - 1) * float(cells.unit.max())
        self.spread = {"l1": 2.0, "l2": math.sqrt(2.0)}.get(cost.name, math.inf) * side
        self.plans = torch.empty(len(self.block), self.k, TILE, dtype=dtype, device=dots.device)

    def costs(self, start: int, stop: int) -> Tensor:
        """Return the (n, k, TILE) costs of some tiles."""
        dx, dy = self._dx[start:stop, None], self._dy[start:stop, :, None]
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
                torch.sub(
                    score[start : start + CHUNK, None], self.costs(start, start + CHUNK), alpha=1.0 / epsilon
                ).amax(2)
                for start in range(0, len(self.block), CHUNK)
            ]
            top = _block_maximum(torch.cat([score.new_zeros(0, self.k), *tops]), self.block, self.n_blocks)
        offset = top.index_select(0, self.block)[:, :, None]
        for start in range(0, len(self.block), CHUNK):
            stop = start + CHUNK
            part = self.plans[start:stop]
            torch.sub(
                score[start:stop, None] - offset[start:stop], self.costs(start, stop), alpha=1.0 / epsilon, out=part
            )
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
        tops = [
            (local[start : start + CHUNK] - self.costs(start, start + CHUNK)).amax(2)
            for start in range(0, len(self.block), CHUNK)
        ]
        out = torch.full((self.n_blocks, self.k), -math.inf, dtype=self.dtype, device=beta.device)
        if tops:
            best = torch.cat(tops)
            out.scatter_reduce_(0, self.block[:, None].expand_as(best), best, "amax")
        return -out.double()

    def rows(self, x: Tensor) -> Tensor:
        """Return ``sum_j p_ij x_j`` (n_blocks, k) for x of the pairs' dtype whose last element is 0."""
        local = x.index_select(0, self.index).view(-1, 1, TILE)
        partial = torch.bmm(local, self.plans.transpose(1, 2))[:, 0]
        return partial.new_zeros(self.n_blocks, self.k).index_add_(0, self.block, partial)

    def columns(self, w: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return ``sum_i w_i p_ij`` for w of the pairs' dtype, added up in ``dtype`` (theirs, if None)."""
        return self._scatter(torch.bmm(self._local(w), self.plans), dtype or self.dtype)

    def columns_squared(self, w: Tensor) -> Tensor:
        """Return ``sum_i w_i p_ij^2`` for w of the pairs' dtype."""
        local = self._local(w)
        parts = [
            torch.bmm(local[start : start + CHUNK], self.plans[start : start + CHUNK].square())
            for start in range(0, len(self.block), CHUNK)
        ]
        return self._scatter(torch.cat(parts) if parts else local, self.dtype)

    def columns_of_cost(self, w: Tensor, factor: Tensor) -> Tensor:
        """Return ``sum_i w_i p_ij c_ij factor_j`` by block (n_blocks,), float64."""
        local = self._local(w)
        scale = factor.to(self.dtype).index_select(0, self.index).view(-1, 1, TILE)
        out = torch.zeros(self.n_blocks, dtype=torch.float64, device=w.device)
        for start in range(0, len(self.block), CHUNK):
            stop = start + CHUNK
            paid = self.costs(start, stop)
            if self.ground.delta is not None:
                paid.masked_fill_(torch.isinf(paid), 0.0)
            paid = torch.bmm(local[start:stop], paid.mul_(self.plans[start:stop])).mul_(scale[start:stop])
            out.index_add_(0, self.block[start:stop], paid.double().sum((1, 2)))
        return out

    def near_pole(self, factor: Tensor, turn: Tensor, epsilon: float) -> Tensor:
        """Return ``sum_j p_ij (e^{e_ij / eps} - 1)`` (n_blocks, k), without the total of p.

        ``e_ij`` is the rounding of the ``wfr`` cost where the angle is off by ``turn`` (n_blocks,).
        """
        scale = factor.to(self.dtype).index_select(0, self.index).view(-1, 1, TILE)
        out = torch.zeros(self.n_blocks, self.k, dtype=torch.float64, device=turn.device)
        for start in range(0, len(self.block), CHUNK):
            stop = start + CHUNK
            block = self.block[start:stop]
            cost = self.costs(start, stop)
            turned = turn[block][:, None, None] * torch.exp(0.5 * cost)
            error = torch.where(turned < 0.25, turned + 8.0 * UNIT64 * cost, math.inf)
            more = torch.expm1((error / epsilon).clamp(max=LARGEST_EXPONENT))
            share = self.plans[start:stop] * scale[start:stop]
            out.index_add_(0, block, torch.where(share > 0, share * more, 0.0).sum(2).double())
        return out

    def _local(self, w: Tensor) -> Tensor:
        return w.index_select(0, self.block)[:, None, :]

    def _scatter(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        out = torch.zeros(self.n_dots, dtype=dtype, device=values.device)
        return out.scatter_add_(0, self.index, values.flatten().to(dtype))


def _block_maximum(values: Tensor, block: Tensor, n_blocks: int) -> Tensor:
    """Return (n_blocks, k) maxima of values (n_tiles, k) over the tiles of a block; 0 where that is not finite."""
    out = values.new_full((n_blocks, values.shape[1]), -math.inf)
    out.scatter_reduce_(0, block[:, None].expand_as(values), values, "amax")
    return out.masked_fill_(out == -math.inf, 0.0)
