"""The valid cells of one image of a batch, as the baselines need them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses.base import LossInput

LARGEST_PAIRS = 100_000_000
"""Pairs of cells and dots of one image up to which a loss may look at all of them; beyond, a step takes minutes."""


@dataclass(frozen=True)
class ImageCells:
    """The cells of one image that are not padding; they form a rectangle from the top-left corner on.

    Attributes
    ----------
    mass
        (rows, columns) density, with gradient.
    x, y
        (columns,) and (rows,) cell centres, px.
    stride
        Side of a cell, px.
    """

    mass: Tensor
    x: Tensor
    y: Tensor
    stride: float

    @property
    def extent(self) -> tuple[float, float]:
        """(height, width) of the valid cells together, px."""
        return len(self.y) * self.stride, len(self.x) * self.stride

    def squared_distances(self, points: Tensor) -> Tensor:
        """Return (m, rows, columns) squared distances of dots (m, 2) to cell centres, px^2."""
        dx, dy = self.x - points[:, :1], self.y - points[:, 1:]
        return dx.square()[:, None, :] + dy.square()[:, :, None]

    def blocks(self, side: int) -> Iterator[ImageCells]:
        """Yield the cells in squares of ``side`` x ``side``, smaller at the right and bottom, in reading order."""
        for row in range(0, len(self.y), side):
            for column in range(0, len(self.x), side):
                here, there = slice(row, row + side), slice(column, column + side)
                yield ImageCells(self.mass[here, there], self.x[there], self.y[here], self.stride)

    def check_pairs(self, points: Tensor, loss: str) -> None:
        """Refuse more pairs of cells and dots than a loss that looks at all of them can take in reasonable time."""
        pairs = self.mass.numel() * len(points)
        if pairs > LARGEST_PAIRS:
            raise InputError(
                f"{loss} compares all cells with all dots: {self.mass.numel():,} cells x {len(points):,} dots are more "
                f"than {LARGEST_PAIRS:,}; choose a smaller crop or a larger stride, or the loss uot"
            )

    def cell_of(self, points: Tensor) -> Tensor:
        """Return (m,) the index, in reading order, of the valid cell nearest to each dot (m, 2)."""
        column = (points[:, 0] / self.stride).floor().long().clamp(0, len(self.x) - 1)
        row = (points[:, 1] / self.stride).floor().long().clamp(0, len(self.y) - 1)
        return row * len(self.x) + column


def image_cells(batch: LossInput, image: int) -> ImageCells:
    """Return the valid cells of one image; there may be none in an image smaller than half a cell."""
    valid = batch.valid[image]
    rows, columns = int(valid.any(dim=1).sum()), int(valid.any(dim=0).sum())
    mass = batch.density[image, :rows, :columns]
    x, y = ((torch.arange(n, dtype=mass.dtype, device=mass.device) + 0.5) * batch.stride for n in (columns, rows))
    return ImageCells(mass, x, y, batch.stride)


@torch.no_grad()
def nearest_dots(cells: ImageCells, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return (rows columns,) the dot nearest to each cell centre, in reading order, and its distance, px.

    On the CPU by a k-d tree, so that 20,000 dots cost little; elsewhere row by row of cells, without a copy to the
    host. Of dots at equal distance either may be taken.
    """
    if cells.mass.device.type == "cpu":
        x, y = cells.x.double().numpy(), cells.y.double().numpy()
        centres = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        distance, index = KDTree(points.double().numpy()).query(centres)
        return torch.from_numpy(index), torch.from_numpy(distance).to(points.dtype)
    parts = [
        (cells.x[:, None] - points[:, 0]).square().add((y - points[:, 1]).square()).min(dim=1) for y in cells.y.unbind()
    ]
    return torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts]).sqrt()


def dots_by_cell(cells: ImageCells, points: Tensor) -> Tensor:
    """Return (rows columns,) the number of dots in each cell; a dot outside counts in the nearest valid cell."""
    ones = points.new_ones(len(points))
    return points.new_zeros(cells.mass.numel()).index_add(0, cells.cell_of(points), ones)
