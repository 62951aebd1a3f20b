"""Newton's system of one image, solved by preconditioned conjugate gradients."""

from __future__ import annotations

import math

import numpy as np

from dotcount.transport.ascent import CG_STEPS
from dotcount.transport.kernels.arithmetic import add_rows, inner_product, multiply_rows
from dotcount.transport.kernels.jit import SUMS, Array, jit
from dotcount.transport.kernels.layout import TINY, K, Objective, PairLists, Room, State
from dotcount.transport.kernels.penalties import conjugate_curvature


@jit(fastmath=SUMS)
def _product(begin: int, end: int, lists: PairLists, room: Room) -> None:
    """Add ``P^T diag(second) P x`` over blocks ``begin:end`` to ``applied``, with the strong conditional plans only."""
    index, plan, second, x, out, w = lists.dots, lists.strong_conditional, room.second, room.x, room.applied, room.w
    for b in range(begin, end):
        start, m, place = lists.first[b], lists.strong[b], lists.place[b]
        local, column = room.local[:m], room.column[:m]
        rows = plan[place : place + K * m]
        for e in range(m):
            local[e] = x[index[start + e]]
        used = False
        for i in range(0, K, 4):
            multiply_rows(local, rows, i, w)
        for i in range(K):
            w[i] *= second[b, i]
            used = used or w[i] != 0.0
        if not used:
            continue
        column[:] = 0.0
        for i in range(0, K, 4):
            add_rows(column, rows, w, i)
        for e in range(m):
            out[index[start + e]] += column[e]


@jit(fastmath=SUMS)
def _squares(begin: int, end: int, lists: PairLists, room: Room) -> None:
    """Add ``sum_i second_i p_ij^2`` over blocks ``begin:end`` to ``applied``; as in :func:`_product`."""
    index, plan, second, out = lists.dots, lists.strong_conditional, room.second, room.applied
    for b in range(begin, end):
        start, m, place = lists.first[b], lists.strong[b], lists.place[b]
        column = room.column[:m]
        column[:] = 0.0
        for i in range(K):
            row, w = plan[place + i * m : place + (i + 1) * m], second[b, i]
            if w != 0.0:
                for e in range(m):
                    column[e] += w * row[e] * row[e]
        for e in range(m):
            out[index[start + e]] += column[e]


@jit(fastmath=SUMS)
def _coarsen(image: int, lists: PairLists, total: Array, scale: Array, fixed: Array, room: Room) -> None:
    """Set an image's ``coarse`` (parts, parts) to Cholesky's factor of Newton's matrix between its parts.

    Dots of a part move together; the cells of a block count as one, which makes the matrix a little larger than it is.
    A part that is empty, or that rounding spoils, gets an infinite pivot: nothing is corrected there.
    """
    factor, second, w, column_room = lists.coarse[image], room.second, room.w, room.column
    parts, o = len(factor), image * len(fixed)
    part = lists.part[o : o + len(fixed)]
    begin, end = lists.first_block[image], lists.first_block[image + 1]
    factor[:] = 0.0
    for j in range(len(fixed)):
        if part[j] < parts:
            factor[part[j], part[j]] += fixed[j]
    sums, touched, marked = np.zeros(parts + 1), np.empty(parts + 1, np.int64), np.zeros(parts + 1, np.bool_)
    for b in range(begin, end):
        start, m = lists.first[b], lists.strong[b]
        rows, column = lists.strong_conditional[lists.place[b] : lists.place[b] + K * m], column_room[:m]
        mass, count = 0.0, 0
        for i in range(K):
            bent = max(second[b, i], column.dtype.type(0.0)) * total[b, i]
            w[i] = bent
            mass += bent * total[b, i]
        if mass <= 0.0:
            continue
        column[:] = 0.0
        for i in range(0, K, 4):
            add_rows(column, rows, w, i)
        for e in range(m):
            d = np.int64(lists.dots[start + e]) - o
            if d >= len(fixed):  # the dummy
                continue
            a = part[d]
            if not marked[a]:
                marked[a] = True
                touched[count] = a
                count += 1
            sums[a] += max(column[e] * scale[d], TINY)
        for k in range(count):
            a = touched[k]
            for h in range(count):
                c = touched[h]
                if c <= a < parts:
                    factor[a, c] -= sums[a] * sums[c] / mass
        for k in range(count):
            sums[touched[k]], marked[touched[k]] = 0.0, False
    for k in range(parts):
        for h in range(k):
            factor[k, h] = (factor[k, h] - inner_product(factor[k, :h], factor[h, :h])) / factor[h, h]
        pivot = factor[k, k] - inner_product(factor[k, :k], factor[k, :k])
        if pivot > 1e-9 * factor[k, k]:
            factor[k, k] = math.sqrt(pivot)
        else:
            factor[k, :k] = 0.0
            factor[k, k] = math.inf


