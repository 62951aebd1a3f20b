"""The dual of a batch on a GPU, with the pairs and the maximisation in kernels."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.ascent import Progress
from dotcount.transport.cells import SIDE, CellBlocks, Grid
from dotcount.transport.dual import Account, Point, TensorDual
from dotcount.transport.gpu import driver
from dotcount.transport.gpu.driver import Argument
from dotcount.transport.neighbours import TILE, Neighbours
from dotcount.transport.pairs import TensorPlans
from dotcount.transport.penalties import KL, Equality
from dotcount.transport.problem import TransportProblem
from dotcount.transport.rounding import Scales, Sizes, excess, largest_error
from dotcount.transport.systems import Systems

THREADS = 512
"""Threads of a block, which solves one image."""
MOST_DOTS, MOST_BLOCKS = 6_000, 4_096
"""Dots, and blocks of cells, of an image up to which one thread block is faster than the whole device with tensors.

The former also have to fit into the memory that the threads of a block share.
"""
NUMBERS = 16
"""Numbers an image that the kernel ``account`` returns."""
SLACK = 1e-6
"""Rounding of the scores by which pairs are chosen, relative to the largest of them."""


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


def fits(problem: TransportProblem, cells: CellBlocks) -> bool:
    """Whether the kernels serve for this problem, on a device that has them."""
    dots, blocks = problem.weights.shape[1], max(grid.n_blocks for grid in cells.grids)
    small = dots <= MOST_DOTS and blocks <= MOST_BLOCKS
    return small and problem.dtype == torch.float32 and problem.cost.delta is None


class KernelDual(TensorDual):
    """See :class:`dotcount.transport.dual.Dual`; what is not overridden here works on the same pairs with tensors."""

    def _prepare(self, n_dots: list[int], beta: Tensor, cutoff: float) -> None:
        problem, cells = self.problem, self.cells
        device = self.device = beta.device
        n_blocks, width, n_images = len(cells.mass), beta.shape[1], len(beta)
        self.n_dots = torch.tensor(n_dots, dtype=torch.int32).to(device, non_blocking=True)
        self.layout = _layout(cells.grids, device)
        self.capacity = -(-width // TILE) * TILE
        self.lists = torch.empty(n_blocks, self.capacity, dtype=torch.int16, device=device)
        self.counts = torch.empty(n_blocks, dtype=torch.int32, device=device)
        self.log_dropped = torch.empty(n_blocks, dtype=torch.float64, device=device)
        listed = torch.zeros(n_images, width, dtype=torch.uint8, device=device)
        chosen = beta.nan_to_num(0.0)
        most, warps = max(grid.n_blocks for grid in cells.grids), 8
        self._launch(
            "choose_pairs", (-(-most // warps), n_images), 32 * warps, 0,
            self.layout.numbers, self.layout.units, problem.dots, chosen, self.n_dots, width, self.capacity,
            int(problem.cost.kind), self.epsilon, cutoff * self.epsilon, SLACK, self.lists, self.counts,
            self.log_dropped, listed,
        )  # fmt: skip
        if not math.isinf(cutoff):
            self._launch(
                "place_unlisted", (n_images, 1), 256, 0, self.layout.numbers, self.layout.units, problem.dots,
                self.n_dots, width, self.capacity, listed, self.lists, self.counts,
            )  # fmt: skip
        tiles = torch.div(self.counts + (TILE - 1), TILE, rounding_mode="floor")
        ends = tiles.cumsum(0)
        self.first_tile, self.n_tiles = ends - tiles, int(ends[-1])
        self.plans = torch.empty(self.n_tiles, SIDE * SIDE, TILE, dtype=torch.float32, device=device)
        self.concentration = torch.full((n_images, width), -1.0, dtype=torch.float32, device=device)
        self.reference_beta = torch.full_like(beta, math.inf)
        self._last: Point | None = None

    def _launch(self, name: str, grid: tuple[int, int], threads: int, shared: int, *arguments: Argument) -> None:
        driver.launch(name, self.device, grid, threads, shared, arguments)

    def _terms(self) -> list[Argument]:
        """Return what the kernels that look at a point take first."""
        problem, cells = self.problem, self.cells
        return [
            self.layout.numbers, self.layout.units, self.n_dots, cells.corner, cells.mass, problem.dots,
            problem.weights, self.lists, self.counts, self.first_tile, self.plans, problem.weights.shape[1],
            self.capacity, int(problem.cost.kind), int(problem.pixel_penalty.kind), problem.pixel_penalty.rho,
            int(problem.dot_penalty.kind), problem.dot_penalty.rho, self.epsilon,
        ]  # fmt: skip

    @functools.cached_property
    def pairs(self) -> TensorPlans:  # type: ignore[override]
        """The pairs as :class:`TensorDual` knows them; they are arranged when something asks for them."""
        place = torch.arange(self.n_tiles, device=self.device)
        block = torch.searchsorted(self.first_tile, place, right=True) - 1
        entry = (place - self.first_tile[block])[:, None] * TILE + torch.arange(TILE, device=self.device)
        there = entry < self.counts[block][:, None]
        dot = self.lists[block[:, None], entry.clamp(max=self.capacity - 1)].long() & 0xFFFF
        n_images, width = self.problem.weights.shape
        flat = torch.where(there, dot + self.cells.image[block][:, None] * width, n_images * width)
        found = Neighbours(flat, block, self.log_dropped)
        pairs = TensorPlans(self.cells, found, self.problem.dots, self.problem.cost, self.problem.dtype)
        pairs.plans = self.plans
        return pairs

    @functools.cached_property
    def systems(self) -> Systems:  # type: ignore[override]
        """Newton's systems on :attr:`pairs`."""
        return Systems(self.problem, self.cells, self.pairs)

    def at(self, beta: Tensor) -> Point:
        """See :meth:`Dual.at`."""
        everyone = torch.ones(len(beta), dtype=torch.bool, device=beta.device)
        return self.ascend(beta, everyone, 0.0, 1, None, False).point

    def anew(self, beta: Tensor) -> Point:
        """See :meth:`TensorDual.anew`."""
        return self.at(beta)

    def ascend(
        self, beta: Tensor, active: Tensor, tol: float, budget: int, known: Point | None, renewable: bool
    ) -> Progress:
        """See :func:`dotcount.transport.ascent.ascend`; each image has the budget for itself.

        The tensors of ``known`` become those of the point that is returned.
        """
        n_images, width = beta.shape
        if known is None or known is not self._last:
            known, beta = None, beta.clone()
            cell, dot = self.cells.mass.new_empty(3, *self.cells.mass.shape), beta.new_empty(2, n_images, width)
            state = [beta, *cell, *dot, *beta.new_empty(2, n_images)]
        else:
            state = [known.beta, known.alpha, known.total, known.q, known.gamma, known.m, known.value, known.gap]
        flags = torch.empty(2, n_images, dtype=torch.bool, device=self.device)
        evaluations = torch.empty(n_images, dtype=torch.int32, device=self.device)
        room = torch.empty(2, n_images, width, dtype=torch.float64, device=self.device)
        rows = torch.empty(6 * n_images * width + self.cells.mass.numel(), dtype=torch.float32, device=self.device)
        self._launch(
            "maximise", (n_images, 1), THREADS, 8 * width, *self._terms(), *state, self.search_beta,
            self.span if renewable else math.inf, tol, budget, int(known is not None), active, self.concentration,
            rows[6 * n_images * width :], rows, room, evaluations, *flags,
        )  # fmt: skip
        beta, alpha, total, q, gamma, m, value, gap = state
        end = gamma.new_zeros(1)
        factor, received = torch.cat([torch.ones_like(gamma).flatten(), end]), torch.cat([gamma.flatten(), end])
        self._last = Point(beta, alpha, factor, total, q, received, gamma, m, value, gap)
        self.reference_beta = beta
        return Progress(self._last, evaluations, flags[0], renewable and bool(flags[1].any()))

    def account(self, point: Point) -> Account:
        """See :meth:`Dual.account`."""
        n_images = len(point.value)
        out = torch.empty(n_images, NUMBERS, dtype=torch.float64, device=self.device)
        state = [point.beta, point.alpha, point.total, point.q, point.gamma, point.m]
        self._launch(
            "account", (n_images, 1), THREADS, 0, *self._terms(), *state, self.search_beta, self.log_dropped, out
        )
        bounds = [
            self._excess(grid, far, row) for grid, far, row in zip(self.cells.grids, self.problem.far, out.tolist())
        ]
        below, above = torch.tensor(bounds, dtype=torch.float64).to(self.device, non_blocking=True).unbind(1)
        dropped, shift, spilled, pixels, transport = out[:, :5].unbind(1)
        return Account(dropped, shift, spilled, pixels, transport, below, above)

    def _excess(self, grid: Grid, far: float, row: list[float]) -> tuple[float, float]:
        """Return :func:`dotcount.transport.rounding.excess` of an image from its row of ``account``."""
        _, _, _, _, transport, mass, moved, potential, dots, owed, slope, span, stretch, least, lost, steepest = row
        problem = self.problem
        pixel, strength, floored = problem.pixel_penalty, problem.dot_penalty.rho, 0.0
        if isinstance(problem.dot_penalty, Equality):
            strength = max(pixel.rho, self.epsilon)
            if not isinstance(pixel, KL):
                strength = self.epsilon + 2.0 * pixel.rho * steepest
            floored = math.inf if lost else moved * math.exp(self.log_floored) / least
        kinds, terms = (int(problem.cost.kind), int(pixel.kind)), float(grid.n_blocks + problem.weights.shape[1])
        roundoff = 0.5 * torch.finfo(problem.dtype).eps
        scales = Scales(*kinds, self.epsilon, pixel.rho, strength, roundoff, grid.unit, far)
        sizes = Sizes(mass, moved, transport, 0.0, potential, dots, owed, slope, span, terms, stretch, floored)
        return excess(scales, sizes, largest_error(scales, sizes.span))
