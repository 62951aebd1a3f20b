"""What the certificate needs to know about the cells and dots of each image."""

from __future__ import annotations

import math

import numpy as np

from dotcount.transport import rounding
from dotcount.transport.cells import SIDE
from dotcount.transport.kernels.arithmetic import exp64
from dotcount.transport.kernels.evaluate import steepest_slope
from dotcount.transport.kernels.ground import paid_by_rows
from dotcount.transport.kernels.jit import SUMS, Array, entry_point, jit
from dotcount.transport.kernels.layout import (
    EQUALITY,
    KL,
    LOG_FLOORED,
    TINY,
    WFR,
    Anchor,
    Ground,
    K,
    Objective,
    PairLists,
    State,
)
from dotcount.transport.kernels.penalties import quadratic_conjugate, rescaling_strengths
from dotcount.transport.kernels.stabilise import longest_list
from dotcount.transport.rounding import LARGEST_EXPONENT, UNIT64, Scales, Sizes

_largest_error, _excess = jit()(rounding.largest_error), jit()(rounding.excess)


@jit(fastmath=SUMS)
def _transport(image: int, ground: Ground, lists: PairLists, state: State) -> float:
    """Return ``sum_ij q_i p_ij c_ij``."""
    first, index, share, dots, corner = lists.first, lists.dots, lists.conditional, ground.dots, ground.corner
    one = share.dtype.type
    begin, end = lists.first_block[image], lists.first_block[image + 1]
    room = longest_list(begin, end, first)
    x, y, local = np.empty(room, share.dtype), np.empty(room, share.dtype), np.empty(room, share.dtype)
    w = np.empty(K, share.dtype)
    whole = 0.0
    for b in range(begin, end):
        start, n = first[b], lists.kept[b]
        for e in range(n):
            d = index[start + e]
            x[e], y[e] = one(dots[d, 0] - corner[b, 0]), one(dots[d, 1] - corner[b, 1])
            local[e] = state.factor[d]
        for i in range(K):
            w[i] = state.q[b, i] / state.total[b, i]
        rows, step = share[K * start : K * (start + n)], one(ground.unit[b])
        for i in range(0, K, SIDE):
            whole += paid_by_rows(ground.kind, ground.delta, x[:n], y[:n], step, i, local[:n], rows, w)
    return whole


@jit()
def _near_pole(b: int, ground: Ground, lists: PairLists, state: State, far: float, out: Array) -> None:
    """Set ``out`` (K,) to the shares that rounding of the ``wfr`` cost may add to those of each cell of block b.

    The cost is ``-2 ln cos(angle)``, whose derivative, ``2 tan(angle)``, is at most ``2 e^{c / 2}``.
    """
    start, n, delta, epsilon = lists.first[b], lists.kept[b], ground.delta, ground.epsilon
    unit, turn = ground.unit[b], 8.0 * UNIT64 * (far / delta + 1.0)
    reach = 0.5 * math.pi * delta
    close = 0.9 * reach  # up to here e^{c / 2} is below 6.4 and the cost below 3.8
    out[:] = math.expm1(min((6.4 * turn + 30.4 * UNIT64) / epsilon, LARGEST_EXPONENT))  # as if all were close
    for e in range(n):
        d = lists.dots[start + e]
        x, y = ground.dots[d, 0] - ground.corner[b, 0], ground.dots[d, 1] - ground.corner[b, 1]
        across, along = max(x, (SIDE - 1) * unit - x), max(y, (SIDE - 1) * unit - y)
        if across * across + along * along <= close * close:  # to the farthest cell of the block
            continue
        for i in range(K):
            dx, dy = x - i % SIDE * unit, y - i // SIDE * unit
            squared = dx * dx + dy * dy
            share = lists.conditional[K * start + i * n + e] * state.factor[d]
            if close * close < squared < reach * reach and share > 0.0:
                cosine = math.cos(math.sqrt(squared) / delta)  # e^{-c / 2}; c is at most twice its inverse
                t = (turn + 16.0 * UNIT64) / (cosine * epsilon) if turn < 0.25 * cosine else math.inf
                more = t + t * t if t < 1.0 else math.expm1(min(t, LARGEST_EXPONENT))
                out[i] += share / state.total[b, i] * more


@jit()
def _exact_dots(
    image: int, objective: Objective, epsilon: float, moved: float, first_block: Array, state: State
) -> tuple[float, float, float, float]:
    """Return the slope, the strength, the stretch and the floored share where dots must be paid exactly."""
    weights, gamma = objective.weights[image], state.gamma[image]
    steepest = steepest_slope(first_block[image], first_block[image + 1], objective.mass, state.q)
    a, b = rescaling_strengths(objective.pixel, objective.pixel_rho, epsilon, steepest)
    slope, stretch, least, lost = 0.0, 1.0, math.inf, False
    for j in range(len(weights)):
        if weights[j] > 0.0:
            paid, off = max(gamma[j], TINY), gamma[j] - weights[j]
            slope += abs(a * off + b * (2.0 * off - off * off / paid))
            stretch, least = max(stretch, weights[j] / paid), min(least, paid)
            lost = lost or not gamma[j] >= TINY  # this plan can't be rescaled to one that pays the dot
    return slope, a + 2.0 * b, stretch, math.inf if lost else moved * math.exp(LOG_FLOORED) / least


