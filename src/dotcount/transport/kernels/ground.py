"""The costs between cells and dots, one at a time and row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dotcount.transport.cells import SIDE
from dotcount.transport.kernels.arithmetic import exp
from dotcount.transport.kernels.jit import SUMS, Array, jit
from dotcount.transport.kernels.layout import L1, L2, LEAST, SQL2
from dotcount.transport.neighbours import UNDERFLOW
from dotcount.transport.pairs import FLOOR


@jit()
def ground_cost(kind: int, delta: float, dx: float, dy: float) -> float:
    """Return one cost, float64; as :meth:`dotcount.transport.costs.Cost.of_difference`."""
    if kind == L1:
        return abs(dx) + abs(dy)
    squared = dx * dx + dy * dy
    if kind == L2:
        return math.sqrt(squared)
    if kind == SQL2:
        return squared
    angle = math.sqrt(squared) / delta
    if angle >= 0.5 * math.pi:
        return math.inf
    return -2.0 * math.log(math.cos(angle))


@jit(fastmath=SUMS)
def scores_of_row(
    kind: int, delta: float, x: Array, y: Array, right: Any, down: Any, score: Array, inverse: Any, out: Array
) -> None:
    """Set ``out[e]`` to ``score[e]`` less ``inverse`` times the cost of ``(x[e] - right, y[e] - down)``."""
    if kind == L2:
        for e in range(len(out)):
            dx, dy = x[e] - right, y[e] - down
            out[e] = score[e] - np.sqrt(dx * dx + dy * dy) * inverse
    elif kind == L1:
        for e in range(len(out)):
            out[e] = score[e] - (abs(x[e] - right) + abs(y[e] - down)) * inverse
    elif kind == SQL2:
        for e in range(len(out)):
            dx, dy = x[e] - right, y[e] - down
            out[e] = score[e] - (dx * dx + dy * dy) * inverse
    else:
        for e in range(len(out)):
            out[e] = score[e] - ground_cost(kind, delta, x[e] - right, y[e] - down) * inverse


@jit(fastmath=SUMS)
def paid_by_rows(
    kind: int, delta: float, x: Array, y: Array, step: Any, i: int, local: Array, rows: Array, w: Array
) -> float:
    """Return the sum of ``w[i] row[e] local[e]`` times the cost over cells ``i:i + 4``, one row of a block of cells."""
    n = len(local)
    a, b = rows[i * n : (i + 1) * n], rows[(i + 1) * n : (i + 2) * n]
    c, d = rows[(i + 2) * n : (i + 3) * n], rows[(i + 3) * n : (i + 4) * n]
    wa, wb, wc, wd = w[i], w[i + 1], w[i + 2], w[i + 3]
    down = rows.dtype.type(step * (i // SIDE))
    total = rows.dtype.type(0.0)
    if kind == L2:
        for e in range(n):
            dy = y[e] - down
            dx, dz, du, dv, square = x[e], x[e] - step, x[e] - (step + step), x[e] - (step + step + step), dy * dy
            paid = wa * a[e] * np.sqrt(dx * dx + square) + wb * b[e] * np.sqrt(dz * dz + square)
            total += local[e] * (paid + wc * c[e] * np.sqrt(du * du + square) + wd * d[e] * np.sqrt(dv * dv + square))
        return total
    for e in range(n):
        for k in range(4):
            share = rows[(i + k) * n + e]
            if share > 0.0 and w[i + k] > 0.0:
                total += w[i + k] * share * local[e] * ground_cost(kind, delta, x[e] - step * k, y[e] - down)
    return total


@jit(fastmath=SUMS)
def conditionals_of_row(
    x: Array, y: Array, right: Any, down: Any, score: Array, inverse: Any, top: Any, out: Array
) -> None:
    """Do in one pass, for the cost ``l2``, what :func:`scores_of_row` and, less ``top``, :func:`exponentials` do."""
    one = out.dtype.type
    for e in range(len(out)):
        dx, dy = x[e] - right, y[e] - down
        s = score[e] - np.sqrt(dx * dx + dy * dy) * inverse - top
        value = exp(max(s, one(FLOOR)))
        out[e] = value if s > -np.inf else one(0.0)


@jit()
def scores_of_box(
    kind: int, delta: float, low_x: float, high_x: float, low_y: float, high_y: float, x: Array, y: Array, beta: Array,
    count: int, out: Array,
) -> None:  # fmt: skip
    """Set ``out[k]`` to ``beta_k - c`` at the nearest point of a box."""
    if kind == L2:
        for k in range(count):
            dx, dy = max(low_x - x[k], x[k] - high_x, 0.0), max(low_y - y[k], y[k] - high_y, 0.0)
            out[k] = beta[k] - math.sqrt(dx * dx + dy * dy)
    else:
        for k in range(count):
            dx, dy = max(low_x - x[k], x[k] - high_x, 0.0), max(low_y - y[k], y[k] - high_y, 0.0)
            out[k] = beta[k] - ground_cost(kind, delta, dx, dy)


@jit(fastmath=SUMS)
def sum_beyond(score: Array, least: float, top: float, inverse: float) -> float:
    """Return the sum of ``exp((score - top) / eps)`` over scores below ``least`` that are finite."""
    total = 0.0
    for k in range(len(score)):
        value = exp(max((score[k] - top) * inverse, UNDERFLOW))
        total += value if LEAST <= score[k] < least else 0.0
    return total