@jit(fastmath=SUMS)
def _precondition(residual: Array, inverse: Array, part: Array, factor: Array, moved: Array, out: Array) -> float:
    """Set ``out`` to the residual over the diagonal, plus the correction of whole parts; return its product with it.

    ``moved`` (parts + 1,) is room.
    """
    parts = len(factor)
    moved[:] = 0.0
    if parts:
        for j in range(len(residual)):
            moved[part[j]] += residual[j]
        for a in range(parts):
            moved[a] = (moved[a] - inner_product(factor[a, :a], moved[:a])) / factor[a, a]
        for a in range(parts - 1, -1, -1):
            moved[a] /= factor[a, a]
            for c in range(a):
                moved[c] -= factor[a, c] * moved[a]
        moved[parts] = 0.0
    product = 0.0
    for j in range(len(residual)):
        out[j] = residual[j] * inverse[j] + moved[part[j]]
        product += np.float64(residual[j]) * out[j]
    return product


@jit(fastmath=SUMS)
def _weigh_cells(
    image: int, objective: Objective, epsilon: float, lists: PairLists, state: State, second: Array
) -> None:  # fmt: skip
    """Set ``second`` to the weights of the cells in Newton's matrix."""
    kind, rho, mass, alpha, q, total = (
        objective.pixel, objective.pixel_rho, objective.mass, state.alpha, state.q, state.total
    )  # fmt: skip
    for b in range(lists.first_block[image], lists.first_block[image + 1]):
        for i in range(K):
            second[b, i] = 0.0
            if q[b, i] > 0.0:
                weight = q[b, i] / epsilon - mass[b, i] * conjugate_curvature(kind, rho, -alpha[b, i])
                second[b, i] = weight / (total[b, i] * total[b, i])


@jit(fastmath=SUMS)
def newton_step(
    image: int, objective: Objective, epsilon: float, lists: PairLists, state: State, room: Room, fresh: bool,
    relative: float,
) -> None:  # fmt: skip
    """Solve Newton's system of one image by preconditioned conjugate gradients; the solution is ``room.step``.

    ``room.curvature`` is that of the dots' term, ``room.right`` the right-hand side. What preconditions is set anew
    where ``fresh``: the diagonal, and, for modes that are smooth over many dots, the matrix between parts of the image.
    """
    gamma, factor, total, step = state.gamma[image], state.factor, state.total, room.step
    one, tiny = step.dtype.type, np.finfo(step.dtype).tiny
    width = len(step)
    o, begin, end = image * width, lists.first_block[image], lists.first_block[image + 1]
    concentration, x, applied = lists.concentration[o : o + width], room.x, room.applied
    inverse, fixed = np.empty(width, step.dtype), np.empty(width, step.dtype)
    residual, direction = np.empty(width, step.dtype), np.empty(width, step.dtype)
    scale, corrected = np.empty(width, step.dtype), np.empty(width, step.dtype)
    part, coarse = lists.part[o : o + width], lists.coarse[image]
    moved = np.empty(len(coarse) + 1)
    step[:] = 0.0
    _weigh_cells(image, objective, epsilon, lists, state, room.second)
    if fresh:
        applied[o : o + width] = 0.0
        _squares(begin, end, lists, room)
    # How concentrated a dot's mass is, sum_i w p^2 / sum_i w p, changes little: good enough to precondition with.
    for j in range(width):
        f, spread = one(factor[o + j]), one(gamma[j] / epsilon)
        if fresh:
            concentration[j] = f * f * applied[o + j] / spread if spread > 0.0 else 0.0
        scale[j] = f
        fixed[j] = one(room.curvature[j]) + spread
        diagonal = max(fixed[j] - concentration[j] * spread, one(1e-7) * fixed[j])
        inverse[j] = one(1.0) / diagonal if diagonal > 0.0 else one(1.0)
        residual[j] = room.right[j]
    if fresh and len(coarse):
        _coarsen(image, lists, total, scale, fixed, room)
    product = _precondition(residual, inverse, part, coarse, moved, direction)
    target = relative * relative * product
    for _ in range(CG_STEPS):
        for j in range(width):
            x[o + j] = scale[j] * direction[j]
            applied[o + j] = 0.0
        _product(begin, end, lists, room)
        along = 0.0
        for j in range(width):
            applied[o + j] = fixed[j] * direction[j] - scale[j] * applied[o + j]
            along += np.float64(applied[o + j]) * direction[j]
        length = one(product / max(along, tiny))
        for j in range(width):
            step[j] += length * direction[j]
            residual[j] -= length * applied[o + j]
        new = _precondition(residual, inverse, part, coarse, moved, corrected)
        if new <= target:
            break
        ratio = one(new / max(product, tiny))
        for j in range(width):
            direction[j] = corrected[j] + ratio * direction[j]
        product = new
