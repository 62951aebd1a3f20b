"""The dual function by compiled loops (numba): for CPUs, where many small tensor operations cost more than their work.

Same meaning as :class:`dotcount.transport.dual.Dual`, which serves elsewhere: on GPUs, without numba, or with the
environment variable ``DOTCOUNT_NUMBA=0``.
"""

from __future__ import annotations

import contextlib
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

from dotcount.transport.cells import Cells
from dotcount.transport.costs import COSTS, Cost
from dotcount.transport.dual import Account, Dual, Point
from dotcount.transport.penalties import PENALTIES, Penalty
from dotcount.transport.problem import Problem

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


def make_dual(problem: Problem, cells: Cells, epsilon: float, beta: Tensor, cutoff: float, active: Tensor) -> Dual:
    """Return the dual function on neighbouring pairs, compiled where that is possible; see :class:`Dual`."""
    kind = CompiledDual if usable(beta.device) else Dual
    return kind(problem, cells, epsilon, beta, cutoff, active)


@contextlib.contextmanager
def few_threads(device: torch.device) -> Iterator[int]:
    """Keep torch to one thread where the compiled loops run; yields the number of threads they may use.

    What torch has left to do there is so small that waking its threads up takes longer than the work, much longer on a
    busy machine.
    """
    threads = torch.get_num_threads()
    if not usable(device):
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
    return COSTS.index(cost.name), math.inf if cost.delta is None else cost.delta


def _strength(penalty: Penalty) -> tuple[int, float]:
    return list(PENALTIES.values()).index(type(penalty)), penalty.rho


@functools.cache
def _groups(n_images: int, n: int) -> list[tuple[int, int]]:
    """Return the first and last + 1 of up to n groups of images."""
    edges = sorted({round(k * n_images / n) for k in range(n + 1)})
    return list(itertools.pairwise(edges))


