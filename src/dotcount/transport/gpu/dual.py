"""The dual of a batch on a GPU, with the pairs and the maximisation in kernels."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dotcount.transport import rescaling
from dotcount.transport.ascent import Progress
from dotcount.transport.cells import SIDE, CellBlocks, Grid
from dotcount.transport.dual import Account, Dual, Point, TensorDual
from dotcount.transport.gpu import driver
from dotcount.transport.gpu.driver import MAXIMA, SUMS, Argument
from dotcount.transport.neighbours import TILE
from dotcount.transport.penalties import Equality
from dotcount.transport.problem import TransportProblem
from dotcount.transport.rounding import Sizes

THREADS, WARPS = 512, 16
"""Threads of a thread block, and warps, each of which works on a block of cells at a time."""
FEW_THREADS, FEW_WARPS = 256, 8
"""The same for kernels whose thread blocks do not depend on each other."""
MOST_DOTS, MOST_BLOCKS = 5_000, 4_096
"""Dots, and blocks of cells, of an image up to which the kernels are faster than tensors.

The former also have to fit into the memory that the threads of a block share.
"""
LARGEST_INT = 2**31 - 1
"""Largest number that the kernels can count to."""
SHARED = 33 * 8
"""Bytes that the threads of a block share, besides a float32 a dot."""
SLACK = 2e-6
"""Rounding of the scores by which pairs are chosen, relative to the largest cost or potential; at most 17 * 2^-24."""


@dataclass(frozen=True)
class _Layout:
    """Rows, columns, blocks along x and first block of each image, with one more first block at the end; cell sides."""

    numbers: Tensor
    units: Tensor


@functools.lru_cache(maxsize=64)
def _layout(grids: tuple[Grid, ...], device: torch.device) -> _Layout:
    """Return the layout of a batch, which comes again and again."""
    rows = [[one.rows, one.columns, one.block_columns, one.first_block] for one in grids]
    rows.append([0, 0, 0, grids[-1].first_block + grids[-1].n_blocks])
    units = torch.tensor([one.unit for one in grids], dtype=torch.float64, device=device)
    return _Layout(torch.tensor(rows, dtype=torch.int32, device=device), units)


@functools.lru_cache(maxsize=16)
def _ones(n: int, device: torch.device) -> Tensor:
    """Return the factors of shares that are those of the point itself, with the dummy's 0."""
    return torch.cat([torch.ones(n, dtype=torch.float64, device=device), torch.zeros(1, device=device).double()])


def fits(problem: TransportProblem, cells: CellBlocks) -> bool:
    """Whether the kernels serve for this problem, on a device that has them."""
    dots, blocks = problem.weights.shape[1], max(grid.n_blocks for grid in cells.grids)
    small = dots <= MOST_DOTS and blocks <= MOST_BLOCKS
    return small and problem.dtype == torch.float32 and problem.cost.delta is None


