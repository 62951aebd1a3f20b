"""Which dots each block has to look at, and the hard minimum over them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dotcount.transport.cells import SIDE
from dotcount.transport.kernels.arithmetic import maximum
from dotcount.transport.kernels.ground import ground_cost, scores_of_box, sum_beyond
from dotcount.transport.kernels.jit import Array, entry_point, jit
from dotcount.transport.kernels.layout import LEAST, PAD, Field, Ground, K, PairLists, Rule
from dotcount.transport.neighbours import BRANCH

ROOT_PAIRS = 1 << 15
"""The coarsest level of the search has at most about this many (box, dot) pairs."""


@entry_point()
def hard_minimum(image: int, last: int, ground: Ground, lists: PairLists, beta: Array, out: Array) -> None:
    """Set ``out`` to ``min_j (c_ij - beta_j)`` over the neighbours; ``beta`` is (n + 1,) with the dummy's, -inf."""
    kind, delta, dots, corner, unit = ground.kind, ground.delta, ground.dots, ground.corner, ground.unit
    first_block, first, index = lists.first_block, lists.first, lists.dots
    for b in range(first_block[image], first_block[last]):
        for i in range(K):
            x, y = corner[b, 0] + i % SIDE * unit[b], corner[b, 1] + i // SIDE * unit[b]
            best = math.inf
            for e in range(first[b], first[b + 1]):
                d = index[e]
                best = min(best, ground_cost(kind, delta, dots[d, 0] - x, dots[d, 1] - y) - beta[d])
            out[b, i] = best


@jit()
def _room(values: Array, needed: int) -> Array:
    """Return ``values`` in an array of at least ``needed`` places."""
    if len(values) >= needed:
        return values
    larger = np.empty(max(needed, 2 * len(values)), values.dtype)
    larger[: len(values)] = values
    return larger


@jit()
def _place_of_maximum(values: Array) -> int:
    """Return the first place of the largest value, or some place if one of them is not a number."""
    best, last = 0, len(values) - 1
    if last > 0:
        highest = maximum(values)
        while best < last and values[best] != highest:
            best += 1
    return best


@jit()
def nearest_block(place: float, unit: float, blocks: int) -> int:
    """Return the row or column of blocks that is nearest to a coordinate; never out of range."""
    block = place / unit / SIDE
    if not block >= 1.0:
        return 0
    return blocks - 1 if block >= blocks else int(block)


class Candidates(NamedTuple):
    """Boxes with their lists of dots (``flat[starts[k]:starts[k] + counts[k]]``) and bounds on what is left out."""

    starts: Array
    counts: Array
    flat: Array
    bounds: Array


@jit()
def _guaranteed(
    rule: Rule, box: tuple[float, float, float, float], x: Array, y: Array, beta: Array, count: int, score: Array
) -> float:  # fmt: skip
    """Set the scores at the nearest point of a box; return what the best of them guarantees at the farthest."""
    low_x, high_x, low_y, high_y = box
    if count == 0:
        return -math.inf
    scores_of_box(rule.kind, rule.delta, low_x, high_x, low_y, high_y, x, y, beta, count, score)
    best = _place_of_maximum(score[:count])
    far_x, far_y = max(x[best] - low_x, high_x - x[best]), max(y[best] - low_y, high_y - y[best])
    return beta[best] - ground_cost(rule.kind, rule.delta, far_x, far_y)


@jit()
def _bound(rule: Rule, above: float, score: Array, least: float, top: float) -> float:
    """Return the bound on all that is left out, when scores below ``least`` come to what was left out above."""
    here = -math.inf
    dropped = sum_beyond(score, least, top, 1.0 / rule.epsilon)
    if dropped > 0.0:
        here = math.log(dropped) + (top + rule.slack) / rule.epsilon
    larger = max(above, here)
    if larger > -math.inf:
        larger += math.log1p(math.exp(min(above, here) - larger))
    return larger


@jit()
def _refine(
    rule: Rule, field: Field, side: int, ratio: int, parents: tuple[int, int], given: Candidates
) -> Candidates:  # fmt: skip
    """Split the parent boxes (columns, rows) into ``ratio`` x ``ratio`` of ``side`` cells and test their dots."""
    unit, m, dots, every_beta = field.unit, len(field.beta), field.dots, field.beta
    of_parents, before, before_bounds = given.flat, given.starts, given.bounds
    boxes_x, boxes_y = (field.columns + side - 1) // side, (field.rows + side - 1) // side
    starts, counts = np.zeros(boxes_x * boxes_y, np.int64), np.zeros(boxes_x * boxes_y, np.int64)
    bounds, flat, used = np.empty(boxes_x * boxes_y), np.empty(max(64, 4 * m), np.int64), 0
    x, y, beta, score = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    for parent in range(parents[0] * parents[1]):
        parent_y, parent_x = parent // parents[0], parent % parents[0]
        count, o = given.counts[parent], before[parent]
        for k in range(count):
            d = of_parents[o + k]
            x[k], y[k], beta[k] = dots[d, 0], dots[d, 1], every_beta[d]
        for box_y in range(parent_y * ratio, min((parent_y + 1) * ratio, boxes_y)):
            low_y, high_y = (box_y * side + 0.5) * unit, (min((box_y + 1) * side, field.rows) - 0.5) * unit
            for box_x in range(parent_x * ratio, min((parent_x + 1) * ratio, boxes_x)):
                low_x, high_x = (box_x * side + 0.5) * unit, (min((box_x + 1) * side, field.columns) - 0.5) * unit
                guaranteed = _guaranteed(rule, (low_x, high_x, low_y, high_y), x, y, beta, count, score)
                top = guaranteed if guaranteed > -math.inf else 0.0
                least = max(guaranteed - rule.cutoff, LEAST)
                flat = _room(flat, used + count + 1)
                box = box_y * boxes_x + box_x
                starts[box] = used
                # Without branches: the place after the last is written to in vain.
                for k in range(count):
                    flat[used] = of_parents[o + k]
                    used += score[k] >= least
                counts[box], bounds[box] = used - starts[box], before_bounds[parent]
                if counts[box] < count:
                    bounds[box] = _bound(rule, before_bounds[parent], score[:count], least, top)
    return Candidates(starts, counts, flat, bounds)


