"""The dual of one image at given potentials."""

from __future__ import annotations

import math

import numpy as np

from dotcount.transport.kernels.arithmetic import add_rows, exp64, log64, multiply_rows
from dotcount.transport.kernels.jit import SUMS, Array, jit
from dotcount.transport.kernels.layout import (
    EQUALITY,
    KL,
    QUADRATIC,
    TINY,
    Anchor,
    Ground,
    K,
    Objective,
    PairLists,
    State,
)
from dotcount.transport.kernels.penalties import fenchel_young, quadratic_conjugate, rescaling_gap, rescaling_strengths
from dotcount.transport.kernels.stabilise import longest_list, stabilise
from dotcount.transport.problem import LARGEST, LOWEST


@jit(fastmath=SUMS)
def _evaluate_cells(image: int, objective: Objective, epsilon: float, lists: PairLists, state: State) -> float:
    """Set alpha, the totals, q and what the dots receive (without ``factor``); return the sum of ``u phi*(-alpha)``."""
    kind, rho, mass = objective.pixel, objective.pixel_rho, objective.mass
    first, index, kept, share, reference = lists.first, lists.dots, lists.kept, lists.conditional, lists.reference
    alpha, total, q, factor, received = state.alpha, state.total, state.q, state.factor, state.received
    begin, end = lists.first_block[image], lists.first_block[image + 1]
    room = longest_list(begin, end, first)
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
            multiply_rows(local, rows, i, w)
        for i in range(K):  # in steps that the compiler can do side by side
            summed[i] = max(np.float64(w[i]), TINY)
        for i in range(K):
            z[i] = reference[b, i] + epsilon * log64(summed[i])
        if kind == KL:
            for i in range(K):
                t = z[i] / rho
                grown[i] = exp64(min(max(t, -700.0), 709.0)) if t <= 709.0 else math.inf
        of_block = 0.0
        for i in range(K):
            reached = w[i] > 0.0
            potential = z[i] if reached else -math.inf
            if kind == KL:
                slope = grown[i] if reached else 0.0
                value = rho * (slope - 1.0)
            else:
                value, slope = quadratic_conjugate(rho, potential)
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
            add_rows(column, rows, w, i)
        for e in range(n):
            received[index[start + e]] += column[e]
    return whole


@jit(fastmath=SUMS)
def steepest_slope(begin: int, end: int, mass: Array, q: Array) -> float:
    """Return the largest ``q / u`` in blocks ``begin:end``."""
    largest = 0.0
    for b in range(begin, end):
        for i in range(K):
            if mass[b, i] > 0.0:
                largest = max(largest, q[b, i] / mass[b, i])
    return largest


@jit(fastmath=SUMS)
def _evaluate_dots(
    image: int, objective: Objective, epsilon: float, first_block: Array, state: State
) -> tuple[float, float]:
    """Set what the dots of one image get and want; return the sum of ``v phi*(-beta)`` and the gap."""
    kind, rho, weights = objective.dot, objective.dot_rho, objective.weights[image]
    beta, gamma, m, o = state.beta[image], state.gamma[image], state.m[image], image * len(weights)
    factor, received = state.factor[o : o + len(weights)], state.received[o : o + len(weights)]
    price, gap, a, b = 0.0, 0.0, 0.0, 0.0
    if kind == EQUALITY:
        steepest = 0.0
        if objective.pixel == QUADRATIC:
            steepest = steepest_slope(first_block[image], first_block[image + 1], objective.mass, state.q)
        a, b = rescaling_strengths(objective.pixel, objective.pixel_rho, epsilon, steepest)
    for j in range(len(weights)):
        v = weights[j]
        gamma[j] = factor[j] * received[j]
        m[j] = 0.0
        if v > 0.0:
            z = -beta[j]
            if kind == EQUALITY:
                m[j] = v
                price += v * z
                gap += rescaling_gap(v, gamma[j], a, b)
                continue
            if kind == KL:
                excess = math.expm1(z / rho)
                value = rho * excess
                slope = excess + 1.0 if excess > -0.5 else math.exp(z / rho)  # which does not cancel
            else:
                value, slope = quadratic_conjugate(rho, z)
            m[j] = v * slope
            price += v * value
            gap += v * fenchel_young(kind, rho, gamma[j] / v, z)
    return price, gap


@jit()
def _refuse(image: int, lists: PairLists, state: State) -> None:
    """Make the point of an image one that is worse than any other: no plan, no bound."""
    width = state.beta.shape[1]
    begin, end = lists.first_block[image], lists.first_block[image + 1]
    state.alpha[begin:end], state.total[begin:end], state.q[begin:end] = math.inf, 1.0, 0.0
    state.factor[image * width : (image + 1) * width] = 0.0
    state.received[image * width : (image + 1) * width] = 0.0
    state.gamma[image], state.m[image] = 0.0, 0.0
    state.value[image], state.gap[image] = LOWEST, math.inf


@jit(fastmath=SUMS)
def evaluate_at(
    image: int, objective: Objective, ground: Ground, lists: PairLists, state: State, anchor: Anchor
) -> None:  # fmt: skip
    """Evaluate the dual of one image at ``state.beta``; plans are computed anew if it is far from the reference."""
    reference_beta, reach = anchor.reference_beta, anchor.reach
    width = state.beta.shape[1]
    o = image * width
    beta, factor = state.beta[image], state.factor[o : o + width]
    far, bounded = 0.0, True
    for j in range(width):
        far = max(far, abs(beta[j] - reference_beta[o + j]))
        bounded = bounded and abs(beta[j]) <= LARGEST
    if not bounded:  # there is nothing to be seen from here
        _refuse(image, lists, state)
        return
    if far > reach * ground.epsilon:
        reference_beta[o : o + width] = beta
        stabilise(image, ground, lists, reference_beta)
    for j in range(width):
        factor[j] = exp64((beta[j] - reference_beta[o + j]) / ground.epsilon)
    paid = _evaluate_cells(image, objective, ground.epsilon, lists, state)
    price, gap = _evaluate_dots(image, objective, ground.epsilon, lists.first_block, state)
    value = -paid - price
    state.value[image] = value if value >= LOWEST else LOWEST  # also what is not a number
    state.gap[image] = gap if gap >= 0.0 else math.inf