@jit()
def _dot_sizes(image: int, objective: Objective, state: State) -> tuple[float, float, float, float]:
    """Return the sums over an image's dots that :class:`dotcount.transport.rounding.Sizes` has, and the span."""
    kind, rho, weights = objective.dot, objective.dot_rho, objective.weights[image]
    beta, gamma, m = state.beta[image], state.gamma[image], state.m[image]
    dots, potential, slope, low, high = 0.0, 0.0, 0.0, math.inf, -math.inf
    for j in range(len(weights)):
        v, g, z = weights[j], gamma[j], beta[j]
        if v > 0.0:
            dots += v + m[j] + g
            potential += (max(g, v) if kind == EQUALITY else g) * abs(z)
            low, high = min(low, z), max(high, z)
            if g > 0.0 and kind != EQUALITY:
                slope += g * abs(rho * math.log(g / v) + z if kind == KL else 2.0 * rho * (g / v - 1.0) + z)
    return dots, potential, slope, max(high - low, 0.0)


@jit(fastmath=SUMS)
def _left_out(
    b: int, grown: tuple[float, float], epsilon: float, lists: PairLists, state: State, anchor: Anchor, room: Array,
    out: Array,
) -> None:  # fmt: skip
    """Bound the sum of the conditional plans that each cell of block b lacks, relative to that of those it has."""
    alpha, reference = state.alpha, lists.reference
    dropped, truncated = anchor.log_dropped[b], lists.log_truncated[b]
    out[:] = 0.0
    if dropped > -math.inf:
        for i in range(K):
            room[i] = min(max(dropped + (grown[0] + alpha[b, i]) / epsilon, -700.0), 700.0)
        for i in range(K):
            out[i] = exp64(room[i])
    if truncated > -math.inf:
        for i in range(K):
            room[i] = min(max(truncated + (grown[1] + alpha[b, i] + reference[b, i]) / epsilon, -700.0), 700.0)
        for i in range(K):
            out[i] += exp64(room[i])


@jit(fastmath=SUMS)
def _grown(image: int, state: State, anchor: Anchor) -> tuple[float, float]:
    """Return by how much potentials have risen at most since lists, and since plans, were chosen for them."""
    width = state.beta.shape[1]
    dropped, truncated = -math.inf, -math.inf
    for j in range(width):
        beta = state.beta[image, j]
        dropped = max(dropped, beta - anchor.search_beta[image, j])
        truncated = max(truncated, beta - anchor.reference_beta[image * width + j])
    return dropped, truncated


@entry_point(fastmath=SUMS)
def account(
    first_image: int, last: int, objective: Objective, ground: Ground, lists: PairLists, state: State, anchor: Anchor,
    out: Array,
) -> None:  # fmt: skip
    """Set the rows of ``out`` (7, B) to the fields of :class:`dotcount.transport.dual.Account`.

    Pairs were left out for one beta and others truncated for another: that bounds what they are now.
    """
    kind, rho, epsilon, mass = objective.pixel, objective.pixel_rho, ground.epsilon, objective.mass
    first_block, alpha, q = lists.first_block, state.alpha, state.q
    room, ratio, stiffness = np.empty(K), np.empty(K), np.zeros(K)
    roundoff = 0.5 * np.finfo(lists.conditional.dtype).eps
    for image in range(first_image, last):
        lost, largest, spill, price, whole, moved, potential, stiff = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        grown = _grown(image, state, anchor)
        for b in range(first_block[image], first_block[image + 1]):
            _left_out(b, grown, epsilon, lists, state, anchor, room, ratio)
            if ground.kind == WFR:
                _near_pole(b, ground, lists, state, anchor.far[image], stiffness)
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
                    lost += u * (quadratic_conjugate(rho, off - a)[0] - quadratic_conjugate(rho, -a)[0])
                    price += rho * (sent - u) * (sent - u) / u if u > 0.0 else 0.0
                    size = min(a, 2.0 * rho) if a > 0.0 else -a
                    potential += u * size * (1.0 + size / (4.0 * rho))
        transport = _transport(image, ground, lists, state)
        dots, dot_potential, slope, span = _dot_sizes(image, objective, state)
        unit, far = ground.unit[first_block[image]], anchor.far[image]
        strength, stretch, floored = objective.dot_rho, 1.0, 0.0
        if objective.dot == EQUALITY:
            slope, strength, stretch, floored = _exact_dots(image, objective, epsilon, moved, first_block, state)
        scales = Scales(ground.kind, kind, epsilon, rho, strength, roundoff, unit, far)
        terms = float(first_block[image + 1] - first_block[image] + len(objective.weights[image]))
        sizes = Sizes(
            whole, moved, transport, stiff, potential, dots, dot_potential, slope, span, terms, stretch, floored
        )
        below, above = _excess(scales, sizes, _largest_error(scales, span))
        out[0, image], out[1, image], out[2, image], out[3, image] = lost, largest, spill, price
        out[4, image], out[5, image], out[6, image] = transport, below, above