@jit()
def _nearest_blocks(field: Field, blocks: Candidates, block_columns: int, block_rows: int) -> Array:
    """Return for each dot on no list the block nearest to it, so that it can be paid at all; -1 for the others."""
    starts, counts, flat, _ = blocks
    m = len(field.beta)
    listed, nearest = np.zeros(m, np.bool_), np.full(m, -1)
    for b in range(len(counts)):
        for k in range(starts[b], starts[b] + counts[b]):
            listed[flat[k]] = True
    for d in range(m):
        if not listed[d]:
            row = nearest_block(field.dots[d, 1], field.unit, block_rows)
            nearest[d] = row * block_columns + nearest_block(field.dots[d, 0], field.unit, block_columns)
    return nearest


@jit()
def _padded_lists(blocks: Candidates, nearest: Array, dummy: int, offset: int) -> tuple[Array, Array]:
    """Return the lists one after the other, padded with ``dummy``, and the length of each."""
    starts, counts, flat, _ = blocks
    extra = np.zeros(len(counts), np.int64)
    for d in range(len(nearest)):
        if nearest[d] >= 0:
            extra[nearest[d]] += 1
    lengths = (counts + extra + PAD - 1) // PAD * PAD
    index = np.full(lengths.sum(), dummy, np.uint32)
    place = np.zeros(len(lengths), np.int64)
    start = 0
    for b in range(len(lengths)):
        o, count = starts[b], counts[b]
        for k in range(count):
            index[start + k] = flat[o + k] + offset
        place[b] = start + count
        start += lengths[b]
    for d in range(len(nearest)):
        if nearest[d] >= 0:
            index[place[nearest[d]]] = d + offset
            place[nearest[d]] += 1
    return index, lengths


@entry_point()
def search(rule: Rule, field: Field, dummy: int, offset: int) -> tuple[Array, Array, Array]:
    """Return the lists of one image's blocks, padded, the length of each, and the bound on what is left out.

    The rule is that of :func:`dotcount.transport.neighbours.find_neighbours`; ``offset`` is added to the numbers of
    the dots, ``dummy`` pads.
    """
    m = len(field.beta)
    block_columns, block_rows = (field.columns + SIDE - 1) // SIDE, (field.rows + SIDE - 1) // SIDE
    side, boxes_x, boxes_y = SIDE, block_columns, block_rows
    while boxes_x * boxes_y > 1 and boxes_x * boxes_y * m > ROOT_PAIRS and rule.cutoff < math.inf:
        side *= BRANCH
        boxes_x, boxes_y = (field.columns + side - 1) // side, (field.rows + side - 1) // side
    parents, ratio = (1, 1), max(boxes_x, boxes_y)
    found = Candidates(np.zeros(1, np.int64), np.full(1, m), np.arange(m), np.full(1, -math.inf))
    while True:
        found = _refine(rule, field, side, ratio, parents, found)
        if side == SIDE:
            break
        parents, ratio = ((field.columns + side - 1) // side, (field.rows + side - 1) // side), BRANCH
        side //= BRANCH
    index, lengths = _padded_lists(found, _nearest_blocks(field, found, block_columns, block_rows), dummy, offset)
    return index, lengths, found.bounds


@entry_point()
def parts_of_dots(dots: Array, n_dots: Array, side: int) -> Array:
    """Return the part that each dot of ``dots`` (B, m_max, 2) belongs to, flat.

    Parts are the boxes of a grid of ``side`` x ``side`` over an image's dots; absent dots have the number of no part.
    """
    n_images, width = dots.shape[:2]
    part = np.full(n_images * width, side * side, np.int64)
    for image in range(n_images if side else 0):
        own = dots[image, : n_dots[image]]
        for axis in range(2):
            low, high = math.inf, -math.inf
            for j in range(len(own)):
                low, high = min(low, own[j, axis]), max(high, own[j, axis])
            scale = side / max(high - low, 1e-100)
            for j in range(len(own)):
                box = min(int((own[j, axis] - low) * scale), side - 1)
                o = image * width + j
                part[o] = box if axis == 0 else box * side + part[o]
    return part
