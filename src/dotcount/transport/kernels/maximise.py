"""Newton's method with a line search, image after image; as :func:`dotcount.transport.ascent.ascend`."""

from __future__ import annotations

import math

import numpy as np

from dotcount.transport.ascent import FORCING, NEAR, SHORT, SHRINK, SUFFICIENT, TRIALS
from dotcount.transport.kernels.evaluate import evaluate_at
from dotcount.transport.kernels.jit import SUMS, Array, entry_point, jit
from dotcount.transport.kernels.layout import (
    EQUALITY,
    KL,
    QUADRATIC,
    TINY,
    Anchor,
    Ground,
    ImageFlags,
    K,
    Limits,
    Objective,
    PairLists,
    Room,
    State,
)
from dotcount.transport.kernels.newton import newton_step
from dotcount.transport.kernels.penalties import conjugate_curvature
from dotcount.transport.kernels.stabilise import longest_list


@jit(fastmath=SUMS)
def _right_hand_side(image: int, objective: Objective, logarithmic: bool, state: State, room: Room) -> float:
    """Set Newton's system for ``gamma = m``, or for ``ln gamma = ln m``; return the size by which it was divided."""
    kind, rho, weights, curvature, right = (
        objective.dot, objective.dot_rho, objective.weights[image], room.curvature, room.right
    )  # fmt: skip
    beta, gamma, m = state.beta[image], state.gamma[image], state.m[image]
    size = TINY
    for j in range(len(beta)):
        if logarithmic and kind != QUADRATIC and gamma[j] > 0.0:
            curvature[j] = gamma[j] / rho  # 0 where rho is infinite
            right[j] = gamma[j] * math.log(max(m[j], TINY) / max(gamma[j], TINY))
        elif kind == KL:
            curvature[j], right[j] = m[j] / rho, m[j] - gamma[j]
        elif kind == EQUALITY:  # a dot that gets nothing has no curvature of its own
            curvature[j], right[j] = 0.0 if gamma[j] > 0.0 else m[j] / objective.pixel_rho, m[j] - gamma[j]
        else:
            curvature[j], right[j] = weights[j] * conjugate_curvature(kind, rho, -beta[j]), m[j] - gamma[j]
        size = max(size, abs(right[j]))
    for j in range(len(beta)):  # each image on its own scale, so that float32 neither overflows nor underflows
        right[j] /= size
    return size


@jit(fastmath=SUMS)
def _spread(weights: Array, beta: Array, search_beta: Array) -> float:
    """Return by how much more the potential of one dot has risen than that of another."""
    low, high = math.inf, -math.inf
    for j in range(len(beta)):
        if weights[j] > 0.0:
            moved = beta[j] - search_beta[j]
            low, high = min(low, moved), max(high, moved)
    return high - low


@jit(fastmath=SUMS)
def _slope_and_mass(
    image: int, first_block: Array, state: State, room: Room, size: float, start: Array, move: Array
) -> tuple[float, float]:  # fmt: skip
    """Set where a line search starts and its full step; return the slope along it and the mass at hand."""
    beta, gamma, m = state.beta[image], state.gamma[image], state.m[image]
    slope, mass = 0.0, 0.0
    for j in range(len(beta)):
        start[j], move[j] = beta[j], room.step[j] * size
        slope += (m[j] - gamma[j]) * move[j]
        mass += m[j]
    for b in range(first_block[image], first_block[image + 1]):
        for i in range(K):
            mass += state.q[b, i]
    return slope, mass


@jit()
def _make_room(first: int, last: int, lists: PairLists, state: State, n_blocks: int) -> Room:
    """Return the work arrays for images ``first:last``."""
    width, dtype = state.beta.shape[1], lists.strong_conditional.dtype
    longest = longest_list(lists.first_block[first], lists.first_block[last], lists.first)
    return Room(
        np.empty(longest, dtype), np.empty(longest, dtype), np.empty(K, dtype), np.empty((n_blocks, K), dtype),
        np.zeros(len(state.factor), dtype), np.zeros(len(state.factor), dtype), np.empty(width, dtype),
        np.empty(width), np.empty(width),
    )  # fmt: skip


@entry_point(fastmath=SUMS)
def maximise(
    first_image: int, last: int, objective: Objective, ground: Ground, lists: PairLists, state: State, anchor: Anchor,
    limits: Limits, progress: ImageFlags,
) -> None:  # fmt: skip
    """Maximise the dual from ``state.beta``, each image on its own; see :func:`dotcount.transport.ascent.ascend`.

    Where the first point is not known, its evaluation is part of the budget, and with a budget of 1 it is all that
    happens.
    """
    width = state.beta.shape[1]
    start, move = np.empty(width), np.empty(width)
    room = _make_room(first_image, last, lists, state, len(objective.mass))
    noise = 4.0 * np.finfo(lists.conditional.dtype).eps * ground.epsilon
    evaluations, converged, stale = progress.evaluations, progress.converged, progress.stale
    for image in range(first_image, last):
        beta, active = state.beta[image], progress.active[image]
        if not limits.known:
            evaluate_at(image, objective, ground, lists, state, anchor)
        used, logarithmic, stalled = 0 if limits.known else 1, True, False
        fresh = lists.concentration[image * width] < 0.0
        evaluations[image], stale[image] = used if active else 0, False
        while True:
            value, gap = state.value[image], state.gap[image]
            goal = limits.tol * max(abs(value), 1.0)
            converged[image] = gap <= goal
            if not active or converged[image] or stalled:
                break
            stale[image] = _spread(objective.weights[image], beta, anchor.search_beta[image]) > anchor.span
            if used >= limits.budget or stale[image]:
                break
            size = _right_hand_side(image, objective, logarithmic, state, room)
            near, relative = gap < NEAR * max(abs(value), 1.0), FORCING
            if near:
                relative = min(max(0.5 * math.sqrt(goal / max(gap, TINY)), 1e-3), FORCING)
            newton_step(image, objective, ground.epsilon, lists, state, room, fresh or not near, relative)
            fresh = False
            slope, mass = _slope_and_mass(image, lists.first_block, state, room, size, start, move)
            length, good = 1.0, False
            for _ in range(TRIALS):
                for j in range(width):
                    beta[j] = start[j] + length * move[j]
                evaluate_at(image, objective, ground, lists, state, anchor)
                used += 1
                evaluations[image] += 1
                rise = state.value[image] - value >= SUFFICIENT * length * slope - max(mass, 1.0) * noise
                bounded = state.gap[image] < math.inf
                good = bounded and ((rise and slope > 0.0) or state.gap[image] <= 0.5 * gap)
                if good or used >= limits.budget:
                    break
                length *= SHRINK
            if not good:
                beta[:] = start
                evaluate_at(image, objective, ground, lists, state, anchor)
                used += 1
                stalled = not logarithmic
            logarithmic = logarithmic and good and length >= SHORT
