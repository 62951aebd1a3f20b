"""Which dots each block of cells has to look at, with a bound on everything that is left out.

Top-down over boxes of cells: a dot stays a candidate of a box if, at the nearest point of the box, its score
``beta_j - c`` comes within ``cutoff`` of what the best dot guarantees at the farthest. Whatever is dropped is added to
a bound on ``ln sum_dropped exp((beta_j - c_ij) / eps)`` that holds for every cell of the box. Nothing is approximate
but the sum itself, and that error is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.cells import SIDE, CellBlocks, Grid
from dotcount.transport.costs import Cost

BRANCH = 4
"""Boxes along the side of a box of the next coarser level."""
ROOT_PAIRS = 1 << 18
"""The coarsest level is chosen so that it has at most about this many (box, dot) pairs."""
CHUNK_PAIRS = 1 << 21
"""At most about this many (box, dot) pairs are looked at in one go, to bound the memory."""
UNDERFLOW = -80.0
"""Exponents below this are counted as this, lest the bound vanish in float32."""
TILE = 32
"""Dots of one tile; a block's list is padded to whole tiles."""


@dataclass(frozen=True)
class Neighbours:
    """Lists of dots, cut into tiles of :data:`TILE`.

    Attributes
    ----------
    dots
        (n_tiles, TILE) flat dot indices ``image * m_max + j``; the dummy index ``B * m_max`` pads.
    block
        (n_tiles,) the block of each tile, ascending.
    log_dropped
        (n_blocks,) float64 bound on ``ln sum_dropped exp((beta_j - c_ij) / eps)`` at the potentials of the search,
        for every cell of the block; ``-inf`` where nothing was left out.
    """

    dots: Tensor
    block: Tensor
    log_dropped: Tensor


@dataclass(frozen=True)
class _Level:
    """Candidates of boxes of one size: cell coordinates of the boxes, a padded index list, the bound so far."""

    x: Tensor
    y: Tensor
    index: Tensor
    log_dropped: Tensor


