"""The density grid: cells, dots to cells, and operations that conserve mass.

A density map of stride ``s`` over an ``H x W`` px image has ``ceil(H/s) x ceil(W/s)`` cells. Cell ``(r, c)`` covers
``[s c, s (c + 1)) x [s r, s (r + 1))`` px, its centre is ``(s (c + 1/2), s (r + 1/2))``, its value is the expected
number of objects in it. The sum is the count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError
from dotcount.points import FloatArray, Points


def grid_shape(height: int, width: int, stride: int) -> tuple[int, int]:
    """Return (rows, columns) of the grid that covers ``height`` x ``width`` px: ``ceil`` of each over ``stride``.

    >>> grid_shape(65, 64, 8)
    (9, 8)
    """
    if stride < 1:
        raise InputError(f"stride must be a positive number of pixels; got {stride}")
    # Not -(-height // stride): exporters divide negative integers towards zero.
    return (height + stride - 1) // stride, (width + stride - 1) // stride


def cell_centres(rows: int, columns: int, stride: float) -> FloatArray:
    """Return (rows, columns, 2) centres (x, y) in px: ``(s (c + 1/2), s (r + 1/2))``.

    >>> cell_centres(2, 3, 8)[1, 2].tolist()
    [20.0, 12.0]
    """
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    return np.stack([x + 0.5, y + 0.5], axis=-1) * float(stride)


def cells_inside(cells: int, stride: float, length: float) -> int:
    """Return how many of ``cells`` along one side have their centre inside an image of ``length`` px.

    Cell k counts where ``stride (k + 1/2) < length``; those that do come first, so a number says it all. What lies in
    the others is padding: losses, counts and peaks leave it out.

    >>> [cells_inside(3, 4, length) for length in (8, 9, 10, 11, 12)]
    [2, 2, 2, 3, 3]
    """
    found = min(cells, max(0, math.ceil(length / stride - 0.5)))
    while found < cells and stride * (found + 0.5) < length:  # where the division was rounded
        found += 1
    while found > 0 and not stride * (found - 0.5) < length:
        found -= 1
    return found


def render(points: Points, stride: int = 1) -> FloatArray:
    """Return the (rows, columns) grid with each dot's unit mass in the cell that contains it.

    The sum is the number of dots, exactly.

    Raises
    ------
    InputError
        If a dot lies outside the image: it has no cell, and dropping it silently would change the count.

    Examples
    --------
    >>> render(Points([[1.0, 1.0], [7.5, 3.0], [6.0, 2.0]], width=8, height=4), stride=4).tolist()
    [[1.0, 2.0]]
    """
    rows, columns = grid_shape(points.height, points.width, stride)
    outside = np.flatnonzero(~points.inside())
    if outside.size:
        x, y = points.xy[outside[0]]
        raise InputError(
            f"{outside.size} of {len(points)} points lie outside the {points.width} x {points.height} px image, "
            f"the first at ({x:g}, {y:g}); select(points.inside()) leaves them out"
        )
    column, row = np.floor(points.xy / stride).astype(np.int64).T
    flat = np.bincount(row * columns + column, minlength=rows * columns)
    return flat.reshape(rows, columns).astype(np.float64)


def crop_cells(
    density: npt.NDArray[np.floating], left: int, top: int, width: int, height: int, stride: int
) -> npt.NDArray[np.floating]:
    """Return the cells under the pixel window; its corner and size must be whole cells.

    The last window of a row or column may end at the border of the image.

    Mass is conserved: windows that tile the image have masses that add up to the whole.

    >>> crop_cells(np.arange(6.0).reshape(2, 3), 8, 0, 16, 8, 8).tolist()
    [[1.0, 2.0]]
    """
    rows, columns = density.shape[-2:]
    if left % stride or top % stride:
        raise InputError(f"window corner ({left}, {top}) must be a multiple of the stride {stride}")
    r0, c0 = top // stride, left // stride
    r1, c1 = r0 + -(-height // stride), c0 + -(-width // stride)
    if (height % stride and r1 != rows) or (width % stride and c1 != columns):
        raise InputError(f"window size {width} x {height} must be a multiple of the stride {stride}")
    if r0 < 0 or c0 < 0 or r1 > rows or c1 > columns:
        raise InputError(f"window ({left}, {top}, {width}, {height}) reaches outside the density map")
    return density[..., r0:r1, c0:c1]


@dataclass(frozen=True)
class Tile:
    """One tile in pixels: the window that is read and, inside it, the core whose cells are kept.

    ``left, top, right, bottom`` bound what the network sees; ``core_*`` bound the part that this tile answers for. The
    cores of all tiles partition the image on cell borders.

    Examples
    --------
    >>> first, second = tiles(height=32, width=64, size=32, overlap=8, multiple=8)
    >>> (first.left, first.right), (first.core_left, first.core_right)
    ((0, 40), (0, 32))
    >>> (second.left, second.right), (second.core_left, second.core_right)
    ((24, 64), (32, 64))
    """

    left: int
    top: int
    right: int
    bottom: int
    core_left: int
    core_top: int
    core_right: int
    core_bottom: int


def tiles(height: int, width: int, *, size: int | tuple[int, int], overlap: int, multiple: int) -> Iterator[Tile]:
    """Yield tiles whose cores partition the image and whose windows add up to ``overlap`` px of context on each side.

    Parameters
    ----------
    height, width
        Image size, px.
    size
        Side of the core, px, or its (height, width); rounded up to ``multiple``.
    overlap
        Context on every side, px; rounded up to ``multiple``. With at least the network's receptive
        radius, tiling gives the density of the whole image.
    multiple
        The network's coarsest stride, px. Windows start on multiples of it, so that a tile sees the same grid phase as
        the whole image.

    Examples
    --------
    >>> found = tiles(8, 20, size=8, overlap=4, multiple=4)
    >>> [(tile.left, tile.right, tile.core_left, tile.core_right) for tile in found]
    [(0, 12, 0, 8), (4, 20, 8, 16), (12, 20, 16, 20)]
    """
    sides = (size, size) if isinstance(size, int) else size
    if min(sides) < 1 or overlap < 0 or multiple < 1:
        raise InputError(f"tile size {size}, overlap {overlap}, multiple {multiple}: all must be positive")
    rows, columns = (-(-side // multiple) * multiple for side in sides)
    margin = -(-overlap // multiple) * multiple
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            bottom, right = min(top + rows, height), min(left + columns, width)
            yield Tile(
                max(left - margin, 0),
                max(top - margin, 0),
                min(right + margin, width),
                min(bottom + margin, height),
                left,
                top,
                right,
                bottom,
            )
