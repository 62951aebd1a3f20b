"""Compiled loops over neighbouring pairs, for CPUs; :mod:`dotcount.transport.compiled` calls them.

Importing this module imports numba. Machine code is kept on disk where numba finds a folder it may write to (beside
the sources, or the user's cache). All kernels work on a range of images, let go of the interpreter's lock and touch
the numbers of their own images only, so that threads can share a batch.

Arrays: ``mass``, ``alpha``, ``q`` ... are (n_blocks, K) float64. Block b has the pairs of its K cells with the dots
``index[first[b]:first[b + 1]]``, flat numbers ``image * m_max + j``, padded with the dummy to a multiple of
:data:`PAD`. Only the first ``kept[b]`` of them have shares, float32 or float64, from ``share[K * first[b]]`` on, cell
by cell. The blocks of image i are ``first_block[i]:first_block[i + 1]``. Vectors over dots are flat with one place for
the dummy at the end.
Inner loops run over whole lists of dots, so that the compiler can use vector instructions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numba
import numpy as np
from numba.extending import overload

from dotcount.transport import rounding
from dotcount.transport.ascent import CG_STEPS, FORCING, NEAR, SHORT, SHRINK, SUFFICIENT, TRIALS
from dotcount.transport.cells import SIDE
from dotcount.transport.costs import CostKind
from dotcount.transport.neighbours import BRANCH, UNDERFLOW
from dotcount.transport.pairs import FLOOR
from dotcount.transport.penalties import PenaltyKind
from dotcount.transport.problem import LARGEST, LOWEST
from dotcount.transport.rounding import LARGEST_EXPONENT, UNIT64, Scales, Sizes

K = SIDE * SIDE
PAD = 16
"""Lists of dots are padded to a multiple of this."""
ROOT_PAIRS = 1 << 15
"""The coarsest level of the search has at most about this many (box, dot) pairs."""
L1, L2, SQL2, WFR = (int(CostKind[name]) for name in ("L1", "L2", "SQL2", "WFR"))
KL, QUADRATIC = int(PenaltyKind.KL), int(PenaltyKind.QUADRATIC)
TINY = 1e-300
SAFE_SPREAD = 40.0
"""Spread of the scores within a block, in units of epsilon, up to which its best dot serves all cells."""
STRONG, NEGLIGIBLE = 7.5, 3.0
"""A dot counts for Newton's system if its score at a block's middle is at most the former below the best, in units of
epsilon, or if in some cell it could come within the latter, which few do that could. The others count for all else."""
MAIN = 0.7
"""Share of a list from which on, if that much of it is strong, a copy of the strong part does not pay."""
LEAST = -1e300
"""Scores below this are those of pairs of infinite cost."""
SUMS = {"reassoc", "contract", "nsz"}
"""What the compiler may do with sums; infinities keep their meaning."""
Array: TypeAlias = np.ndarray


class Objective(NamedTuple):
    """The penalties by number and strength, the mass of the cells, the weights (B, m_max) of the dots."""

    pixel: int
    pixel_rho: float
    dot: int
    dot_rho: float
    mass: Array
    weights: Array


class Ground(NamedTuple):
    """The cost by number, the blur, how far below the best a score may lie (units of epsilon), dots and blocks.

    ``dots`` is (n + 1, 2), with the dummy at the end.
    """

    kind: int
    delta: float
    epsilon: float
    cutoff: float
    dots: Array
    corner: Array
    unit: Array


class Pairs(NamedTuple):
    """Lists of dots and their shares; see the top of the module and :func:`_refer`.

    ``concentration`` and ``coarse`` are what :func:`_newton_step` preconditions with, kept from climb to climb; the
    former is negative until both are set. ``part`` says which part of the image each dot belongs to, the last number
    standing for none; ``coarse`` (B, parts, parts) holds the factors of :func:`_coarsen`.
    """

    first_block: Array
    first: Array
    lists: Array
    share: Array
    strong_share: Array
    apart: int
    reference: Array
    kept: Array
    strong: Array
    place: Array
    log_trimmed: Array
    concentration: Array
    part: Array
    coarse: Array


class State(NamedTuple):
    """A point: :class:`dotcount.transport.dual.Point` in arrays; ``factor`` and ``received`` have the dummy's place."""

    beta: Array
    alpha: Array
    total: Array
    q: Array
    factor: Array
    received: Array
    gamma: Array
    m: Array
    value: Array
    gap: Array


def _jit(fastmath: bool | set[str] = False, **options: Any) -> Callable[[Callable], Any]:
    """Return numba's decorator, with a cache on disk where there is a place for one."""

    def decorate(function: Callable) -> Any:
        settings = {"nogil": True, "error_model": "numpy", "fastmath": fastmath, **options}
        try:
            return numba.njit(cache=True, **settings)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written to
            return numba.njit(**settings)(function)

    return decorate


@_jit(fastmath={"contract"})
def _exp32(x: np.float32) -> np.float32:
    """Return e^x within 2 units in the last place, for -87 <= x <= 88 (Cephes' polynomial)."""
    shifted = x * np.float32(1.4426950408889634) + np.float32(12582912.0)
    k = shifted - np.float32(12582912.0)
    r = x - k * np.float32(0.693359375)
    r = r + k * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * (r * r) + r + np.float32(1.0)
    return p * np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)


@_jit(fastmath={"contract"})
def _exp64(x: np.float64) -> np.float64:
    """Return e^x within 2 units in the last place, for -708 <= x <= 709 (Taylor's series on |r| <= ln(2) / 2)."""
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    k = shifted - 6755399441055744.0
    r = x - k * 6.93147180369123816490e-01
    r = r - k * 1.90821492927058770002e-10
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * (r * r) + r + 1.0
    return p * np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@_jit(fastmath={"contract"})
