"""The pixels of a batch, as square blocks of density cells.

Cells of one block share a list of neighbouring dots, so that all work on pairs is small dense matrix products. Coarser
grids (cells pooled by a factor) have the same form and serve the early, strongly blurred phases of a solve.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 4
"""CellBlocks along the side of a block."""


@dataclass(frozen=True)
class Grid:
    """Where one image's blocks lie: ``rows`` x ``columns`` cells of side ``unit`` (units of length_scale)."""

    rows: int
    columns: int
    unit: float
    first_block: int

    @property
    def block_rows(self) -> int:
        """Blocks along y."""
        return -(-self.rows // SIDE)

    @property
    def block_columns(self) -> int:
        """Blocks along x."""
        return -(-self.columns // SIDE)

    @property
    def n_blocks(self) -> int:
        """Blocks of the image."""
        return self.block_rows * self.block_columns


@dataclass(frozen=True)
class CellBlocks:
    """All pixels of a batch in blocks of ``k = SIDE * SIDE`` cells, image after image.

    Attributes
    ----------
    mass
        (n, k) float64 mass of each cell; 0 in the padding that completes the blocks.
    corner
        (n, 2) float64 centre of the first cell of each block, units of length_scale.
    unit
        (n,) float64 side of a cell, units of length_scale.
    image
        (n,) index of the image each block belongs to.
    grids
        One :class:`Grid` an image.
    """

    mass: Tensor
    corner: Tensor
    unit: Tensor
    image: Tensor
    grids: tuple[Grid, ...]

    @property
    def offsets(self) -> Tensor:
        """(k, 2) x and y of the cells of a block relative to the first, in cells."""
        step = torch.arange(SIDE, device=self.mass.device, dtype=torch.float64)
        return torch.stack([step.repeat(SIDE), step.repeat_interleave(SIDE)], 1)

    def unblock(self, values: Tensor, image: int) -> Tensor:
        """Return the (rows, columns) map of one image from values (n, k)."""
        grid = self.grids[image]
        blocks = values[grid.first_block : grid.first_block + grid.n_blocks]
        tiled = blocks.view(grid.block_rows, grid.block_columns, SIDE, SIDE).transpose(1, 2)
        return tiled.reshape(grid.block_rows * SIDE, grid.block_columns * SIDE)[: grid.rows, : grid.columns]

    def maps(self, values: Tensor) -> list[Tensor]:
        """Return the (rows, columns) map of every image from values (n, k)."""
        grid, n = self.grids[0], len(self.grids)
        if any((one.rows, one.columns) != (grid.rows, grid.columns) for one in self.grids[1:]):
            return [self.unblock(values, image) for image in range(n)]
        tiled = values.view(n, grid.block_rows, grid.block_columns, SIDE, SIDE).transpose(2, 3)
        whole = tiled.reshape(n, grid.block_rows * SIDE, grid.block_columns * SIDE)
        return list(whole[:, : grid.rows, : grid.columns].unbind())

    def inside(self, valid: Sequence[Tensor | None]) -> Tensor | None:
        """Return (n, k) which cells exist and are valid; None for all."""
        whole = all(not grid.rows % SIDE and not grid.columns % SIDE for grid in self.grids)
        if whole and all(one is None for one in valid):
            return None
        masks = [
            torch.ones(grid.rows, grid.columns, dtype=torch.bool, device=self.mass.device) if one is None else one
            for grid, one in zip(self.grids, valid)
        ]
        return torch.cat([_blocks(mask[None]) for mask in masks])

    def per_image(self, values: Tensor) -> Tensor:
        """Return the (B,) sums of values (n, k) over the cells of each image."""
        totals = torch.zeros(len(self.grids), dtype=values.dtype, device=values.device)
        return totals.index_add_(0, self.image, values.sum(1))


def _blocks(stack: Tensor) -> Tensor:
    """Return (n * R * C, k) blocks of a stack (n, rows, columns), zero-padded right and bottom."""
    n, rows, columns = stack.shape
    lacking = (0, -columns % SIDE, 0, -rows % SIDE)
    padded = functional.pad(stack, lacking) if any(lacking) else stack
    r, c = padded.shape[1] // SIDE, padded.shape[2] // SIDE
    blocks = padded.view(n, r, SIDE, c, SIDE).transpose(2, 3).reshape(n * r * c, SIDE * SIDE)
    return blocks.contiguous()  # images of one block may lie in any order


def _pooled(stack: Tensor, factor: int) -> Tensor:
    """Return the stack (n, rows, columns) with ``factor`` x ``factor`` cells added up into one."""
    if factor == 1:
        return stack
    n, rows, columns = stack.shape
    padded = functional.pad(stack, (0, -columns % factor, 0, -rows % factor))
    return padded.view(n, padded.shape[1] // factor, factor, padded.shape[2] // factor, factor).sum((2, 4))


def make_cells(densities: Tensor | Sequence[Tensor], units: Sequence[float], factor: int = 1) -> CellBlocks:
    """Arrange densities as blocks.

    Parameters
    ----------
    densities
        (B, h, w) float64, or a list of (h_b, w_b) float64 of different sizes.
    units
        Side of a cell of each image, in units of its length scale.
    factor
        Pool ``factor`` x ``factor`` cells into one first.
    """
    stacks = [densities] if isinstance(densities, Tensor) else [one[None] for one in densities]
    pooled = [_pooled(stack, factor) for stack in stacks]
    mass = _blocks(pooled[0]) if len(pooled) == 1 else torch.cat([_blocks(stack) for stack in pooled])
    shapes = tuple((stack.shape[1], stack.shape[2]) for stack in pooled for _ in range(len(stack)))
    return CellBlocks(mass, *_layout(shapes, tuple(unit * factor for unit in units), mass.device))


@functools.lru_cache(maxsize=64)
def _layout(
    shapes: tuple[tuple[int, int], ...], units: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor, Tensor, tuple[Grid, ...]]:
    """Return corner, unit, image and grids of :class:`CellBlocks` for images of these rows and columns."""
    grids: list[Grid] = []
    corners: list[Tensor] = []
    first = 0
    for (rows, columns), side in zip(shapes, units):
        grid = Grid(rows, columns, side, first)
        grids.append(grid)
        first += grid.n_blocks
        y = torch.arange(grid.block_rows, dtype=torch.float64, device=device)
        x = torch.arange(grid.block_columns, dtype=torch.float64, device=device)
        corner = torch.stack([x.repeat(grid.block_rows), y.repeat_interleave(grid.block_columns)], 1)
        corners.append((corner * SIDE + 0.5) * side)
    counts = torch.tensor([grid.n_blocks for grid in grids], device=device)
    image = torch.repeat_interleave(torch.arange(len(grids), device=device), counts)
    unit = torch.tensor(units, dtype=torch.float64, device=device)[image]
    return torch.cat(corners), unit, image, tuple(grids)
