"""Newton's linear systems of a batch on tensor operations: the matrix, what preconditions it, conjugate gradients.

Nothing here waits for the device but one look, every :data:`LOOK` steps, at whether an image has steps left to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.cells import CellBlocks
from dotcount.transport.pairs import TensorPlans
from dotcount.transport.problem import TransportProblem

DOTS_OF_PART, BLOCKS_OF_PART, LARGEST_SIDE = 16, 4, 16
"""Dots, and blocks, that a part of an image has at least on average, and most parts along a side."""
LOOK = 2
"""Steps of conjugate gradients from one look to the next at whether all images are done.

On a GPU starting a step takes ten times as long as a look: few steps for nothing are worth more than few looks.
"""
RIDGE = 1e-6
"""Share of its diagonal that is added to the matrix between parts, lest rounding make it indefinite."""


def parts_along_side(n_dots: list[int], n_blocks: list[int]) -> int:
    """Return into how many boxes along x and y the images of a batch are divided; 0 where they are too small.

    Examples
    --------
    >>> parts_along_side([1000, 0], [256, 256]), parts_along_side([40], [256])
    (7, 0)
    """
    most = max((min(m // DOTS_OF_PART, n // BLOCKS_OF_PART) for m, n in zip(n_dots, n_blocks)), default=0)
    side = min(math.isqrt(most), LARGEST_SIDE)
    return side if side > 1 else 0


@dataclass(frozen=True)
class Parts:
    """Boxes of a square grid over each image's dots, which move together in the coarse part of the preconditioner.

    Attributes
    ----------
    number
        Parts of an image, P; the dots that an image lacks belong to one more, which has no matrix.
    of_dot
        (B * m_max + 1,) ``image * (P + 1) + part`` of every dot and of the dummy.
    of_pair
        (n_tiles * TILE,) where the pairs of a tile are summed up: ``row * (P + 1) + part``, with a row for each block.
    rows
        Blocks of the largest image; the others have as many rows, some of them empty.
    row_of_block
        (n_blocks,) ``image * rows`` plus the block's place in its image.
    """

    number: int
    of_dot: Tensor
    of_pair: Tensor
    rows: int
    row_of_block: Tensor


def make_parts(problem: TransportProblem, cells: CellBlocks, pairs: TensorPlans) -> Parts | None:
    """Divide the images into parts; None where they are too small for that."""
    blocks = [grid.n_blocks for grid in cells.grids]
    side = parts_along_side(problem.n_dots, blocks)
    if not side:
        return None
    dots, absent, n = problem.dots, ~problem.present, len(problem.dots)
    low = dots.masked_fill(absent[..., None], math.inf).amin(1, keepdim=True)
    high = dots.masked_fill(absent[..., None], -math.inf).amax(1, keepdim=True)
    scaled = (dots - low) * (side / (high - low).clamp(min=1e-100))
    box = scaled.nan_to_num(0.0).clamp(0, side - 1).long()
    number, rows = side * side, max(blocks)
    part = (box[..., 1] * side + box[..., 0]).masked_fill(absent, number)
    image = torch.arange(n, device=dots.device)
    of_dot = (part + image[:, None] * (number + 1)).flatten()
    of_dot = torch.cat([of_dot, of_dot.new_full((1,), n * (number + 1) - 1)])
    local = torch.cat([part.flatten(), part.new_full((1,), number)])
    first = torch.tensor([grid.first_block for grid in cells.grids], device=dots.device)
    row = torch.arange(len(cells.image), device=dots.device) + cells.image * rows - first[cells.image]
    tiles = row.index_select(0, pairs.block) * (number + 1)
    of_pair = (tiles[:, None] + local.index_select(0, pairs.index).view(len(tiles), -1)).flatten()
    return Parts(number, of_dot, of_pair, rows, row)


class Systems:
    """Newton's matrices at the points of one dual, ``diag(curvature + spread) - P^T second P``.

    Vectors over dots are flat with the dummy's 0 at the end. What preconditions is set by :meth:`renew`: the exact
    diagonal and, for the modes in which all dots of a neighbourhood move together, the matrix between parts.

    Parameters
    ----------
    problem, cells, pairs
        Of the dual.
    """

    def __init__(self, problem: TransportProblem, cells: CellBlocks, pairs: TensorPlans) -> None:
        self.pairs, self.images = pairs, len(problem.dots)
        self.parts = make_parts(problem, cells, pairs)
        self.concentration: Tensor | None = None
        self.coarse: Tensor | None = None

    def renew(self, second: Tensor, total: Tensor, spread: Tensor, fixed: Tensor) -> None:
        """Set what preconditions for the weights ``second`` (n_blocks, k) of the unnormalised shares.

        ``total`` (n_blocks, k) are the sums of the shares; ``fixed`` is the diagonal without the product.
        """
        # How concentrated a dot's mass is, sum_i w p^2 / sum_i w p, changes little: good enough to precondition with.
        shared = self.pairs.columns_squared(second)
        self.concentration = torch.where(spread > 0, shared / spread, 0.0)
        if self.parts is not None:
            self.coarse = self._coarse_inverse(self.parts, second, total.to(second), fixed)

    def _coarse_inverse(self, parts: Parts, second: Tensor, total: Tensor, fixed: Tensor) -> Tensor:
        """Return the (B, P + 1, P + 1) inverses of Newton's matrices between parts.

        The cells of a block count as one, which makes a matrix a little larger than it is. Parts without dots, the one
        of absent dots, and images whose matrix rounding has spoiled, get zeros: nothing is corrected there.
        """
        n, p = self.images, parts.number
        bent = second.clamp(min=0.0) * total
        mass = second.new_zeros(n * parts.rows).index_copy_(0, parts.row_of_block, (bent * total).sum(1))
        sums = second.new_zeros(n * parts.rows * (p + 1))
        sums.scatter_add_(0, parts.of_pair, self.pairs.columns_of_tiles(bent).flatten())
        weight = torch.where(mass > 0, mass, math.inf).rsqrt()
        scaled = (sums.view(n, parts.rows, p + 1) * weight.view(n, parts.rows, 1)).double()
        diagonal = torch.zeros(n * (p + 1), dtype=torch.float64, device=fixed.device)
        diagonal = diagonal.index_add_(0, parts.of_dot, fixed.double()).view(n, p + 1)
        there = (diagonal > 0) & (torch.arange(p + 1, device=fixed.device) < p)
        scaled = scaled * there[:, None]
        matrix = torch.diag_embed(torch.where(there, diagonal * (1.0 + RIDGE), 1.0)) - scaled.mT @ scaled
        factor, spoiled = torch.linalg.cholesky_ex(matrix)
        inverse = torch.cholesky_inverse(factor)
        good = (spoiled == 0) & torch.isfinite(inverse).all(-1).all(-1)
        return torch.where(good[:, None, None] & there[:, :, None] & there[:, None, :], inverse, 0.0).to(second)

    def solve(
        self, second: Tensor, spread: Tensor, fixed: Tensor, right: Tensor, relative: Tensor, steps: int
    ) -> Tensor:
        """Return about the inverse of the matrix times ``right``; see :func:`conjugate_gradient` for the rest."""
        assert self.concentration is not None, "renew comes first"
        diagonal = torch.maximum(fixed - self.concentration * spread, 1e-7 * fixed)
        inverse, negative = 1.0 / torch.where(diagonal > 0, diagonal, 1.0), -second

        def product(x: Tensor) -> Tensor:
            return self.pairs.columns(self.pairs.rows(x).mul_(negative)).addcmul_(fixed, x)

        def precondition(residual: Tensor) -> Tensor:
            if self.parts is None or self.coarse is None:
                return residual * inverse
            moved = residual.new_zeros(self.images * (self.parts.number + 1))
            moved.index_add_(0, self.parts.of_dot, residual)
            moved = torch.bmm(self.coarse, moved.view(self.images, -1, 1)).flatten()
            return moved.index_select(0, self.parts.of_dot).addcmul_(residual, inverse)

        return conjugate_gradient(product, right, precondition, relative, steps)


def conjugate_gradient(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    precondition: Callable[[Tensor], Tensor],
    relative: Tensor,
    steps: int,
) -> Tensor:
    """Solve ``A x = right`` for each image on its own; images of zeros stay zero.

    Parameters
    ----------
    product, precondition
        Symmetric positive definite maps of flat vectors, block-diagonal in the images.
    right
        (rows * m + 1,), the last element 0.
    relative
        (rows,): an image is done when its preconditioned residual norm has fallen by this factor.
    steps
        Stop after this many products.
    """
    rows, tiny = len(relative), torch.finfo(right.dtype).tiny

    def matrix(flat: Tensor) -> Tensor:
        return flat[:-1].view(rows, -1)

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return torch.linalg.vecdot(matrix(a), matrix(b))

    x, residual = torch.zeros_like(right), right.clone()
    direction = precondition(residual)
    rho = dot(residual, direction)
    target = relative * relative * rho
    left = rho > 0
    for step in range(1, steps + 1):
        image = product(direction)
        length = torch.where(left, rho / dot(direction, image).clamp_(min=tiny), 0.0)[:, None]
        matrix(x).addcmul_(matrix(direction), length)
        matrix(residual).addcmul_(matrix(image), length, value=-1.0)
        z = precondition(residual)
        new = dot(residual, z)
        left = left & (new > target)
        if step == steps or (step % LOOK == 0 and not bool(left.any())):
            break
        matrix(direction).mul_((new / rho.clamp(min=tiny))[:, None]).add_(matrix(z))
        rho = new
    return x