def _log64(x: np.float64) -> np.float64:
    """Return ln x within 2 units of 2^-52, relative or absolute, for normal x > 0, as 2 artanh((m - 1) / (m + 1))."""
    bits = np.float64(x).view(np.int64)
    k = (bits - np.int64(0x3FE6A09E667F3BCD)) >> 52
    m = np.int64(bits - (k << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 1.0 / 21.0
    p = p * z + 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    return k * 0.6931471805599453 + (2.0 * s + 2.0 * s * z * p)


def exp(x: float) -> float:
    """Return e^x; compiled code gets :func:`_exp32` or :func:`_exp64` by the type of x."""
    return math.exp(x)


@overload(exp, inline="never")
def _overload_exp(x):  # type: ignore[no-untyped-def]  # numba compares the names and annotations
    single = x == numba.types.float32
    return (lambda x: _exp32(x)) if single else (lambda x: _exp64(x))


@_jit()
def _cost(kind: int, delta: float, dx: float, dy: float) -> float:
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


@_jit(fastmath=SUMS)
def _scores(
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
            out[e] = score[e] - _cost(kind, delta, x[e] - right, y[e] - down) * inverse


@_jit(fastmath=SUMS)
def _paid(kind: int, delta: float, x: Array, y: Array, step: Any, i: int, local: Array, rows: Array, w: Array) -> float:
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
                total += w[i + k] * share * local[e] * _cost(kind, delta, x[e] - step * k, y[e] - down)
    return total


@_jit(fastmath={*SUMS, "nnan"})
def _maximum(a: Array) -> float:
    top = a[0]
    for e in range(1, len(a)):
        top = max(top, a[e])
    return top


@_jit(fastmath=SUMS)
def _dots(local: Array, rows: Array, i: int, out: Array) -> None:
    """Set ``out[i:i + 4]`` to the products of rows ``i:i + 4`` of ``rows`` (flat) with ``local``."""
    m = len(local)
    a, b = rows[i * m : (i + 1) * m], rows[(i + 1) * m : (i + 2) * m]
    c, d = rows[(i + 2) * m : (i + 3) * m], rows[(i + 3) * m : (i + 4) * m]
    one = rows.dtype.type
    sa, sb, sc, sd = one(0.0), one(0.0), one(0.0), one(0.0)
    for e in range(m):
        sa += a[e] * local[e]
        sb += b[e] * local[e]
        sc += c[e] * local[e]
        sd += d[e] * local[e]
    out[i], out[i + 1], out[i + 2], out[i + 3] = sa, sb, sc, sd


@_jit(fastmath=SUMS)
def _add(column: Array, rows: Array, w: Array, i: int) -> None:
    """Add rows ``i:i + 4`` of ``rows`` (flat), weighted with w, to ``column``."""
    m = len(column)
    a, b = rows[i * m : (i + 1) * m], rows[(i + 1) * m : (i + 2) * m]
    c, d = rows[(i + 2) * m : (i + 3) * m], rows[(i + 3) * m : (i + 4) * m]
    wa, wb, wc, wd = w[i], w[i + 1], w[i + 2], w[i + 3]
    for e in range(m):
        column[e] += wa * a[e] + wb * b[e] + wc * c[e] + wd * d[e]


@_jit()
def _longest(begin: int, end: int, first: Array) -> int:
    """Return the length of the longest list of the blocks."""
    n = 0
    for b in range(begin, end):
        n = max(n, first[b + 1] - first[b])
    return n


@_jit()
def _quadratic(rho: float, z: float) -> tuple[float, float]:
    """Return ``rho phi*(z / rho)`` of the quadratic penalty and its slope."""
    if z < -2.0 * rho:
        return -rho, 0.0
    return z * z / (4.0 * rho) + z, 1.0 + z / (2.0 * rho)


@_jit()
def _curvature(kind: int, rho: float, z: float) -> float:
    """Return the second derivative of ``rho phi*(z / rho)``."""
    if kind == KL:
        return _exp64(min(max(z / rho, -700.0), 709.0)) / rho
    return 1.0 / (2.0 * rho) if z > -2.0 * rho else 0.0


@_jit(fastmath=SUMS)
def _exponentials(values: Array) -> None:
    """Replace scores by their exponentials, not below ``exp(FLOOR)``; minus infinity gives 0."""
    one = values.dtype.type
    for e in range(len(values)):
        s = values[e]
        value = exp(max(s, one(FLOOR)))
        values[e] = value if s > -np.inf else one(0.0)


@_jit(fastmath=SUMS)
def _shares(x: Array, y: Array, right: Any, down: Any, score: Array, inverse: Any, top: Any, out: Array) -> None:
    """Do in one pass, for the cost ``l2``, what :func:`_scores` and, less ``top``, :func:`_exponentials` do."""
    one = out.dtype.type
    for e in range(len(out)):
        dx, dy = x[e] - right, y[e] - down
        s = score[e] - np.sqrt(dx * dx + dy * dy) * inverse - top
        value = exp(max(s, one(FLOOR)))
        out[e] = value if s > -np.inf else one(0.0)


@_jit()
def _nearest(
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
            out[k] = beta[k] - _cost(kind, delta, dx, dy)


@_jit()
def _split(values: Array, near: float, least: float, order: Array) -> tuple[int, int]:
    """Set ``order`` to all places: of values from ``near`` on, then of others from ``least`` on, then of the rest.

    Returns the numbers of the first, and of the first two. Each class is what the ones before do not take, so that
    ``order`` holds every place once whatever the numbers are, also where they are none. It has room for one more.
    """
    used = 0
    for k in range(len(values)):  # without branches: the place after the last is written to in vain
        order[used] = k
        used += values[k] >= near
    first = used
    for k in range(len(values)):
        order[used] = k
        used += (values[k] >= least) & (not values[k] >= near)
    second = used
    if second < len(values):
        for k in range(len(values)):
            order[used] = k
            used += (not values[k] >= least) & (not values[k] >= near)
    return first, second


@_jit()
def _padded(count: int) -> int:
    return (count + PAD - 1) // PAD * PAD


@_jit()
def _homeless(listed: Array, home: Array) -> bool:
    """Whether a dot is on no list though it was a candidate."""
    return bool(np.any(~listed[:-1] & (home[:-1] >= 0)))


@_jit()
def _misses(index: Array, offset: int, listed: Array, home: Array, b: int) -> bool:
    """Whether block b is the home of a dot that is on no list."""
    for d in index:
        j = np.int64(d) - offset
        if j < len(listed) - 1 and not listed[j] and home[j] == b:
            return True
    return False


@_jit(fastmath=SUMS)
def _refer(image: int, ground: Ground, pairs: Pairs, beta: Array) -> None:
    """Set ``share`` to ``exp((beta_j - c_ij - r_i) / eps)``, r_i, about ``max_j (beta_j - c_ij)``, into ``reference``.

    Only dots that can come within ``cutoff`` (units of epsilon) of the best in some cell of a block get shares: the
    first ``kept[b]`` of its list, which is reordered; of these the first ``strong[b]`` are not negligible, and
    their shares stand in ``strong_share`` together, from ``place[b]`` on. That may be the second half of ``share``'s
    memory, ``apart`` from the first: then lists that are strong in the main stay where they are, all of them strong.
    ``log_trimmed[b]`` bounds the logarithm of the sum of the shares that the others would have in any cell. Every dot
    keeps a place on some list. ``dots`` is (n + 1, 2) and ``beta`` (n + 1,), both with the dummy (beta -inf) at the
    end.
    """
    kind, delta, epsilon, cutoff = ground.kind, ground.delta, ground.epsilon, ground.cutoff
    dots, corner, unit = ground.dots, ground.corner, ground.unit
    first_block, first, index, share, strong_share = (
        pairs.first_block, pairs.first, pairs.lists, pairs.share, pairs.strong_share
    )  # fmt: skip
    reference, kept, strong, place = pairs.reference, pairs.kept, pairs.strong, pairs.place
    apart, log_trimmed = pairs.apart, pairs.log_trimmed
    one = share.dtype.type
    begin, end = first_block[image], first_block[image + 1]
    room = _longest(begin, end, first)
    x, y, score = np.empty(room, share.dtype), np.empty(room, share.dtype), np.empty(room, share.dtype)
    right, down, potential, middle = np.empty(room), np.empty(room), np.empty(room), np.empty(room)
    names, order = np.empty(room, index.dtype), np.empty(room + 1, np.int64)
    width = (len(beta) - 1) // (len(first_block) - 1)
    listed, home, nearness = np.empty(width + 1, np.bool_), np.empty(width + 1, np.int64), np.empty(width + 1)
    precise = 1.0 / epsilon
    inverse = one(precise)
    o = image * width
    listed[:], home[:], nearness[:] = False, -1, -math.inf
    end_of_strong = apart + K * first[begin]
    # The first round goes over all blocks, the second over those that are best for a dot trimmed everywhere.
    for again in range(2):
        if again and not _homeless(listed, home):
            break
        for b in range(begin, end):
            start, n, within = first[b], first[b + 1] - first[b], max(cutoff, STRONG)
            if n == 0:
                reference[b], kept[b], strong[b], log_trimmed[b] = 0.0, 0, 0, -math.inf
                continue
            if again:
                if not _misses(index[start : start + n], o, listed, home, b):
                    continue
                within = math.inf
            for e in range(n):
                d = index[start + e]
                names[e] = d
                right[e], down[e], potential[e] = dots[d, 0] - corner[b, 0], dots[d, 1] - corner[b, 1], beta[d]
            # Scores relative to the best at the block's middle: float32 then rounds short distances only.
            half = 0.5 * (SIDE - 1) * unit[b]
            _nearest(kind, delta, half, half, half, half, right, down, potential, n, middle)
            base = _maximum(middle[:n])
            if base == -math.inf:
                base = max(_maximum(potential[:n]), -1e300)
            # Within a block, a dot can gain this much on another; for other costs there is no such bound.
            gain = 4.0 * half if kind == L1 else 2.0 * math.sqrt(2.0) * half if kind == L2 else math.inf
            least, log_trimmed[b] = base - within * epsilon - gain, -math.inf
            near = base - max(STRONG * epsilon, NEGLIGIBLE * epsilon + gain)
            m, size = _split(middle[:n], near, least, order)
            if size < n:
                beyond = _beyond(middle[:n], least, base - gain, precise)
                log_trimmed[b] = math.log(beyond) if beyond > 0.0 else -math.inf
            m, size = _padded(m), _padded(size)
            together = apart > 0 and m >= MAIN * size
            if together:
                m = size
                place[b] = K * start
            elif not again or place[b] == K * start:
                place[b] = end_of_strong
                end_of_strong += K * m
            strong[b], kept[b] = m, size
            for e in range(n):
                k = order[e]
                index[start + e] = names[k]
                j = np.int64(names[k]) - o
                j = j if j < width else np.int64(width)
                if e < size:
                    listed[j] = True
                    x[e], y[e], score[e] = one(right[k]), one(down[k]), one((potential[k] - base) * precise)
                elif middle[k] - base > nearness[j]:
                    nearness[j], home[j] = middle[k] - base, b
            # Where no score can exceed it by much, that of the best at the middle serves as the highest.
            best = 0
            while best < n - 1 and middle[order[best]] != base:
                best += 1
            rows, strong_rows = share[K * start : K * (start + size)], strong_share[place[b] : place[b] + K * m]
            for i in range(K):
                row = rows[i * size : (i + 1) * size]
                right_i, down_i = one(i % SIDE * unit[b]), one(i // SIDE * unit[b])
                if kind == L2 and gain <= SAFE_SPREAD * epsilon:
                    dx, dy = x[best] - right_i, y[best] - down_i
                    top = score[best] - np.sqrt(dx * dx + dy * dy) * inverse
                    _shares(x[:size], y[:size], right_i, down_i, score[:size], inverse, top, row)
                else:
                    _scores(kind, delta, x[:size], y[:size], right_i, down_i, score[:size], inverse, row)
                    top = row[best] if gain <= SAFE_SPREAD * epsilon else _maximum(row)
                    if top == -np.inf:
                        top = one(0.0)
                    for e in range(size):
                        row[e] -= top
                    _exponentials(row)
                reference[b, i] = base + epsilon * top
            if together:
                continue
            for i in range(K):
                for e in range(m):
                    strong_rows[i * m + e] = rows[i * size + e]


@_jit(fastmath=SUMS)
def _evaluate(image: int, objective: Objective, epsilon: float, pairs: Pairs, state: State) -> float:
    """Set alpha, the totals, q and what the dots receive (without ``factor``); return the sum of ``u phi*(-alpha)``."""
    kind, rho, mass = objective.pixel, objective.pixel_rho, objective.mass
    first, index, kept, share, reference = pairs.first, pairs.lists, pairs.kept, pairs.share, pairs.reference
    alpha, total, q, factor, received = state.alpha, state.total, state.q, state.factor, state.received
    begin, end = pairs.first_block[image], pairs.first_block[image + 1]
    room = _longest(begin, end, first)
    local_room, column_room = np.empty(room, share.dtype), np.empty(room, share.dtype)
    w, summed, z, grown = np.empty(K, share.dtype), np.empty(K), np.empty(K), np.empty(K)
    width = state.beta.shape[1]
    received[image * width : (image + 1) * width] = 0.0
    whole = 0.0
    for b in range(begin, end):
        start, n = first[b], kept[b]
        local, column = local_room[:n], column_room[:n]
        rows = share[K * start : K * (start + n)]
        for e in range(n):
            local[e] = factor[index[start + e]]
        used = False
        for i in range(0, K, 4):
            _dots(local, rows, i, w)
        for i in range(K):  # in steps that the compiler can do side by side
            summed[i] = max(np.float64(w[i]), TINY)
        for i in range(K):
            z[i] = reference[b, i] + epsilon * _log64(summed[i])
        if kind == KL:
            for i in range(K):
                t = z[i] / rho
                grown[i] = _exp64(min(max(t, -700.0), 709.0)) if t <= 709.0 else math.inf
        of_block = 0.0
        for i in range(K):
            reached = w[i] > 0.0
            potential = z[i] if reached else -math.inf
            if kind == KL:
                slope = grown[i] if reached else 0.0
                value = rho * (slope - 1.0)
            else:
                value, slope = _quadratic(rho, potential)
            filled = mass[b, i] > 0.0  # no mass times an infinite slope is none
            sent = mass[b, i] * slope if filled else 0.0
            alpha[b, i], q[b, i], total[b, i] = -potential, sent, summed[i] if reached else 1.0
            w[i] = sent / total[b, i]
            used = used or sent > 0.0
            of_block += mass[b, i] * value if filled else 0.0
        whole += of_block
        if not used:
            continue
        column[:] = 0.0
        for i in range(0, K, 4):
            _add(column, rows, w, i)
        for e in range(n):
            received[index[start + e]] += column[e]
    return whole


@_jit()
def _unpaid(kind: int, rho: float, ratio: float, z: float) -> float:
    """Return ``rho phi(ratio) + rho phi*(z / rho) - z ratio``; as the penalties' ``fenchel_young``."""
    if kind == QUADRATIC:
        if z < -2.0 * rho:
            return ratio * (rho * ratio - 2.0 * rho - z)
        return rho * (ratio - 1.0 - z / (2.0 * rho)) ** 2
    target = math.exp(z / rho)
    if ratio <= 0.0:
        return rho * target
    excess = (target - ratio) / ratio
    if abs(excess) < 0.5:
        return rho * max(ratio * (excess - math.log1p(excess)), 0.0)
    return rho * max(target - ratio + ratio * (math.log(ratio) - z / rho), 0.0)


@_jit(fastmath=SUMS)
def _settle(
    kind: int, rho: float, weights: Array, beta: Array, factor: Array, received: Array, gamma: Array, m: Array
) -> tuple[float, float]:  # fmt: skip
    """Set what the dots of one image get and want; return the sum of ``v phi*(-beta)`` and the gap."""
    price, gap = 0.0, 0.0
    for j in range(len(weights)):
        v = weights[j]
        gamma[j] = factor[j] * received[j]
        m[j] = 0.0
        if v > 0.0:
            z = -beta[j]
            if kind == KL:
                excess = math.expm1(z / rho)
                value, slope = rho * excess, excess + 1.0
            else:
                value, slope = _quadratic(rho, z)
            m[j] = v * slope
            price += v * value
            gap += v * _unpaid(kind, rho, gamma[j] / v, z)
    return price, gap


@_jit(fastmath=SUMS)
def _product(
    begin: int, end: int, first: Array, strong: Array, place: Array, index: Array, share: Array, second: Array,
    x: Array, out: Array, local_room: Array, column_room: Array, w: Array,
) -> None:  # fmt: skip
    """Add ``P^T diag(second) P x`` over blocks ``begin:end`` to ``out``; ``share`` holds the strong ones only."""
    for b in range(begin, end):
        start, m = first[b], strong[b]
        local, column = local_room[:m], column_room[:m]
        rows = share[place[b] : place[b] + K * m]
        for e in range(m):
            local[e] = x[index[start + e]]
        used = False
        for i in range(0, K, 4):
            _dots(local, rows, i, w)
        for i in range(K):
            w[i] *= second[b, i]
            used = used or w[i] != 0.0
        if not used:
            continue
        column[:] = 0.0
        for i in range(0, K, 4):
            _add(column, rows, w, i)
        for e in range(m):
            out[index[start + e]] += column[e]


@_jit(fastmath=SUMS)
def _squares(
    begin: int,
    end: int,
    first: Array,
    strong: Array,
    place: Array,
    index: Array,
    share: Array,
    second: Array,
    out: Array,
) -> None:
    """Add ``sum_i second_i share_ij^2`` over blocks ``begin:end`` to ``out``; as in :func:`_product`."""
    column_room = np.empty(_longest(begin, end, first), share.dtype)
    for b in range(begin, end):
        start, m = first[b], strong[b]
        column = column_room[:m]
        column[:] = 0.0
        for i in range(K):
            row, w = share[place[b] + i * m : place[b] + (i + 1) * m], second[b, i]
            if w != 0.0:
                for e in range(m):
                    column[e] += w * row[e] * row[e]
        for e in range(m):
            out[index[start + e]] += column[e]


@_jit(fastmath=SUMS)
def _inner(a: Array, b: Array) -> float:
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@_jit(fastmath=SUMS)
def _coarsen(
    begin: int, end: int, pairs: Pairs, second: Array, total: Array, scale: Array, fixed: Array, part: Array, o: int,
    column_room: Array, factor: Array,
) -> None:  # fmt: skip
    """Set ``factor`` (parts, parts) to Cholesky's of Newton's matrix between the parts of an image.

    Dots of a part move together; the cells of a block count as one, which makes the matrix a little larger than it is.
    A part that is empty, or that rounding spoils, gets an infinite pivot: nothing is corrected there.
    """
    parts = len(factor)
    factor[:] = 0.0
    for j in range(len(fixed)):
        if part[j] < parts:
            factor[part[j], part[j]] += fixed[j]
    sums, touched, marked = np.zeros(parts + 1), np.empty(parts + 1, np.int64), np.zeros(parts + 1, np.bool_)
    w = np.empty(K, column_room.dtype)
    for b in range(begin, end):
        start, m = pairs.first[b], pairs.strong[b]
        rows, column = pairs.strong_share[pairs.place[b] : pairs.place[b] + K * m], column_room[:m]
        mass, count = 0.0, 0
        for i in range(K):
            bent = max(second[b, i], column.dtype.type(0.0)) * total[b, i]
            w[i] = bent
            mass += bent * total[b, i]
        if mass <= 0.0:
            continue
        column[:] = 0.0
        for i in range(0, K, 4):
            _add(column, rows, w, i)
        for e in range(m):
            d = np.int64(pairs.lists[start + e]) - o
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
            factor[k, h] = (factor[k, h] - _inner(factor[k, :h], factor[h, :h])) / factor[h, h]
        pivot = factor[k, k] - _inner(factor[k, :k], factor[k, :k])
        if pivot > 1e-9 * factor[k, k]:
            factor[k, k] = math.sqrt(pivot)
        else:
            factor[k, :k] = 0.0
            factor[k, k] = math.inf


@_jit(fastmath=SUMS)
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
            moved[a] = (moved[a] - _inner(factor[a, :a], moved[:a])) / factor[a, a]
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


@_jit(fastmath=SUMS)
def _newton_step(
    image: int, objective: Objective, epsilon: float, pairs: Pairs, state: State, fresh: bool, relative: float,
    bend: Array, right: Array, second: Array, concentration: Array, x: Array, applied: Array, step: Array,
) -> None:  # fmt: skip
    """Solve Newton's system of one image by preconditioned conjugate gradients.

    ``bend`` is the curvature of the dots' term, ``right`` the right-hand side; they, ``concentration`` and ``step`` are
    the image's own. What preconditions is set anew where ``fresh``: the diagonal, and, for modes that are smooth over
    many dots, the matrix between parts of the image. ``second``, ``x`` and ``applied`` are room.
    """
    kind, rho, mass, gamma = objective.pixel, objective.pixel_rho, objective.mass, state.gamma[image]
    first_block, first, index, share = pairs.first_block, pairs.first, pairs.lists, pairs.strong_share
    strong, place = pairs.strong, pairs.place
    alpha, total, q, factor = state.alpha, state.total, state.q, state.factor
    one = share.dtype.type
    tiny = np.finfo(share.dtype).tiny
    width = len(step)
    o, begin, end = image * width, first_block[image], first_block[image + 1]
    room = _longest(begin, end, first)
    local, column, w = np.empty(room, share.dtype), np.empty(room, share.dtype), np.empty(K, share.dtype)
    inverse, fixed = np.empty(width, share.dtype), np.empty(width, share.dtype)
    residual, direction = np.empty(width, share.dtype), np.empty(width, share.dtype)
    scale, corrected = np.empty(width, share.dtype), np.empty(width, share.dtype)
    part, coarse = pairs.part[o : o + width], pairs.coarse[image]
    moved = np.empty(len(coarse) + 1)
    step[:] = 0.0
    for b in range(begin, end):
        for i in range(K):
            second[b, i] = 0.0
            if q[b, i] > 0.0:
                bent = q[b, i] / epsilon - mass[b, i] * _curvature(kind, rho, -alpha[b, i])
                second[b, i] = bent / (total[b, i] * total[b, i])
    if fresh:
        applied[o : o + width] = 0.0
        _squares(begin, end, first, strong, place, index, share, second, applied)
    # How concentrated a dot's mass is, sum_i w p^2 / sum_i w p, changes little: good enough to precondition with.
    for j in range(width):
        f, spread = one(factor[o + j]), one(gamma[j] / epsilon)
        if fresh:
            concentration[j] = f * f * applied[o + j] / spread if spread > 0.0 else 0.0
        scale[j] = f
        fixed[j] = one(bend[j]) + spread
        diagonal = max(fixed[j] - concentration[j] * spread, one(1e-7) * fixed[j])
        inverse[j] = one(1.0) / diagonal if diagonal > 0.0 else one(1.0)
        residual[j] = right[j]
    if fresh and len(coarse):
        _coarsen(begin, end, pairs, second, total, scale, fixed, part, o, column, coarse)
    product = _precondition(residual, inverse, part, coarse, moved, direction)
    target = relative * relative * product
    for _ in range(CG_STEPS):
        for j in range(width):
            x[o + j] = scale[j] * direction[j]
            applied[o + j] = 0.0
        _product(begin, end, first, strong, place, index, share, second, x, applied, local, column, w)
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


@_jit(fastmath=SUMS)
def _right_hand_side(
    kind: int, rho: float, logarithmic: bool, weights: Array, beta: Array, gamma: Array, m: Array, bend: Array,
    right: Array,
) -> float:  # fmt: skip
    """Set Newton's system for ``gamma = m``, or for ``ln gamma = ln m``; return the size by which it was divided."""
    size = TINY
    for j in range(len(beta)):
        if logarithmic and kind == KL and gamma[j] > 0.0:
            bend[j] = gamma[j] / rho
            right[j] = gamma[j] * math.log(max(m[j], TINY) / max(gamma[j], TINY))
        elif kind == KL:
            bend[j], right[j] = m[j] / rho, m[j] - gamma[j]
        else:
            bend[j], right[j] = weights[j] * _curvature(kind, rho, -beta[j]), m[j] - gamma[j]
        size = max(size, abs(right[j]))
    for j in range(len(beta)):  # each image on its own scale, so that float32 neither overflows nor underflows
        right[j] /= size
    return size


@_jit()
def _refuse(image: int, pairs: Pairs, state: State) -> None:
    """Make the point of an image one that is worse than any other: no plan, no bound."""
    width = state.beta.shape[1]
    begin, end = pairs.first_block[image], pairs.first_block[image + 1]
    state.alpha[begin:end], state.total[begin:end], state.q[begin:end] = math.inf, 1.0, 0.0
    state.factor[image * width : (image + 1) * width] = 0.0
    state.received[image * width : (image + 1) * width] = 0.0
    state.gamma[image], state.m[image] = 0.0, 0.0
    state.value[image], state.gap[image] = LOWEST, math.inf


@_jit(fastmath=SUMS)
def _look(
    image: int, objective: Objective, ground: Ground, pairs: Pairs, state: State, reference_beta: Array, reach: float
) -> None:  # fmt: skip
    """Evaluate the dual of one image at ``state.beta``; shares are computed anew if it is far from the reference."""
    width = state.beta.shape[1]
    o = image * width
    beta, factor, received = state.beta[image], state.factor[o : o + width], state.received[o : o + width]
    far, bounded = 0.0, True
    for j in range(width):
        far = max(far, abs(beta[j] - reference_beta[o + j]))
        bounded = bounded and abs(beta[j]) <= LARGEST
    if not bounded:  # there is nothing to be seen from here
        _refuse(image, pairs, state)
        return
    if far > reach * ground.epsilon:
        reference_beta[o : o + width] = beta
        _refer(image, ground, pairs, reference_beta)
    for j in range(width):
        factor[j] = _exp64((beta[j] - reference_beta[o + j]) / ground.epsilon)
    paid = _evaluate(image, objective, ground.epsilon, pairs, state)
    price, gap = _settle(
        objective.dot, objective.dot_rho, objective.weights[image], beta, factor, received, state.gamma[image],
        state.m[image],
    )  # fmt: skip
    value = -paid - price
    state.value[image] = value if value >= LOWEST else LOWEST  # also what is not a number
    state.gap[image] = gap if gap >= 0.0 else math.inf


@_jit(fastmath=SUMS)
def _spread(weights: Array, beta: Array, search_beta: Array) -> float:
    """Return by how much more the potential of one dot has risen than that of another."""
    low, high = math.inf, -math.inf
    for j in range(len(beta)):
        if weights[j] > 0.0:
            moved = beta[j] - search_beta[j]
            low, high = min(low, moved), max(high, moved)
    return high - low


@_jit(fastmath=SUMS)
def climb(
    first_image: int, last: int, objective: Objective, ground: Ground, pairs: Pairs, state: State,
    reference_beta: Array, reach: float, search_beta: Array, span: float, tol: float, budget: int, known: bool,
    active: Array, evaluations: Array, converged: Array, strayed: Array,
) -> None:  # fmt: skip
    """Maximise the dual from ``state.beta``, each image on its own; see :func:`dotcount.transport.ascent.ascend`.

    With ``known``, ``state`` holds the point already; else the first evaluation is part of the budget, and with a
    budget of 1 it is all that happens. Shares are computed anew where potentials are more than ``reach`` (units of
    epsilon) from ``reference_beta``, (n + 1,) with the dummy's; an image has strayed once its potentials have moved
    apart by more than ``span`` since ``search_beta``.
    """
    width = state.beta.shape[1]
    bend, right, start, move = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    step = np.empty(width, pairs.strong_share.dtype)
    x, applied = np.zeros(len(state.factor), step.dtype), np.zeros(len(state.factor), step.dtype)
    second = np.empty(objective.mass.shape, step.dtype)
    noise = 4.0 * np.finfo(pairs.share.dtype).eps * ground.epsilon
    for image in range(first_image, last):
        beta, gamma, m = state.beta[image], state.gamma[image], state.m[image]
        if not known:
            _look(image, objective, ground, pairs, state, reference_beta, reach)
        concentration = pairs.concentration[image * width : (image + 1) * width]
        used, fresh, logarithmic, stalled = 0 if known else 1, concentration[0] < 0.0, True, False
        evaluations[image], strayed[image] = used if active[image] else 0, False
        while True:
            value, gap = state.value[image], state.gap[image]
            goal = tol * max(abs(value), 1.0)
            converged[image] = gap <= goal
            if not active[image] or converged[image] or stalled:
                break
            strayed[image] = _spread(objective.weights[image], beta, search_beta[image]) > span
            if used >= budget or strayed[image]:
                break
            size = _right_hand_side(
                objective.dot, objective.dot_rho, logarithmic, objective.weights[image], beta, gamma, m, bend, right
            )
            near, relative = gap < NEAR * max(abs(value), 1.0), FORCING
            if near:
                relative = min(max(0.5 * math.sqrt(goal / max(gap, TINY)), 1e-3), FORCING)
            _newton_step(
                image, objective, ground.epsilon, pairs, state, fresh or not near, relative, bend, right, second,
                concentration, x, applied, step,
            )  # fmt: skip
            fresh = False
            slope, mass = 0.0, 0.0
            for j in range(width):
                start[j], move[j] = beta[j], step[j] * size
                slope += (m[j] - gamma[j]) * move[j]
                mass += m[j]
            for b in range(pairs.first_block[image], pairs.first_block[image + 1]):
                for i in range(K):
                    mass += state.q[b, i]
            length, good = 1.0, False
            for _ in range(TRIALS):
                for j in range(width):
                    beta[j] = start[j] + length * move[j]
                _look(image, objective, ground, pairs, state, reference_beta, reach)
                used += 1
                evaluations[image] += 1
                rise = state.value[image] - value >= SUFFICIENT * length * slope - max(mass, 1.0) * noise
                bounded = state.gap[image] < math.inf
                good = bounded and ((rise and slope > 0.0) or state.gap[image] <= 0.5 * gap)
                if good or used >= budget:
                    break
                length *= SHRINK
            if not good:
                beta[:] = start
                _look(image, objective, ground, pairs, state, reference_beta, reach)
                used += 1
                stalled = not logarithmic
            logarithmic = logarithmic and good and length >= SHORT


@_jit(fastmath=SUMS)
def _transport(image: int, ground: Ground, pairs: Pairs, state: State) -> float:
    """Return ``sum_ij q_i p_ij c_ij``."""
    first, index, share, dots, corner = pairs.first, pairs.lists, pairs.share, ground.dots, ground.corner
    one = share.dtype.type
    begin, end = pairs.first_block[image], pairs.first_block[image + 1]
    room = _longest(begin, end, first)
    x, y, local = np.empty(room, share.dtype), np.empty(room, share.dtype), np.empty(room, share.dtype)
    w = np.empty(K, share.dtype)
    whole = 0.0
    for b in range(begin, end):
        start, n = first[b], pairs.kept[b]
        for e in range(n):
            d = index[start + e]
            x[e], y[e] = one(dots[d, 0] - corner[b, 0]), one(dots[d, 1] - corner[b, 1])
            local[e] = state.factor[d]
        for i in range(K):
            w[i] = state.q[b, i] / state.total[b, i]
        rows, step = share[K * start : K * (start + n)], one(ground.unit[b])
        for i in range(0, K, SIDE):
            whole += _paid(ground.kind, ground.delta, x[:n], y[:n], step, i, local[:n], rows, w)
    return whole


_largest_error, _excess = _jit()(rounding.largest_error), _jit()(rounding.excess)


@_jit()
def _near_pole(b: int, ground: Ground, pairs: Pairs, state: State, far: float, out: Array) -> None:
    """Set ``out`` (K,) to the shares that rounding of the ``wfr`` cost may add to those of each cell of block b.

    The cost is ``-2 ln cos(angle)``, whose derivative, ``2 tan(angle)``, is at most ``2 e^{c / 2}``.
    """
    start, n, delta = pairs.first[b], pairs.kept[b], ground.delta
    out[:] = 0.0
    for e in range(n):
        d = pairs.lists[start + e]
        x, y = ground.dots[d, 0] - ground.corner[b, 0], ground.dots[d, 1] - ground.corner[b, 1]
        for i in range(K):
            share = pairs.share[K * start + i * n + e] * state.factor[d] / state.total[b, i]
            if share > 0.0:
                cost = _cost(WFR, delta, x - i % SIDE * ground.unit[b], y - i // SIDE * ground.unit[b])
                if cost < math.inf:
                    turned = 8.0 * UNIT64 * (far / delta + 1.0) * math.exp(0.5 * cost)
                    error = turned + 8.0 * UNIT64 * cost if turned < 0.25 else math.inf
                    out[i] += share * math.expm1(min(error / ground.epsilon, LARGEST_EXPONENT))


@_jit()
def _dot_sizes(
    kind: int, rho: float, weights: Array, beta: Array, gamma: Array, m: Array
) -> tuple[float, float, float, float]:
    """Return the sums over an image's dots that :class:`dotcount.transport.rounding.Sizes` has, and the span."""
    dots, potential, slope, low, high = 0.0, 0.0, 0.0, math.inf, -math.inf
    for j in range(len(weights)):
        v, g, z = weights[j], gamma[j], beta[j]
        if v > 0.0:
            dots += v + m[j] + g
            potential += g * abs(z)
            low, high = min(low, z), max(high, z)
            if g > 0.0:
                slope += g * abs(rho * math.log(g / v) + z if kind == KL else 2.0 * rho * (g / v - 1.0) + z)
    return dots, potential, slope, max(high - low, 0.0)


@_jit(fastmath=SUMS)
def account(
    first_image: int, last: int, objective: Objective, ground: Ground, pairs: Pairs, state: State, log_dropped: Array,
    search_beta: Array, reference_beta: Array, far: Array, dropped: Array, shift: Array, spilled: Array, pixels: Array,
    transport: Array, below: Array, above: Array,
) -> None:  # fmt: skip
    """Set what :meth:`dotcount.transport.dual.Dual.account` returns.

    Pairs were left out at ``search_beta``, and others trimmed at ``reference_beta``: that bounds what they are now.
    """
    kind, rho, epsilon, mass = objective.pixel, objective.pixel_rho, ground.epsilon, objective.mass
    first_block, log_trimmed, reference, alpha, q = (
        pairs.first_block, pairs.log_trimmed, pairs.reference, state.alpha, state.q
    )  # fmt: skip
    out, ratio, stiffness = np.empty(K), np.empty(K), np.zeros(K)
    roundoff = 0.5 * np.finfo(pairs.share.dtype).eps
    for image in range(first_image, last):
        lost, largest, spill, price, whole, moved, potential, stiff = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        grown_dropped, grown_trimmed = -math.inf, -math.inf
        for j in range(state.beta.shape[1]):
            beta = state.beta[image, j]
            grown_dropped = max(grown_dropped, beta - search_beta[image, j])
            grown_trimmed = max(grown_trimmed, beta - reference_beta[image * state.beta.shape[1] + j])
        for b in range(first_block[image], first_block[image + 1]):
            ratio[:] = 0.0
            if log_dropped[b] > -math.inf:
                base = log_dropped[b] + grown_dropped / epsilon
                for i in range(K):
                    out[i] = min(max(base + alpha[b, i] / epsilon, -700.0), 700.0)
                for i in range(K):
                    ratio[i] = _exp64(out[i])
            if log_trimmed[b] > -math.inf:
                base = log_trimmed[b] + grown_trimmed / epsilon
                for i in range(K):
                    out[i] = min(max(base + (reference[b, i] + alpha[b, i]) / epsilon, -700.0), 700.0)
                for i in range(K):
                    ratio[i] += _exp64(out[i])
            if ground.kind == WFR:
                _near_pole(b, ground, pairs, state, far[image], stiffness)
                for i in range(K):
                    ratio[i] += stiffness[i]
                    stiff += epsilon * q[b, i] * stiffness[i] if q[b, i] > 0.0 else 0.0
            for i in range(K):
                a, u, sent, r = alpha[b, i], mass[b, i], q[b, i], ratio[i]
                whole += u
                if a == math.inf:
                    price += rho * u
                    continue
                off = epsilon * (r if r < 1e-4 else math.log1p(r)) if r < 1e300 else math.inf
                largest = max(largest, off)
                spill += sent * r
                moved += sent
                if kind == KL:
                    potential += sent * abs(a)
                    t = off / rho
                    lost += rho * sent * (t + t * t if t < 1e-4 else math.expm1(t))
                    price += rho * (u - sent) - sent * a
                else:
                    lost += u * (_quadratic(rho, off - a)[0] - _quadratic(rho, -a)[0])
                    price += rho * (sent - u) * (sent - u) / u if u > 0.0 else 0.0
                    size = min(a, 2.0 * rho) if a > 0.0 else -a
                    potential += u * size * (1.0 + size / (4.0 * rho))
        dropped[image], shift[image], spilled[image], pixels[image] = lost, largest, spill, price
        transport[image] = _transport(image, ground, pairs, state)
        dots, dot_potential, slope, span = _dot_sizes(
            objective.dot, objective.dot_rho, objective.weights[image], state.beta[image], state.gamma[image],
            state.m[image],
        )  # fmt: skip
        scales = Scales(
            ground.kind, kind, epsilon, rho, objective.dot_rho, roundoff, ground.unit[first_block[image]], far[image]
        )
        terms = float(first_block[image + 1] - first_block[image] + len(objective.weights[image]))
        sizes = Sizes(whole, moved, transport[image], stiff, potential, dots, dot_potential, slope, span, terms)
        below[image], above[image] = _excess(scales, sizes, _largest_error(scales, span))


@_jit()
def hard_minimum(image: int, last: int, ground: Ground, pairs: Pairs, beta: Array, out: Array) -> None:
    """Set ``out`` to ``min_j (c_ij - beta_j)`` over the neighbours; ``beta`` is (n + 1,) with the dummy's, -inf."""
    kind, delta, dots, corner, unit = ground.kind, ground.delta, ground.dots, ground.corner, ground.unit
    first_block, first, index = pairs.first_block, pairs.first, pairs.lists
    for b in range(first_block[image], first_block[last]):
        for i in range(K):
            x, y = corner[b, 0] + i % SIDE * unit[b], corner[b, 1] + i // SIDE * unit[b]
            best = math.inf
            for e in range(first[b], first[b + 1]):
                d = index[e]
                best = min(best, _cost(kind, delta, dots[d, 0] - x, dots[d, 1] - y) - beta[d])
            out[b, i] = best


@_jit()
def _room(values: Array, needed: int) -> Array:
    """Return ``values`` in an array of at least ``needed`` places."""
    if len(values) >= needed:
        return values
    larger = np.empty(max(needed, 2 * len(values)), values.dtype)
    larger[: len(values)] = values
    return larger


@_jit(fastmath=SUMS)
def _beyond(score: Array, least: float, top: float, inverse: float) -> float:
    """Return the sum of ``exp((score - top) / eps)`` over scores below ``least`` that are finite."""
    total = 0.0
    for k in range(len(score)):
        value = exp(max((score[k] - top) * inverse, UNDERFLOW))
        total += value if LEAST <= score[k] < least else 0.0
    return total


@_jit()
def _place_of_maximum(values: Array, count: int) -> int:
    """Return the first place of the largest of the first ``count`` values, 0 if there is none."""
    best = 0
    for k in range(1, count):
        if values[k] > values[best]:
            best = k
    return best


@_jit()
def _block_of(place: float, unit: float, blocks: int) -> int:
    """Return the row or column of blocks that is nearest to a coordinate; never out of range."""
    block = place / unit / SIDE
    if not block >= 1.0:
        return 0
    return blocks - 1 if block >= blocks else int(block)


@_jit()
def search(
    kind: int, delta: float, epsilon: float, cutoff: float, slack: float, rows: int, columns: int, unit: float,
    dots: Array, beta: Array, dummy: int, offset: int,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Return the lists of one image's blocks, padded, the length of each, and the bound on what is left out.

    The rule is that of :func:`dotcount.transport.neighbours.find_neighbours`; ``offset`` is added to the numbers of
    the dots, ``dummy`` pads.
    """
    m = len(beta)
    block_columns, block_rows = (columns + SIDE - 1) // SIDE, (rows + SIDE - 1) // SIDE
    side = SIDE
    boxes_x, boxes_y = block_columns, block_rows
    while boxes_x * boxes_y > 1 and boxes_x * boxes_y * m > ROOT_PAIRS and cutoff < math.inf:
        side *= BRANCH
        boxes_x, boxes_y = (columns + side - 1) // side, (rows + side - 1) // side
    # The level above: boxes with their lists (CSR) and bounds.
    parents_x, parents_y, ratio = 1, 1, max(boxes_x, boxes_y)
    starts, counts = np.zeros(1, np.int64), np.full(1, m)
    flat = np.arange(m)
    bounds = np.full(1, -math.inf)
    x, y, level_beta = np.empty(m), np.empty(m), np.empty(m)
    score = np.empty(m)
    while True:
        new_starts, new_counts = np.zeros(boxes_x * boxes_y, np.int64), np.zeros(boxes_x * boxes_y, np.int64)
        new_bounds = np.empty(boxes_x * boxes_y)
        new_flat = np.empty(max(64, 4 * m), np.int64)
        used = 0
        for parent_y in range(parents_y):
            for parent_x in range(parents_x):
                parent = parent_y * parents_x + parent_x
                count, o = counts[parent], starts[parent]
                for k in range(count):
                    d = flat[o + k]
                    x[k], y[k], level_beta[k] = dots[d, 0], dots[d, 1], beta[d]
                for box_y in range(parent_y * ratio, min((parent_y + 1) * ratio, boxes_y)):
                    low_y, high_y = (box_y * side + 0.5) * unit, (min((box_y + 1) * side, rows) - 0.5) * unit
                    for box_x in range(parent_x * ratio, min((parent_x + 1) * ratio, boxes_x)):
                        low_x, high_x = (box_x * side + 0.5) * unit, (min((box_x + 1) * side, columns) - 0.5) * unit
                        _nearest(kind, delta, low_x, high_x, low_y, high_y, x, y, level_beta, count, score)
                        best = _place_of_maximum(score, count)
                        guaranteed = -math.inf
                        if count > 0:
                            far_x, far_y = (
                                max(x[best] - low_x, high_x - x[best]),
                                max(y[best] - low_y, high_y - y[best]),
                            )
                            guaranteed = level_beta[best] - _cost(kind, delta, far_x, far_y)
                        top = guaranteed if guaranteed > -math.inf else 0.0
                        least = max(guaranteed - cutoff, LEAST)
                        new_flat = _room(new_flat, used + count + 1)
                        box = box_y * boxes_x + box_x
                        new_starts[box] = used
                        # Without branches: the place after the last is written to in vain.
                        for k in range(count):
                            new_flat[used] = flat[o + k]
                            used += score[k] >= least
                        new_counts[box] = used - new_starts[box]
                        dropped = _beyond(score[:count], least, top, 1.0 / epsilon) if new_counts[box] < count else 0.0
                        above, here = bounds[parent], -math.inf
                        if dropped > 0.0:
                            here = math.log(dropped) + (top + slack) / epsilon
                        larger = max(above, here)
                        if larger > -math.inf:
                            larger += math.log1p(math.exp(min(above, here) - larger))
                        new_bounds[box] = larger
        starts, counts, flat, bounds = new_starts, new_counts, new_flat, new_bounds
        if side == SIDE:
            break
        parents_x, parents_y, ratio = boxes_x, boxes_y, BRANCH
        side //= BRANCH
        boxes_x, boxes_y = (columns + side - 1) // side, (rows + side - 1) // side
    # A dot on no list gets a place at the nearest block, so that it can be paid at all.
    listed = np.zeros(m, np.bool_)
    for b in range(len(counts)):
        for k in range(starts[b], starts[b] + counts[b]):
            listed[flat[k]] = True
    extra = np.zeros(len(counts), np.int64)
    home = np.full(m, -1)
    for d in range(m):
        if not listed[d]:
            row, column = _block_of(dots[d, 1], unit, block_rows), _block_of(dots[d, 0], unit, block_columns)
            home[d] = row * block_columns + column
            extra[home[d]] += 1
    lengths = (counts + extra + PAD - 1) // PAD * PAD
    index = np.full(lengths.sum(), dummy, np.uint32)
    place = np.zeros(len(counts), np.int64)
    start = 0
    for b in range(len(counts)):
        for k in range(counts[b]):
            index[start + k] = flat[starts[b] + k] + offset
        place[b] = start + counts[b]
        start += lengths[b]
    for d in range(m):
        if home[d] >= 0:
            index[place[home[d]]] = d + offset
            place[home[d]] += 1
    return index, lengths, bounds
