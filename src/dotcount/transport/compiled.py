"""The dual function and its maximisation by compiled loops (numba).

They are for CPUs, where many small tensor operations cost more than their work.

Same meaning as :class:`dotcount.transport.dual.TensorDual`, which serves elsewhere: without numba, or with the
environment variable ``DOTCOUNT_NUMBA=0``. GPUs have kernels of their own, :mod:`dotcount.transport.gpu`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dotcount.transport.ascent import Progress
from dotcount.transport.ascent import ascend as ascend_on_tensors
from dotcount.transport.cells import CellBlocks
from dotcount.transport.costs import Cost
from dotcount.transport.dual import Account, Dual, Point, TensorDual
from dotcount.transport.gpu import driver
from dotcount.transport.gpu.dual import KernelDual, fits
from dotcount.transport.penalties import Penalty
from dotcount.transport.problem import TransportProblem
from dotcount.transport.systems import parts_along_side

SWITCH = "DOTCOUNT_NUMBA"
"""Environment variable that turns the compiled loops off when it is ``0``."""
THREADED = 10_000
"""(Block, dot) pairs of a batch from which its images are shared out among threads."""
SPARE, LOANS = 1 << 27, 4
"""Bytes, and pieces of memory, that are kept for the next solve at most."""


@functools.cache
def _kernels() -> Any:
    """Return the module of kernels, or None where numba cannot be imported."""
    try:
        return importlib.import_module("dotcount.transport.kernels")
    except ImportError:
        return None


def usable(device: torch.device) -> bool:
    """Whether the compiled loops can and may be used for tensors of this device."""
    return device.type == "cpu" and os.environ.get(SWITCH, "") != "0" and _kernels() is not None


def make_dual(
    problem: TransportProblem, cells: CellBlocks, epsilon: float, beta: Tensor, cutoff: float, active: Tensor
) -> Dual:
    """Return the dual function on neighbouring pairs, compiled where that is possible; see :class:`Dual`."""
    kind: type[Dual] = TensorDual
    if problem.shrink is not None:  # neither the loops nor the kernels know lengths of single dots
        return TensorDual(problem, cells, epsilon, beta, cutoff, active)
    if usable(beta.device):
        kind = CompiledDual
    elif driver.usable(beta.device) and fits(problem, cells):
        kind = KernelDual
    return kind(problem, cells, epsilon, beta, cutoff, active)


def ascend(
    dual: Dual,
    beta: Tensor,
    active: Tensor,
    tol: float,
    budget: int,
    known: Point | None = None,
    renewable: bool = True,
) -> Progress:
    """Maximise the dual from ``beta``, compiled where ``dual`` is; see :func:`dotcount.transport.ascent.ascend`."""
    if isinstance(dual, CompiledDual | KernelDual):
        return dual.ascend(beta, active, tol, budget, known, renewable)
    assert isinstance(dual, TensorDual), "one of the two that make_dual makes"
    return ascend_on_tensors(dual, beta, active, tol, budget, known, renewable)


@contextlib.contextmanager
def few_threads(device: torch.device, compiled: bool = True) -> Iterator[int]:
    """Keep torch to one thread where the compiled loops run, if they may; yields the number of threads they may use.

    What torch has left to do there is so small that waking its threads up takes longer than the work, much longer on a
    busy machine.
    """
    threads = torch.get_num_threads()
    if not (compiled and usable(device)):
        yield threads
        return
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; a forked one gets its own."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix=f"dotcount-{process}")


class _Loan:
    """Memory that goes back to the spare when nobody holds the loan any more, to be lent again.

    The system clears the pages of new memory, which takes longer than the kernels need to fill them.
    """

    _spare: ClassVar[list[np.ndarray]] = []
    _lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, size: int, dtype: torch.dtype) -> None:
        needed = size * dtype.itemsize
        with self._lock:
            fitting = [k for k, one in enumerate(self._spare) if len(one) >= needed]
            best = min(fitting, key=lambda k: len(self._spare[k]), default=None)
            self._memory = np.empty(needed, np.uint8) if best is None else self._spare.pop(best)
        self.array: np.ndarray = self._memory[:needed].view(_dtype(dtype))

    def __del__(self) -> None:
        with self._lock:
            self._spare.append(self._memory)
            while sum(map(len, self._spare)) > SPARE or len(self._spare) > LOANS:
                self._spare.pop(0)


def _numbers(cost: Cost) -> tuple[int, float]:
    return int(cost.kind), math.inf if cost.delta is None else cost.delta


def _strength(penalty: Penalty) -> tuple[int, float]:
    return int(penalty.kind), penalty.rho


@functools.cache
def _groups(n_images: int, n: int) -> list[tuple[int, int]]:
    """Return the first and last + 1 of up to n groups of images."""
    edges = sorted({round(k * n_images / n) for k in range(n + 1)})
    return list(itertools.pairwise(edges))


_FIELDS = [field.name for field in dataclasses.fields(Account)]


class CompiledDual(Dual):
    """See :class:`Dual`; the loops over pairs are those of :mod:`dotcount.transport.kernels`."""

    def _prepare(self, active: Tensor, beta: Tensor, cutoff: float) -> None:
        problem, cells, n_dots = self.problem, self.cells, self._dots_of(active)
        self.kernels = _kernels()
        self.log_floored = self.kernels.LOG_FLOORED
        n_images, width = problem.weights.shape
        kind, delta = _numbers(problem.cost)
        places, potentials = problem.dots.numpy(), beta.numpy()
        dummy = np.uint32(n_images * width)
        indices, lengths, bounds = [], [], []
        for b, (grid, m) in enumerate(zip(cells.grids, n_dots)):
            if m == 0:
                lengths.append(np.zeros(grid.n_blocks, np.int64))
                bounds.append(np.full(grid.n_blocks, -math.inf))
                continue
            if self.whole and problem.cost.delta is None:
                every: np.ndarray = np.full((grid.n_blocks, -(-m // self.kernels.PAD) * self.kernels.PAD), dummy)
                every[:, :m] = np.arange(b * width, b * width + m, dtype=np.uint32)
                indices.append(every.ravel())
                lengths.append(np.full(grid.n_blocks, every.shape[1]))
                bounds.append(np.full(grid.n_blocks, -math.inf))
                continue
            dots, start = places[b, :m], potentials[b, :m]
            largest = float(np.abs(dots).max()) + max(grid.rows, grid.columns) * grid.unit
            slack = 1e-12 * (max(largest, largest * largest) + float(np.abs(start).max()))
            rule = self.kernels.Rule(kind, delta, self.epsilon, cutoff * self.epsilon, slack)
            field = self.kernels.Field(grid.rows, grid.columns, grid.unit, dots, start)
            index, count, bound = self.kernels.search(rule, field, n_images * width, b * width)
            indices.append(index)
            lengths.append(count)
            bounds.append(bound)
        kept = np.concatenate(lengths)
        self.log_dropped = torch.from_numpy(np.concatenate(bounds))
        index = np.concatenate(indices) if indices else np.zeros(0, np.uint32)
        size = len(index) * self.kernels.K
        if problem.rough and problem.dtype == torch.float64:  # Newton's systems have shares of their own
            self._loans, apart = [_Loan(size, torch.float64), _Loan(size, torch.float32)], 0
        else:
            self._loans, apart = [_Loan(2 * size, problem.dtype)], size
        block = np.zeros((3, len(kept)), np.int64)
        side = parts_along_side(n_dots, [grid.n_blocks for grid in cells.grids])
        self._pairs = self.kernels.PairLists(
            np.array([grid.first_block for grid in cells.grids] + [len(kept)]),
            np.concatenate([[0], np.cumsum(kept)]), index, self._loans[0].array, self._loans[-1].array, apart,
            np.zeros(cells.mass.shape), *block, np.empty(len(kept)),
            np.full(n_images * width, -1.0, self._loans[-1].array.dtype),
            self.kernels.parts_of_dots(places, np.array(n_dots), side), np.zeros((n_images, side * side, side * side)),
        )  # fmt: skip
        corners = np.concatenate([places.reshape(-1, 2), np.zeros((1, 2))])
        trim = self.cutoff if self.whole else math.inf  # the search has trimmed already
        self._ground = self.kernels.Ground(
            *_numbers(problem.cost), self.epsilon, trim, corners, cells.corner.numpy(), cells.unit.numpy()
        )
        self.renew(problem, cells)
        self._reference_beta: np.ndarray = np.full(n_images * width + 1, math.inf)  # no shares yet
        self._reference_beta[-1] = -math.inf
        self._far = np.array(problem.far)
        self._accounted: tuple[Point, np.ndarray] | None = None

    def renew(self, problem: TransportProblem, cells: CellBlocks) -> None:
        """See :meth:`Dual.renew`."""
        super().renew(problem, cells)
        self._accounted = None
        self._objective = self.kernels.Objective(
            *_strength(problem.pixel_penalty), *_strength(problem.dot_penalty), cells.mass.numpy(),
            problem.weights.numpy(),
        )  # fmt: skip

    def _run(self, kernel: Callable[[int, int], None]) -> None:
        """Run a kernel on all images; where that pays, threads take one group of images after the other."""
        n_images = len(self.cells.grids)
        threads = min(self.problem.threads, n_images)
        if threads <= 1 or len(self._pairs.dots) < THREADED:
            kernel(0, n_images)
            return
        groups = iter(_groups(n_images, 2 * threads))

        def work() -> None:
            for first, last in groups:
                kernel(first, last)

        pool = _pool(os.getpid())
        helpers = [pool.submit(work) for _ in range(threads - 1)]
        work()
        for helper in helpers:
            if not helper.cancel():  # a helper that has not begun by now is not waited for
                helper.result()

    def at(self, beta: Tensor) -> Point:
        """See :meth:`Dual.at`."""
        return self.ascend(beta, torch.ones(len(beta), dtype=torch.bool), 0.0, 1, None, False).point

    def ascend(
        self, beta: Tensor, active: Tensor, tol: float, budget: int, known: Point | None, renewable: bool
    ) -> Progress:
        """See :func:`dotcount.transport.ascent.ascend`; each image has the budget for itself.

        The tensors of ``known`` become those of the point that is returned.
        """
        n_images = len(beta)
        if known is None:
            cell, dot = np.empty((3, *self.cells.mass.shape)), np.empty((2, *beta.shape))
            flat, image = np.zeros((2, beta.numel() + 1)), np.empty((2, n_images))
            state = self.kernels.State(beta.numpy().copy(), *cell, *flat, *dot, *image)
        else:
            state = self.kernels.State(*(getattr(known, name).numpy() for name in self.kernels.State._fields))
        evaluations, ended = np.empty(n_images, np.int64), np.empty((2, n_images), np.bool_)
        accounts = np.empty((len(_FIELDS), n_images)) if renewable else None

        anchor = self._anchor(renewable)
        limits = self.kernels.Limits(tol, budget, known is not None)
        progress = self.kernels.ImageFlags(active.numpy(), evaluations, *ended)

        def work(first: int, last: int) -> None:
            self.kernels.maximise(
                first, last, self._objective, self._ground, self._pairs, state, anchor, limits, progress
            )  # fmt: skip
            if accounts is not None:
                self._count(first, last, state, accounts)

        self._run(work)
        point = Point(**{name: torch.from_numpy(part) for name, part in state._asdict().items()})
        self._accounted = None if accounts is None else (point, accounts)
        return Progress(point, torch.from_numpy(evaluations), torch.from_numpy(ended[0]), bool(ended[1].any()))

    def account(self, point: Point) -> Account:
        """See :meth:`Dual.account`; pairs are also trimmed when they are referred to.

        That of the point where a maximisation with renewable pairs has ended is at hand: threads are woken up once for
        both.
        """
        if self._accounted is None or self._accounted[0] is not point:
            out: np.ndarray = np.empty((len(_FIELDS), len(point.value)))
            state = self.kernels.State(*(getattr(point, name).numpy() for name in self.kernels.State._fields))
            self._run(lambda first, last: self._count(first, last, state, out))
            self._accounted = point, out
        return Account(*torch.from_numpy(self._accounted[1]))

    def _count(self, first: int, last: int, state: Any, out: np.ndarray) -> None:
        self.kernels.account(
            first, last, self._objective, self._ground, self._pairs, state, self._anchor(True), out
        )  # fmt: skip

    def _anchor(self, renewable: bool) -> Any:
        """Return what the lists and plans at hand refer to."""
        return self.kernels.Anchor(
            self._reference_beta, self.kernels.REACH, self.search_beta.numpy(), self.span if renewable else math.inf,
            self.log_dropped.numpy(), self._far,
        )  # fmt: skip

    def hard_minimum(self, beta: Tensor) -> Tensor:
        """See :meth:`Dual.hard_minimum`."""
        out = torch.empty_like(self.cells.mass)
        extended = np.append(beta.numpy().ravel(), -math.inf)
        self._run(
            lambda first, last: self.kernels.hard_minimum(first, last, self._ground, self._pairs, extended, out.numpy())
        )
        return out


def _dtype(dtype: torch.dtype) -> type:
    return np.float64 if dtype == torch.float64 else np.float32