class KernelDual(Dual):
    """See :class:`dotcount.transport.dual.Dual`; the loops over pairs are those of ``kernels.cu``."""

    log_floored = TensorDual.log_floored

    def _prepare(self, active: Tensor, beta: Tensor, cutoff: float) -> None:
        problem, cells = self.problem, self.cells
        device = self.device = beta.device
        n_blocks, (n_images, width) = len(cells.mass), beta.shape
        self.layout = _layout(cells.grids, device)
        self.capacity = -(-width // TILE) * TILE
        self.lists = torch.empty(n_blocks, self.capacity, dtype=torch.int16, device=device)
        self.counts = torch.empty(n_blocks, dtype=torch.int32, device=device)
        self.log_dropped = torch.empty(n_blocks, dtype=torch.float64, device=device)
        listed = torch.zeros(n_images, width, dtype=torch.uint8, device=device)
        chosen, n_dots = beta.nan_to_num(0.0), problem.present.sum(1, dtype=torch.int32)
        most = self.most_blocks = max(grid.n_blocks for grid in cells.grids)
        self._launch(
            "choose_pairs", (-(-most // FEW_WARPS), n_images), FEW_THREADS, 0, self.layout.numbers,
            self.layout.units, problem.dots, chosen, n_dots, active, width, self.capacity, int(problem.cost.kind),
            self.epsilon, cutoff * self.epsilon, SLACK, self.lists, self.counts, self.log_dropped, listed,
        )  # fmt: skip
        if not math.isinf(cutoff):
            self._launch(
                "place_unlisted", (1, n_images), FEW_THREADS, 0, self.layout.numbers, self.layout.units,
                problem.dots, n_dots, active, width, self.capacity, listed, self.lists, self.counts,
            )  # fmt: skip
        n_tiles = n_blocks * (self.capacity // TILE)
        if 4 * SIDE * SIDE * TILE * n_tiles <= driver.spare_memory(device):
            self.first_tile = torch.arange(n_blocks, device=device).mul_(self.capacity // TILE)
        else:  # as many as there are: for this the device has to be waited for
            tiles = torch.div(self.counts + (TILE - 1), TILE, rounding_mode="floor")
            ends = tiles.cumsum(0)
            self.first_tile, n_tiles = ends - tiles, int(ends[-1])
        self.plans = torch.empty(n_tiles, SIDE * SIDE, TILE, dtype=torch.float32, device=device)
        self.concentration = torch.full((n_images, width), -1.0, dtype=torch.float32, device=device)
        self._last: Point | None = None

    def _launch(self, name: str, grid: tuple[int, int], threads: int, shared: int, *arguments: Argument) -> None:
        driver.launch(name, self.device, grid, threads, shared, arguments)

    def _terms(self) -> list[Argument]:
        """Return what the kernels that look at a point take first."""
        problem, cells = self.problem, self.cells
        return [
            self.layout.numbers, self.layout.units, cells.corner, cells.mass, problem.dots, problem.weights,
            self.lists, self.counts, self.first_tile, self.plans, problem.weights.shape[1], self.capacity,
            int(problem.cost.kind), int(problem.pixel_penalty.kind), problem.pixel_penalty.rho,
            int(problem.dot_penalty.kind), problem.dot_penalty.rho, self.epsilon,
        ]  # fmt: skip

    def _parts(self) -> int:
        """Return among how many thread blocks an image is shared out: all run at the same time."""
        return max(1, min(driver.multiprocessors(self.device) // len(self.cells.grids), -(-self.most_blocks // WARPS)))

    def at(self, beta: Tensor) -> Point:
        """See :meth:`Dual.at`."""
        everyone = torch.ones(len(beta), dtype=torch.bool, device=beta.device)
        return self.ascend(beta, everyone, 0.0, 1, None, False).point

    def ascend(
        self, beta: Tensor, active: Tensor, tol: float, budget: int, known: Point | None, renewable: bool
    ) -> Progress:
        """See :func:`dotcount.transport.ascent.ascend`; each image has the budget for itself.

        The tensors of ``known`` become those of the point that is returned.
        """
        (n_images, width), n_cells, parts = beta.shape, self.cells.mass.numel(), self._parts()
        n_dots = n_images * width
        if known is None or known is not self._last:
            alpha, total, q = self.cells.mass.new_empty(3, *self.cells.mass.shape)
            received, m = beta.new_zeros(n_dots + 1), torch.empty_like(beta)
            value, gap = beta.new_empty(2, n_images)
            ones = _ones(n_dots, self.device)
            gamma = received[:-1].view_as(beta)
            point = Point(beta.clone(), alpha, ones, total, q, received, gamma, m, value, gap)
        else:
            point = known
        flags = torch.empty(2, n_images, dtype=torch.bool, device=self.device)
        evaluations = torch.empty(n_images, dtype=torch.int32, device=self.device)
        # float64, and two float32 or int32 in the place of one
        sizes = [3 * n_dots, 12 * n_images, -(-3 * n_dots // 2), n_images]
        gamma_slots, sum_slots, applied_slots, arrived = beta.new_zeros(sum(sizes)).split(sizes)
        sizes = [5 * parts * n_dots, -(-7 * parts * n_dots // 2), -(-n_cells // 2)]
        doubles, floats, second = beta.new_empty(sum(sizes)).split(sizes)
        self._launch(
            "maximise", (parts, n_images), THREADS, SHARED + 4 * width, *self._terms(), point.beta, point.alpha,
            point.total, point.q, point.gamma, point.m, point.value, point.gap, self.search_beta,
            self.span if renewable else math.inf, float(tol), int(min(budget, LARGEST_INT)), int(point is known),
            active, self.concentration, second, floats, doubles, gamma_slots, applied_slots, sum_slots, arrived,
            evaluations, flags[0], flags[1],
        )  # fmt: skip
        self._last = point
        return Progress(point, evaluations, flags[0], renewable and bool(flags[1].any()))

    def hard_minimum(self, beta: Tensor) -> Tensor:
        """See :meth:`Dual.hard_minimum`."""
        out, problem = torch.empty_like(self.cells.mass), self.problem
        self._launch(
            "hard_minimum", (-(-self.most_blocks // FEW_WARPS), len(beta)), FEW_THREADS, 0, self.layout.numbers,
            self.layout.units, self.cells.corner, problem.dots, self.lists, self.counts, beta.shape[1], self.capacity,
            int(problem.cost.kind), beta, out,
        )  # fmt: skip
        return out

    def account(self, point: Point) -> Account:
        """See :meth:`Dual.account`."""
        n_images, parts = len(point.value), self._parts()
        numbers = len(SUMS) + len(MAXIMA)
        out = torch.empty(n_images, parts, numbers, dtype=torch.float64, device=self.device)
        self._launch(
            "account", (parts, n_images), THREADS, SHARED, *self._terms(), point.beta, point.alpha, point.total,
            point.q, point.gamma, point.m, self.search_beta, self.log_dropped, out,
        )  # fmt: skip
        found = out.cpu().numpy()
        both = np.concatenate([found[..., : len(SUMS)].sum(1), found[..., len(SUMS) :].max(1)], 1)
        rows = [dict(zip([*SUMS, *MAXIMA], row)) for row in both.tolist()]
        steepest = torch.tensor([row["steepest"] for row in rows], dtype=torch.float64)
        a, b = rescaling.strengths(self.problem.pixel_penalty, self.epsilon, steepest)
        bounds = [self._rounding(k, row, a, each) for k, (row, each) in enumerate(zip(rows, b.tolist()))]
        columns = ["dropped", "shift", "spilled", "pixels", "transport"]
        every = [[*(row[name] for name in columns), *bound] for row, bound in zip(rows, bounds)]
        return Account(*torch.tensor(every, dtype=torch.float64).to(self.device, non_blocking=True).unbind(1))

    def _rounding(self, image: int, row: dict[str, float], a: float, b: float) -> tuple[float, float]:
        """Return :meth:`Dual._excess` of an image from what ``account`` found; ``a``, ``b``: see ``rescaling``."""
        strength, slope, floored = self.problem.dot_penalty.rho, row["slope"], 0.0
        if isinstance(self.problem.dot_penalty, Equality):
            strength, slope = a + 2.0 * b, a * slope + b * row["bent"]
            floored = math.inf if row["lost"] else row["moved"] * math.exp(self.log_floored) / -row["least"]
        sizes = Sizes(
            mass=row["mass"],
            moved=row["moved"],
            transport=row["transport"],
            stiff=0.0,
            potential=row["potential"],
            dots=row["dots"],
            dot_potential=row["owed"],
            slope=slope,
            span=max(row["high"] + row["low"], 0.0),
            terms=float(self.cells.grids[image].n_blocks + self.problem.weights.shape[1]),
            stretch=row["stretch"],
            floored=floored,
        )
        return self._excess(image, sizes, strength)