class CompiledDual(Dual):
    """See :class:`Dual`; the loops over pairs are those of :mod:`dotcount.transport.kernels`."""

    reach = 6.0  # farther away, others would be the pairs that count for Newton's system

    def _prepare(self, n_dots: list[int], beta: Tensor, cutoff: float) -> None:
        problem, cells = self.problem, self.cells
        self.kernels = _kernels()
        n_images, width = problem.weights.shape
        kind, delta = _numbers(problem.cost)
        places, potentials = problem.dots.numpy(), beta.numpy()
        indices, lengths, bounds = [], [], []
        for b, (grid, m) in enumerate(zip(cells.grids, n_dots)):
            if m == 0:
                lengths.append(np.zeros(grid.n_blocks, np.int64))
                bounds.append(np.full(grid.n_blocks, -math.inf))
                continue
            if self.whole and problem.cost.delta is None:
                every = np.full(-(-m // self.kernels.PAD) * self.kernels.PAD, n_images * width, np.uint32)
                every[:m] = np.arange(b * width, b * width + m)
                indices.append(np.tile(every, grid.n_blocks))
                lengths.append(np.full(grid.n_blocks, len(every)))
                bounds.append(np.full(grid.n_blocks, -math.inf))
                continue
            dots, start = places[b, :m], potentials[b, :m]
            largest = float(np.abs(dots).max()) + max(grid.rows, grid.columns) * grid.unit
            slack = 1e-12 * (max(largest, largest * largest) + float(np.abs(start).max()))
            index, count, bound = self.kernels.search(
                kind, delta, self.epsilon, cutoff * self.epsilon, slack, grid.rows, grid.columns, grid.unit,
                dots, start, n_images * width, b * width,
            )  # fmt: skip
            indices.append(index)
            lengths.append(count)
            bounds.append(bound)
        kept = np.concatenate(lengths)
        self.log_dropped = torch.from_numpy(np.concatenate(bounds))
        self._index = np.concatenate(indices) if indices else np.zeros(0, np.uint32)
        self._first = np.concatenate([[0], np.cumsum(kept)])
        self._first_block = np.array([grid.first_block for grid in cells.grids] + [len(kept)])
        self._system_dtype = torch.float32 if problem.rough else problem.dtype
        size = len(self._index) * self.kernels.K
        if self._system_dtype == problem.dtype:
            self._loans, self._apart = [_Loan(2 * size, problem.dtype)], size
        else:
            self._loans, self._apart = [_Loan(size, problem.dtype), _Loan(size, self._system_dtype)], 0
        self._share, self._strong_share = self._loans[0].array, self._loans[-1].array
        self._dots = np.concatenate([places.reshape(-1, 2), np.zeros((1, 2))])
        self._kept, self._strong, self._place = (np.zeros(len(kept), np.int64) for _ in range(3))
        self._log_trimmed = np.empty(len(kept))
        self._lists = self._first_block, self._first, self._index
        self._pairs = self._first_block, self._first, self._kept, self._index
        self._geometry = self._dots, cells.corner.numpy(), cells.unit.numpy()
        self._mass = cells.mass.numpy()

    def _run(self, kernel: Callable, *arguments: Any) -> None:
        """Run a kernel on all images; where that pays, threads take one group of images after the other."""
        n_images = len(self._first_block) - 1
        threads = min(self.problem.threads, n_images)
        if threads <= 1 or len(self._index) < THREADED:
            kernel(0, n_images, *arguments)
            return
        groups = iter(_groups(n_images, 2 * threads))

        def work() -> None:
            for first, last in groups:
                kernel(first, last, *arguments)

        pool = _pool(os.getpid())
        helpers = [pool.submit(work) for _ in range(threads - 1)]
        work()
        for helper in helpers:
            if not helper.cancel():  # a helper that has not begun by now is not waited for
                helper.result()

    def _shares(self, beta: Tensor) -> None:
        extended = np.append(beta.numpy().ravel(), -math.inf)
        self._reference = np.zeros_like(self._mass)
        trim = self.cutoff if self.whole else math.inf  # the search has trimmed already
        self._run(
            self.kernels.refer, *_numbers(self.problem.cost), self.epsilon, trim, *self._lists, *self._geometry,
            extended, self._share, self._reference, self._kept, self._strong, self._place, self._strong_share,
            self._apart, self._log_trimmed,
        )  # fmt: skip

    def _pixels(self, factor: Tensor, known: Point | None, same: Tensor) -> tuple[Tensor, ...]:
        if known is None or not bool(same.any()):
            cell = torch.empty((3, *self.cells.mass.shape), dtype=torch.float64)
            gamma, conjugate = torch.zeros_like(factor), factor.new_empty(len(same))
        else:
            cell = torch.stack([known.alpha, known.total, known.q])
            gamma, conjugate = known.received.clone(), known.conjugate.clone()
        alpha, total, q = cell.unbind()
        self._run(
            self.kernels.evaluate, *_strength(self.problem.pixel_penalty), self.epsilon, same.numpy(), *self._pairs,
            self._share, self._reference, self._mass, factor.to(self.problem.dtype).numpy(), alpha.numpy(),
            total.numpy(), q.numpy(), gamma.numpy(), conjugate.numpy(),
        )  # fmt: skip
        return alpha, total, q, gamma, conjugate

    def newton_step(
        self, point: Point, bend: Tensor, right: Tensor, near: bool, relative: Tensor, steps: int
    ) -> Tensor:
        """See :meth:`Dual.newton_step`."""
        dtype = self._system_dtype
        fresh = self.concentration is None or not near
        if self.concentration is None:
            self.concentration = torch.zeros(bend.numel(), dtype=dtype)
        step = torch.empty(right.shape, dtype=dtype)
        second: np.ndarray = np.empty(self._mass.shape, _dtype(dtype))
        self._run(
            self.kernels.newton_step, *_strength(self.problem.pixel_penalty), self.epsilon, fresh, steps,
            self._first_block, self._first, self._strong, self._place, self._index, self._strong_share, self._mass,
            point.alpha.numpy(),
            point.total.numpy(), point.q.numpy(),
            point.factor.to(dtype).numpy(), (point.gamma / self.epsilon).to(dtype).numpy().ravel(),
            bend.to(dtype).numpy().ravel(), right.to(dtype).numpy().ravel(), relative.double().numpy(), second,
            self.concentration.numpy(), step.numpy().ravel(),
        )  # fmt: skip
        return step.double()

    def transport_cost(self, point: Point) -> Tensor:
        """See :meth:`Dual.transport_cost`."""
        out = torch.zeros_like(point.value)
        self._run(
            self.kernels.transport_cost, *_numbers(self.problem.cost), *self._pairs, *self._geometry, self._share,
            point.total.numpy(), point.q.numpy(), point.factor.to(self.problem.dtype).numpy(), out.numpy(),
        )  # fmt: skip
        return out

    def account(self, point: Point) -> Account:
        """See :meth:`Dual.account`; pairs are also trimmed when they are referred to."""
        out = torch.empty((4, len(point.value)), dtype=torch.float64)
        grown = [(point.beta - start).amax(1).numpy() for start in (self.search_beta, self.reference_beta)]
        self._run(
            self.kernels.account, *_strength(self.problem.pixel_penalty), self.epsilon, self._first_block,
            self.log_dropped.numpy(), grown[0], self._log_trimmed, grown[1], self._reference, self._mass,
            point.alpha.numpy(), point.q.numpy(), *out.numpy(),
        )  # fmt: skip
        return Account(*out)

    def hard_minimum(self, beta: Tensor) -> Tensor:
        """See :meth:`Dual.hard_minimum`."""
        out = torch.empty_like(self.cells.mass)
        extended = np.append(beta.numpy().ravel(), -math.inf)
        self._run(
            self.kernels.hard_minimum, *_numbers(self.problem.cost), *self._lists, *self._geometry, extended,
            out.numpy(),
        )  # fmt: skip
        return out


def _dtype(dtype: torch.dtype) -> type:
    return np.float64 if dtype == torch.float64 else np.float32
