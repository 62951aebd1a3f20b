"""Which dots each block of cells has to look at, with a bound on everything that is left out.

Top-down over boxes of cells: a dot stays a candidate of a box if, at the nearest point of the box, its score
``beta_j - c`` comes within ``cutoff`` of what the best dot guarantees at the farthest. Whatever is dropped is added to
a bound on ``ln sum_dropped exp((beta_j - c_ij) / eps)`` that holds for every cell of the box. Nothing is approximate
but the sum itself, and that error is known.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.cells import SIDE, CellBlocks, Grid
from dotcount.transport.costs import Cost

BRANCH = 4
"""Boxes along the side of a box of the next coarser level."""
ROOT_PAIRS, ROOT_PAIRS_ON_DEVICE = 1 << 18, 1 << 22
"""The coarsest level is chosen so that an image has at most about this many (box, dot) pairs there.

On a GPU looking at more pairs costs less than looking at more levels.
"""
CHUNK_PAIRS, CHUNK_PAIRS_ON_DEVICE = 1 << 21, 1 << 23
"""At most about this many (box, dot) pairs are looked at in one go, to bound the memory."""
ALIKE = 3
"""Images whose numbers of dots have as many octal digits are searched together, padded to the largest number."""
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
class _Lists:
    """Lists of dots of blocks in ascending order: flat dot indices, how many each block has, the bounds."""

    flat: Tensor
    counts: Tensor
    log_dropped: Tensor


@dataclass(frozen=True)
class _Layout:
    """Numbers of the images' grids (B,): cells along y and x, side of a cell, first block, blocks along y and x."""

    rows: Tensor
    columns: Tensor
    unit: Tensor
    first_block: Tensor
    block_rows: Tensor
    block_columns: Tensor


@functools.lru_cache(maxsize=64)
def _layout(grids: tuple[Grid, ...], device: torch.device) -> _Layout:
    """Return the layout of a batch, which comes again and again."""
    names = ("rows", "columns", "first_block", "block_rows", "block_columns")
    numbers = {name: torch.tensor([getattr(grid, name) for grid in grids], device=device) for name in names}
    unit = torch.tensor([grid.unit for grid in grids], dtype=torch.float64, device=device)
    return _Layout(unit=unit, **numbers)


@dataclass(frozen=True)
class _Level:
    """Candidates of boxes of one size: image and cell coordinates of the boxes, a padded index list, the bound."""

    image: Tensor
    x: Tensor
    y: Tensor
    index: Tensor
    log_dropped: Tensor


