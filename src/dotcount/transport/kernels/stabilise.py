"""Conditional plans relative to a reference that keeps them in range, and which dots of a list matter."""

from __future__ import annotations

import math

import numpy as np

from dotcount.transport.cells import SIDE
from dotcount.transport.kernels.arithmetic import exponentials, maximum
from dotcount.transport.kernels.ground import conditionals_of_row, scores_of_box, scores_of_row, sum_beyond
from dotcount.transport.kernels.jit import SUMS, Array, jit
from dotcount.transport.kernels.layout import L1, L2, MAIN, NEGLIGIBLE, PAD, SAFE_SPREAD, STRONG, Ground, K, PairLists


@jit()
def longest_list(begin: int, end: int, first: Array) -> int:
    """Return the length of the longest list of the blocks."""
    n = 0
    for b in range(begin, end):
        n = max(n, first[b + 1] - first[b])
    return n


@jit()
def sort_places(values: Array, near: float, least: float, order: Array) -> tuple[int, int]:
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


@jit()
def _padded(count: int) -> int:
    return (count + PAD - 1) // PAD * PAD


@jit()
def _any_unlisted(listed: Array, best_block: Array) -> bool:
    """Whether a dot is on no list though it was a candidate."""
    return bool(np.any(~listed[:-1] & (best_block[:-1] >= 0)))


@jit()
def _misses(index: Array, offset: int, listed: Array, best_block: Array, b: int) -> bool:
    """Whether block b is where a dot scores best that is on no list."""
    for d in index:
        j = np.int64(d) - offset
        if j < len(listed) - 1 and not listed[j] and best_block[j] == b:
            return True
    return False


@jit(fastmath=SUMS)
def stabilise(image: int, ground: Ground, lists: PairLists, beta: Array) -> None:
    """Set ``share`` to ``exp((beta_j - c_ij - r_i) / eps)``, r_i, about ``max_j (beta_j - c_ij)``, into ``reference``.

    Only dots that can come within ``cutoff`` (units of epsilon) of the best in some cell of a block get plans: the
    first ``kept[b]`` of its list, which is reordered; of these the first ``strong[b]`` are not negligible, and their
    plans stand in ``strong_conditional`` together, from ``place[b]`` on. That may be the second half of the memory of
    ``conditional``, ``apart`` from the first: then lists that are strong in the main stay where they are, all of them
    strong. ``log_truncated[b]`` bounds the logarithm of the sum of what the others would have in any cell. Every dot
    keeps a place on some list. ``dots`` is (n + 1, 2) and ``beta`` (n + 1,), both with the dummy (beta -inf) at the
    end.
    """
    kind, delta, epsilon, cutoff = ground.kind, ground.delta, ground.epsilon, ground.cutoff
    dots, corner, unit = ground.dots, ground.corner, ground.unit
    first_block, first, index, share, strong_conditional = (
        lists.first_block, lists.first, lists.dots, lists.conditional, lists.strong_conditional
    )  # fmt: skip
    reference, kept, strong, place = lists.reference, lists.kept, lists.strong, lists.place
    apart, log_truncated = lists.apart, lists.log_truncated
    one = share.dtype.type
    begin, end = first_block[image], first_block[image + 1]
    room = longest_list(begin, end, first)
    x, y, score = np.empty(room, share.dtype), np.empty(room, share.dtype), np.empty(room, share.dtype)
    right, down, potential, middle = np.empty(room), np.empty(room), np.empty(room), np.empty(room)
    names, order = np.empty(room, index.dtype), np.empty(room + 1, np.int64)
    width = (len(beta) - 1) // (len(first_block) - 1)
    listed, best_block, nearness = np.empty(width + 1, np.bool_), np.empty(width + 1, np.int64), np.empty(width + 1)
    precise = 1.0 / epsilon
    inverse = one(precise)
    o = image * width
    listed[:], best_block[:], nearness[:] = False, -1, -math.inf
    end_of_strong = apart + K * first[begin]
    # The first round goes over all blocks, the second over those that are best for a dot trimmed everywhere.
    for again in range(2):
        if again and not _any_unlisted(listed, best_block):
            break
        for b in range(begin, end):
            start, n, within = first[b], first[b + 1] - first[b], max(cutoff, STRONG)
            if n == 0:
                reference[b], kept[b], strong[b], log_truncated[b] = 0.0, 0, 0, -math.inf
                continue
            if again:
                if not _misses(index[start : start + n], o, listed, best_block, b):
                    continue
                within = math.inf
            for e in range(n):
                d = index[start + e]
                names[e] = d
                right[e], down[e], potential[e] = dots[d, 0] - corner[b, 0], dots[d, 1] - corner[b, 1], beta[d]
            # Scores relative to the best at the block's middle: float32 then rounds short distances only.
            half = 0.5 * (SIDE - 1) * unit[b]
            scores_of_box(kind, delta, half, half, half, half, right, down, potential, n, middle)
            base = maximum(middle[:n])
            if base == -math.inf:
                base = max(maximum(potential[:n]), -1e300)
            # Within a block, a dot can gain this much on another; for other costs there is no such bound.
            gain = 4.0 * half if kind == L1 else 2.0 * math.sqrt(2.0) * half if kind == L2 else math.inf
            least, log_truncated[b] = base - within * epsilon - gain, -math.inf
            near = base - max(STRONG * epsilon, NEGLIGIBLE * epsilon + gain)
            m, size = sort_places(middle[:n], near, least, order)
            if size < n:
                beyond = sum_beyond(middle[:n], least, base - gain, precise)
                log_truncated[b] = math.log(beyond) if beyond > 0.0 else -math.inf
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
                    nearness[j], best_block[j] = middle[k] - base, b
            # Where no score can exceed it by much, that of the best at the middle serves as the highest.
            best = 0
            while best < n - 1 and middle[order[best]] != base:
                best += 1
            rows, strong_rows = share[K * start : K * (start + size)], strong_conditional[place[b] : place[b] + K * m]
            for i in range(K):
                row = rows[i * size : (i + 1) * size]
                right_i, down_i = one(i % SIDE * unit[b]), one(i // SIDE * unit[b])
                if kind == L2 and gain <= SAFE_SPREAD * epsilon:
                    dx, dy = x[best] - right_i, y[best] - down_i
                    top = score[best] - np.sqrt(dx * dx + dy * dy) * inverse
                    conditionals_of_row(x[:size], y[:size], right_i, down_i, score[:size], inverse, top, row)
                else:
                    scores_of_row(kind, delta, x[:size], y[:size], right_i, down_i, score[:size], inverse, row)
                    top = row[best] if gain <= SAFE_SPREAD * epsilon else maximum(row)
                    if top == -np.inf:
                        top = one(0.0)
                    for e in range(size):
                        row[e] -= top
                    exponentials(row)
                reference[b, i] = base + epsilon * top
            if together:
                continue
            for i in range(K):
                for e in range(m):
                    strong_rows[i * m + e] = rows[i * size + e]