@dataclass(frozen=True)
class _Search:
    """One image's search: dots and potentials (with a dummy appended), and the rule for keeping."""

    grid: Grid
    x: Tensor
    y: Tensor
    beta: Tensor
    cost: Cost
    epsilon: float
    cutoff: float
    slack: float

    def test(self, x: Tensor, y: Tensor, side: int, index: Tensor, log_dropped: Tensor) -> tuple[Tensor, Tensor]:
        """Test candidates (n, K) against the boxes at columns x (n, cx) and rows y (n, cy), in cells.

        Returns the mask of what stays (n, cy, cx, K) and the bound on what does not (n, cy, cx).
        """
        dots_x, dots_y = self.x[index], self.y[index]
        (low_x, high_x), (low_y, high_y) = self.edges(x, side, self.grid.columns), self.edges(y, side, self.grid.rows)
        gap_x = torch.maximum(low_x[:, :, None] - dots_x[:, None, :], dots_x[:, None, :] - high_x[:, :, None])
        gap_y = torch.maximum(low_y[:, :, None] - dots_y[:, None, :], dots_y[:, None, :] - high_y[:, :, None])
        cost = self.cost.of_difference(gap_x.clamp_(min=0.0)[:, None], gap_y.clamp_(min=0.0)[:, :, None])
        nearest = self.beta[index][:, None, None, :] - cost
        # The dot that is best at the nearest cell guarantees this much at the farthest.
        best = nearest.max(-1).indices
        best_x, best_y = _pick(dots_x, best), _pick(dots_y, best)
        far_x = torch.maximum(best_x - low_x[:, None], high_x[:, None] - best_x)
        far_y = torch.maximum(best_y - low_y[:, :, None], high_y[:, :, None] - best_y)
        guaranteed = _pick(self.beta[index], best) - self.cost.of_difference(far_x, far_y)
        # Where no dot reaches the whole box nothing is dropped but pairs of infinite cost.
        top = torch.where(torch.isfinite(guaranteed), guaranteed, 0.0)
        keep = nearest >= (guaranteed - self.cutoff)[..., None]
        none = keep
        if self.cost.delta is not None:
            unreachable = nearest == -math.inf
            keep &= ~unreachable
            none = keep | unreachable
        share = (
            nearest.sub_(top[..., None]).mul_(1.0 / self.epsilon).clamp_(min=UNDERFLOW).exp_().masked_fill_(none, 0.0)
        )
        bound = share.sum(-1).double().log_() + (top.double() + self.slack) / self.epsilon
        return keep, torch.logaddexp(bound, log_dropped[:, None, None])

    def edges(self, first: Tensor, side: int, size: int) -> tuple[Tensor, Tensor]:
        """Return the coordinates (n, c) of the first and last cell centre of boxes, cut off at the border."""
        last = torch.clamp(first + side, max=size).to(self.x.dtype)
        return (first.to(self.x.dtype) + 0.5) * self.grid.unit, (last - 0.5) * self.grid.unit


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Return ``values[n, index[n, i, j]]`` (n, cy, cx) for values (n, K) and index (n, cy, cx)."""
    return values.gather(1, index.flatten(1)).view_as(index)


def _ranks(counts: Tensor) -> Tensor:
    """Return 0, 1, ... within each run of the given lengths."""
    starts = counts.cumsum(0) - counts
    return torch.arange(int(counts.sum()), device=counts.device) - torch.repeat_interleave(starts, counts)


def _refine(search: _Search, level: _Level, side: int, fan_y: int, fan_x: int) -> tuple[_Level, Tensor, Tensor]:
    """Split every box into ``fan_y`` x ``fan_x`` boxes of ``side`` cells and test its candidates against them.

    Returns the boxes (with an empty index), the flat sorted dot list and its (n_boxes,) counts.
    """
    xs, ys, dropped, flats, counts = [], [], [], [], []
    dummy = len(search.beta) - 1
    step = max(1, CHUNK_PAIRS // max(1, level.index.shape[1] * fan_x * fan_y))
    for part in range(0, len(level.x), step):
        index = level.index[part : part + step]
        x = level.x[part : part + step, None] + side * torch.arange(fan_x, device=index.device)
        y = level.y[part : part + step, None] + side * torch.arange(fan_y, device=index.device)
        keep, bound = search.test(x, y, side, index, level.log_dropped[part : part + step])
        exists = ((y < search.grid.rows)[:, :, None] & (x < search.grid.columns)[:, None, :]).flatten()
        keep = keep.flatten(0, 2)
        if not bool(exists.all()):
            keep = keep[exists]
        parent = torch.arange(len(index), device=index.device).repeat_interleave(fan_x * fan_y)[exists]
        count = keep.sum(1)
        position = torch.nonzero(keep.flatten()).flatten()
        box = torch.repeat_interleave(torch.arange(len(count), device=index.device), count)
        k = index.shape[1]
        flats.append(index.flatten()[position + (parent[box] - box) * k])
        counts.append(count)
        xs.append(x[:, None, :].expand(-1, fan_y, -1).flatten()[exists])
        ys.append(y[:, :, None].expand(-1, -1, fan_x).flatten()[exists])
        dropped.append(bound.flatten()[exists])
    empty = torch.full((0,), dummy, device=level.index.device)
    return _Level(torch.cat(xs), torch.cat(ys), empty, torch.cat(dropped)), torch.cat(flats), torch.cat(counts)


def _search_image(search: _Search) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sorted dot list, its count for each block in row-major order, and the bounds of the blocks."""
    grid, m = search.grid, len(search.beta) - 1
    device = search.beta.device
    side, boxes = SIDE, grid.n_blocks
    while boxes > 1 and boxes * m > ROOT_PAIRS:
        side *= BRANCH
        boxes = -(-grid.rows // side) * -(-grid.columns // side)
    zero = torch.zeros(1, dtype=torch.int64, device=device)
    everything = torch.arange(m, device=device)[None]
    level = _Level(zero, zero, everything, torch.full((1,), -math.inf, dtype=torch.float64, device=device))
    fan_y, fan_x = -(-grid.rows // side), -(-grid.columns // side)
    while True:
        level, flat, counts = _refine(search, level, side, fan_y, fan_x)
        if side == SIDE:
            break
        index = torch.full((len(counts), max(1, int(counts.max()))), m, device=device)
        box = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
        index[box, _ranks(counts)] = flat
        level = _Level(level.x, level.y, index, level.log_dropped)
        side, fan_y, fan_x = side // BRANCH, BRANCH, BRANCH
    block = torch.div(level.y, SIDE, rounding_mode="floor") * grid.block_columns
    block += torch.div(level.x, SIDE, rounding_mode="floor")
    return _row_major(block, flat, counts, level.log_dropped)


def _row_major(block: Tensor, flat: Tensor, counts: Tensor, dropped: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Reorder the lists of boxes that are blocks ``block`` (n,) by block number."""
    order = torch.argsort(block)
    starts = (counts.cumsum(0) - counts)[order]
    counts = counts[order]
    return flat[torch.repeat_interleave(starts, counts) + _ranks(counts)], counts, dropped[order]


def _with_every_dot(grid: Grid, dots: Tensor, flat: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Give each dot that is on no list a place on that of the block nearest to it, so that it can be paid at all."""
    m = len(dots)
    missing = torch.nonzero(torch.bincount(flat, minlength=m)[:m] == 0).flatten()
    if not len(missing):
        return flat, counts
    place = torch.div(dots[missing] / grid.unit, SIDE, rounding_mode="floor").long()
    column = place[:, 0].clamp(0, grid.block_columns - 1)
    nearest = place[:, 1].clamp(0, grid.block_rows - 1) * grid.block_columns + column
    block = torch.cat([torch.repeat_interleave(torch.arange(len(counts), device=flat.device), counts), nearest])
    order = torch.argsort(block, stable=True)
    return torch.cat([flat, missing])[order], torch.bincount(block, minlength=len(counts))


def find_neighbours(
    cells: CellBlocks, dots: Tensor, n_dots: list[int], beta: Tensor, cost: Cost, epsilon: float, cutoff: float
) -> Neighbours:
    """List for every block the dots that can matter to one of its cells.

    Parameters
    ----------
    cells
        The pixels.
    dots
        (B, m_max, 2) float64 positions, units of length_scale.
    n_dots
        Dots of each image; 0 leaves the image out.
    beta
        (B, m_max) float64 potentials.
    cost, epsilon
        Of the problem.
    cutoff
        How far below the best, in units of the cost, a score may lie and still be kept; ``inf`` keeps all pairs of
        finite cost.
    """
    width = dots.shape[1]
    device = dots.device
    flats, tiles, blocks, dropped = [], [], [], []
    for b, (grid, m) in enumerate(zip(cells.grids, n_dots)):
        if m == 0:
            dropped.append(torch.full((grid.n_blocks,), -math.inf, dtype=torch.float64, device=device))
            continue
        flat, count, bound = _neighbours_of_image(grid, dots[b, :m], beta[b, :m], cost, epsilon, cutoff)
        n_tiles = torch.div(count + TILE - 1, TILE, rounding_mode="floor")
        tiled = torch.full((int(n_tiles.sum()) * TILE,), width * len(n_dots), device=device)
        first = torch.repeat_interleave((n_tiles.cumsum(0) - n_tiles) * TILE, count)
        tiled[first + _ranks(count)] = flat + b * width
        flats.append(tiled.view(-1, TILE))
        tiles.append(n_tiles)
        blocks.append(torch.arange(grid.first_block, grid.first_block + grid.n_blocks, device=device))
        dropped.append(bound)
    if not flats:
        none = torch.zeros(0, dtype=torch.int64, device=device)
        return Neighbours(none.view(0, TILE), none, torch.cat(dropped))
    return Neighbours(
        torch.cat(flats), torch.repeat_interleave(torch.cat(blocks), torch.cat(tiles)), torch.cat(dropped)
    )


def _neighbours_of_image(
    grid: Grid, dots: Tensor, beta: Tensor, cost: Cost, epsilon: float, cutoff: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the flat dot list, the counts and the bounds of the blocks of one image."""
    m = len(dots)
    if math.isinf(cutoff) and cost.delta is None:
        everything = torch.arange(m, device=dots.device).repeat(grid.n_blocks)
        counts = torch.full((grid.n_blocks,), m, device=dots.device)
        return everything, counts, torch.full((grid.n_blocks,), -math.inf, dtype=torch.float64, device=dots.device)
    # float32 is enough to choose; its rounding, a few ulp of the largest number, goes into the bound. Not so for wfr,
    # whose cost is singular.
    dtype = torch.float32 if cost.delta is None else torch.float64
    largest = float(dots.abs().max()) + max(grid.rows, grid.columns) * grid.unit
    largest = max(largest, largest * largest if cost.name == "sql2" else 0.0) + float(beta.abs().max())
    far = torch.full((1,), -math.inf, device=dots.device, dtype=dtype)
    search = _Search(
        grid=grid,
        x=torch.cat([dots[:, 0].to(dtype), far.new_zeros(1)]),
        y=torch.cat([dots[:, 1].to(dtype), far.new_zeros(1)]),
        beta=torch.cat([beta.to(dtype), far]),
        cost=cost,
        epsilon=epsilon,
        cutoff=cutoff,
        slack=1e-6 * largest,
    )
    flat, counts, bound = _search_image(search)
    flat, counts = _with_every_dot(grid, dots, flat, counts)
    return flat, counts, bound