@dataclass(frozen=True)
class _Search:
    """Dots and potentials of a batch, flat (with a dummy appended), and the rule for keeping."""

    layout: _Layout
    x: Tensor
    y: Tensor
    beta: Tensor
    shrink: Tensor | None
    cost: Cost
    epsilon: float
    cutoff: float
    slack: Tensor

    def costs(self, dx: Tensor, dy: Tensor, dots: Tensor) -> Tensor:
        """Return the costs for coordinate differences to ``dots`` (flat indices); shapes broadcast."""
        if self.shrink is None:
            return self.cost.of_difference(dx, dy)
        shrink = self.shrink[dots]
        return self.cost.of_difference(dx * shrink, dy * shrink)

    def test(
        self, image: Tensor, x: Tensor, y: Tensor, side: int, index: Tensor, log_dropped: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Test candidates (n, K) against the boxes of images (n,) at columns x (n, cx) and rows y (n, cy), in cells.

        Returns the mask of what stays (n, cy, cx, K) and the bound on what does not (n, cy, cx).
        """
        dots_x, dots_y, unit = self.x[index], self.y[index], self.layout.unit[image].to(self.x)[:, None]
        low_x, high_x = _edges(x, side, self.layout.columns[image], unit)
        low_y, high_y = _edges(y, side, self.layout.rows[image], unit)
        gap_x = torch.maximum(low_x[:, :, None] - dots_x[:, None, :], dots_x[:, None, :] - high_x[:, :, None])
        gap_y = torch.maximum(low_y[:, :, None] - dots_y[:, None, :], dots_y[:, None, :] - high_y[:, :, None])
        cost = self.costs(gap_x.clamp_(min=0.0)[:, None], gap_y.clamp_(min=0.0)[:, :, None], index[:, None, None, :])
        nearest = self.beta[index][:, None, None, :] - cost
        # The dot that is best at the nearest cell guarantees this much at the farthest.
        best = nearest.max(-1).indices
        best_x, best_y = _pick(dots_x, best), _pick(dots_y, best)
        far_x = torch.maximum(best_x - low_x[:, None], high_x[:, None] - best_x)
        far_y = torch.maximum(best_y - low_y[:, :, None], high_y[:, :, None] - best_y)
        guaranteed = _pick(self.beta[index], best) - self.costs(far_x, far_y, _pick(index, best))
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
        slack = self.slack[image][:, None, None]
        bound = share.sum(-1).double().log_() + (top.double() + slack) / self.epsilon
        return keep, torch.logaddexp(bound, log_dropped[:, None, None])


def _edges(first: Tensor, side: int, size: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coordinates (n, c) of the first and last cell centre of boxes, cut off at the border ``size`` (n,)."""
    last = torch.minimum(first + side, size[:, None]).to(unit.dtype)
    return (first.to(unit.dtype) + 0.5) * unit, (last - 0.5) * unit


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Return ``values[n, index[n, i, j]]`` (n, cy, cx) for values (n, K) and index (n, cy, cx)."""
    return values.gather(1, index.flatten(1)).view_as(index)


def _ranks(counts: Tensor, total: int) -> Tensor:
    """Return 0, 1, ... within each run of the given lengths, which add up to ``total``."""
    starts = counts.cumsum(0) - counts
    return torch.arange(total, device=counts.device) - _repeat(starts, counts, total)


def _repeat(values: Tensor, counts: Tensor, total: int) -> Tensor:
    """Return each value as often as its count says, ``total`` in all."""
    return torch.repeat_interleave(values, counts, output_size=total)


def _refine(search: _Search, level: _Level, side: int, fan_y: int, fan_x: int) -> tuple[_Level, Tensor, Tensor]:
    """Split every box into ``fan_y`` x ``fan_x`` boxes of ``side`` cells and test its candidates against them.

    Returns the boxes (with an empty index), the flat sorted dot list and its (n_boxes,) counts.
    """
    device = level.index.device
    found, flats, counts = [], [], []
    k, layout = level.index.shape[1], search.layout
    step = max(1, (CHUNK_PAIRS if device.type == "cpu" else CHUNK_PAIRS_ON_DEVICE) // max(1, k * fan_x * fan_y))
    for part in range(0, len(level.x), step):
        image, index = level.image[part : part + step], level.index[part : part + step]
        x = level.x[part : part + step, None] + side * torch.arange(fan_x, device=device)
        y = level.y[part : part + step, None] + side * torch.arange(fan_y, device=device)
        keep, bound = search.test(image, x, y, side, index, level.log_dropped[part : part + step])
        inside = (y < layout.rows[image][:, None])[:, :, None] & (x < layout.columns[image][:, None])[:, None, :]
        exists = torch.nonzero(inside.flatten()).flatten()
        parent = torch.div(exists, fan_x * fan_y, rounding_mode="floor")
        keep = keep.flatten(0, 2)[exists]
        position = torch.nonzero(keep.flatten()).flatten()
        box = torch.div(position, k, rounding_mode="floor")
        flats.append(index.flatten()[position + (parent[box] - box) * k])
        counts.append(keep.sum(1))
        columns = x[:, None, :].expand(-1, fan_y, -1).flatten()[exists]
        rows = y[:, :, None].expand(-1, -1, fan_x).flatten()[exists]
        found.append((image[parent], columns, rows, bound.flatten()[exists]))
    image, x, y, dropped = (torch.cat(one) for one in zip(*found))
    return _Level(image, x, y, level.index[:0], dropped), torch.cat(flats), torch.cat(counts)


def _search_images(search: _Search, grids: tuple[Grid, ...], chosen: list[int], n_dots: list[int]) -> _Lists:
    """Return the lists of all blocks of some images; those of other images are empty."""
    device, dummy, n_blocks = search.beta.device, len(search.beta) - 1, grids[-1].first_block + grids[-1].n_blocks
    width, most = dummy // len(grids), max(n_dots[b] for b in chosen)
    side, boxes = SIDE, max(grids[b].n_blocks for b in chosen)
    while boxes > 1 and boxes * most > (ROOT_PAIRS if device.type == "cpu" else ROOT_PAIRS_ON_DEVICE):
        side *= BRANCH
        boxes = max(-(-grids[b].rows // side) * -(-grids[b].columns // side) for b in chosen)
    image = torch.tensor(chosen, device=device)
    number = torch.arange(most, device=device)
    lengths = torch.tensor([n_dots[b] for b in chosen], device=device)
    everything = torch.where(number < lengths[:, None], image[:, None] * width + number, dummy)
    zero = torch.zeros_like(image)
    level = _Level(image, zero, zero, everything, torch.full(zero.shape, -math.inf, device=device).double())
    fan_y, fan_x = (
        max(-(-cells // side) for cells in sizes) for sizes in zip(*((grids[b].rows, grids[b].columns) for b in chosen))
    )
    while True:
        level, flat, counts = _refine(search, level, side, fan_y, fan_x)
        if side == SIDE:
            break
        index = torch.full((len(counts), max(1, int(counts.max()))), dummy, device=device)
        box = _repeat(torch.arange(len(counts), device=device), counts, len(flat))
        index[box, _ranks(counts, len(flat))] = flat
        level = _Level(level.image, level.x, level.y, index, level.log_dropped)
        side, fan_y, fan_x = side // BRANCH, BRANCH, BRANCH
    layout = search.layout
    block = torch.div(level.y, SIDE, rounding_mode="floor") * layout.block_columns[level.image]
    block += torch.div(level.x, SIDE, rounding_mode="floor") + layout.first_block[level.image]
    order = torch.argsort(block)
    starts, counts, block = (counts.cumsum(0) - counts)[order], counts[order], block[order]
    flat = flat[_repeat(starts, counts, len(flat)) + _ranks(counts, len(flat))]
    dropped = torch.full((n_blocks,), -math.inf, dtype=torch.float64, device=device)
    every = torch.zeros(n_blocks, dtype=torch.int64, device=device)
    return _Lists(flat, every.index_copy_(0, block, counts), dropped.index_copy_(0, block, level.log_dropped[order]))


def _merge(parts: list[_Lists]) -> _Lists:
    """Return lists of which each block has those of one part."""
    if len(parts) == 1:
        return parts[0]
    device, totals = parts[0].flat.device, [len(part.flat) for part in parts]
    blocks = torch.arange(len(parts[0].counts), device=device)
    owner = torch.cat([_repeat(blocks, part.counts, total) for part, total in zip(parts, totals)])
    flat = torch.cat([part.flat for part in parts])[torch.argsort(owner, stable=True)]
    dropped = functools.reduce(torch.maximum, [part.log_dropped for part in parts])
    return _Lists(flat, torch.stack([part.counts for part in parts]).sum(0), dropped)


def _with_every_dot(lists: _Lists, layout: _Layout, dots: Tensor, listed: Tensor) -> _Lists:
    """Give each dot that is on no list a place on that of the block nearest to it, so that it can be paid at all.

    ``listed`` (B, m_max) says which dots have to be on one.
    """
    n, width = listed.shape
    absent = torch.bincount(lists.flat, minlength=n * width)[: n * width] == 0
    missing = torch.nonzero(absent & listed.flatten()).flatten()
    if not len(missing):
        return lists
    image = torch.div(missing, width, rounding_mode="floor")
    place = torch.div(dots.view(-1, 2)[missing] / layout.unit[image][:, None], SIDE, rounding_mode="floor").long()
    zero = torch.zeros_like(image)
    column = torch.minimum(torch.maximum(place[:, 0], zero), layout.block_columns[image] - 1)
    row = torch.minimum(torch.maximum(place[:, 1], zero), layout.block_rows[image] - 1)
    nearest = layout.first_block[image] + row * layout.block_columns[image] + column
    blocks = torch.arange(len(lists.counts), device=missing.device)
    block = torch.cat([_repeat(blocks, lists.counts, len(lists.flat)), nearest])
    order = torch.argsort(block, stable=True)
    flat = torch.cat([lists.flat, missing])[order]
    return _Lists(flat, torch.bincount(block, minlength=len(blocks)), lists.log_dropped)


def find_neighbours(
    cells: CellBlocks,
    dots: Tensor,
    n_dots: list[int],
    beta: Tensor,
    cost: Cost,
    epsilon: float,
    cutoff: float,
    shrink: Tensor | None = None,
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
    shrink
        Of the problem.
    """
    width, device, n_blocks = dots.shape[1], dots.device, len(cells.mass)
    if math.isinf(cutoff) and cost.delta is None:
        lists = _all_pairs(cells, n_dots, width)
    else:
        lists = _searched(cells, dots, n_dots, beta, cost, epsilon, cutoff, shrink)
    total, counts = len(lists.flat), lists.counts
    n_tiles = torch.div(counts + TILE - 1, TILE, rounding_mode="floor")
    all_tiles = int(n_tiles.sum())
    tiled = torch.full((all_tiles * TILE,), width * len(n_dots), device=device)
    first = _repeat((n_tiles.cumsum(0) - n_tiles) * TILE, counts, total)
    tiled[first + _ranks(counts, total)] = lists.flat
    block = _repeat(torch.arange(n_blocks, device=device), n_tiles, all_tiles)
    return Neighbours(tiled.view(-1, TILE), block, lists.log_dropped)


def _all_pairs(cells: CellBlocks, n_dots: list[int], width: int) -> _Lists:
    """Return the lists of all dots of the image for every block."""
    device, n_blocks = cells.mass.device, len(cells.mass)
    total = sum(grid.n_blocks * m for grid, m in zip(cells.grids, n_dots))
    counts = torch.tensor(n_dots, device=device)[cells.image]
    flat = _ranks(counts, total) + _repeat(cells.image * width, counts, total)
    return _Lists(flat, counts, torch.full((n_blocks,), -math.inf, dtype=torch.float64, device=device))


def _searched(
    cells: CellBlocks,
    dots: Tensor,
    n_dots: list[int],
    beta: Tensor,
    cost: Cost,
    epsilon: float,
    cutoff: float,
    shrink: Tensor | None,
) -> _Lists:
    """Return the lists that a search finds; see :func:`find_neighbours`."""
    device, n_blocks, layout = dots.device, len(cells.mass), _layout(cells.grids, dots.device)
    # float32 is enough to choose; its rounding, a few ulp of the largest number, goes into the bound. Not so for wfr,
    # whose cost is singular.
    dtype = torch.float32 if cost.delta is None else torch.float64
    largest = dots.abs().amax((1, 2)) + torch.maximum(layout.rows, layout.columns) * layout.unit
    largest = torch.maximum(largest, largest * largest) if cost.name == "sql2" else largest
    end = torch.full((1,), -math.inf, device=device, dtype=dtype)
    search = _Search(
        layout=layout,
        x=torch.cat([dots[..., 0].flatten().to(dtype), torch.zeros_like(end)]),
        y=torch.cat([dots[..., 1].flatten().to(dtype), torch.zeros_like(end)]),
        beta=torch.cat([beta.flatten().to(dtype), end]),
        shrink=None if shrink is None else torch.cat([shrink.flatten().to(dtype), torch.ones_like(end)]),
        cost=cost,
        epsilon=epsilon,
        cutoff=cutoff,
        slack=1e-6 * (largest + beta.abs().amax(1)),
    )
    alike: dict[int, list[int]] = {}
    for b, m in enumerate(n_dots):
        if m:
            alike.setdefault(-(-m.bit_length() // ALIKE), []).append(b)
    if not alike:
        none = torch.zeros(n_blocks, dtype=torch.int64, device=device)
        return _Lists(none[:0], none, torch.full((n_blocks,), -math.inf, dtype=torch.float64, device=device))
    lists = _merge([_search_images(search, cells.grids, chosen, n_dots) for chosen in alike.values()])
    listed = torch.arange(dots.shape[1], device=device) < torch.tensor(n_dots, device=device)[:, None]
    return _with_every_dot(lists, layout, dots, listed)
