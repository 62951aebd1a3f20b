"""A slow solver in extended precision, written from the formulas alone; the judge of hostile problems.

Everything is a dense (cells, dots) matrix of numpy's long double (80 bits on x86: masses and exponentials neither
overflow nor vanish), with logarithms of sums where exponentials occur. Nothing of the library is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LONG = np.longdouble
Array = np.ndarray


@dataclass(frozen=True)
class Dense:
    """One problem: masses u (n,) and v (m,), costs (n, m), names and strengths of the terms.

    The second strength may be infinite: then every plan that counts pays the dots exactly.
    """

    u: Array
    v: Array
    cost: Array
    penalty: str
    epsilon: float
    rho: tuple[float, float]

    @property
    def exact(self) -> bool:
        return math.isinf(self.rho[1])


@dataclass(frozen=True)
class Look:
    """The dual at one beta: its value, the cost of the plan, potentials, plan and slopes.

    ``size`` is the sum of the magnitudes that ``lower`` and ``upper`` were added up from.
    """

    beta: Array
    lower: float
    upper: float
    size: float
    alpha: Array
    share: Array
    q: Array
    gamma: Array
    wanted: Array


def costs(name: str, delta: float | None, rows: int, columns: int, points: Array, stride: float, scale: float) -> Array:
    """Return the (rows * columns, m) costs of distances in units of ``scale``."""
    x = (np.arange(columns, dtype=LONG) + LONG(0.5)) * LONG(stride) / LONG(scale)
    y = (np.arange(rows, dtype=LONG) + LONG(0.5)) * LONG(stride) / LONG(scale)
    dots = points.astype(LONG) / LONG(scale)
    dx = np.tile(x, rows)[:, None] - dots[:, 0]
    dy = np.repeat(y, columns)[:, None] - dots[:, 1]
    if name == "l1":
        return abs(dx) + abs(dy)
    squared = dx * dx + dy * dy
    if name == "sql2":
        return squared
    distance = np.sqrt(squared)
    if name == "l2":
        return distance
    half_turn = LONG("1.57079632679489661923")
    angle = distance / LONG(delta)
    return np.where(angle < half_turn, -2 * np.log(np.cos(np.minimum(angle, half_turn))), np.inf)


def conjugate(name: str, rho: float, z: Array) -> tuple[Array, Array, Array]:
    """Return ``rho phi*(z / rho)`` with its first and second derivative."""
    strength = LONG(rho)
    if math.isinf(rho):
        return z, np.ones_like(z), np.zeros_like(z)
    if name == "kl":
        grown = np.exp(z / strength)
        return strength * np.expm1(z / strength), grown, grown / strength
    inside = z > -2 * strength
    bound = np.where(inside, z, -2 * strength)
    return bound * bound / (4 * strength) + bound, 1 + bound / (2 * strength), inside / (2 * strength)


def primal(name: str, rho: float, ratio: Array) -> Array:
    """Return ``rho phi(ratio)``."""
    if name == "kl":
        return LONG(rho) * (np.where(ratio > 0, ratio * np.log(np.where(ratio > 0, ratio, 1)), 0) - ratio + 1)
    return LONG(rho) * (ratio - 1) ** 2


def look(problem: Dense, beta: Array) -> Look:
    """Evaluate the dual at ``beta`` (m,), and the primal at the plan that belongs to it."""
    beta, u, v, cost = beta.astype(LONG), problem.u, problem.v, problem.cost
    score = beta - cost
    top = score.max(1)
    reached = top > -np.inf
    base = np.where(reached, top, 0)
    if problem.epsilon > 0:
        grown = np.exp((score - base[:, None]) / LONG(problem.epsilon))
        total = np.where(reached, grown.sum(1), 1)
        alpha = np.where(reached, -base - LONG(problem.epsilon) * np.log(total), np.inf)
        share = grown / total[:, None]
    else:
        alpha = np.where(reached, -base, np.inf)
        best = (score == top[:, None]) & reached[:, None]
        share = best / np.maximum(best.sum(1), 1)[:, None]
    name, (rho_u, rho_v) = problem.penalty, problem.rho
    price, slope, _ = conjugate(name, rho_u, -alpha)
    filled = u > 0
    q = np.where(filled, u * np.where(filled, slope, 0), 0)
    plan = q[:, None] * share
    gamma = plan.sum(0)
    dots, wanted, _ = conjugate(name, rho_v, -beta)
    parts = [np.where(filled, -u * np.where(filled, price, 0), 0), -v * dots]
    upper = np.inf if problem.exact and not (gamma > 0).all() else None
    scale = v / np.where(gamma > 0, gamma, 1) if problem.exact else np.ones_like(v)
    moved = np.where(plan > 0, plan * scale, 0)  # a plan that pays the dots exactly, where that is asked
    sent = moved.sum(1) if problem.exact else q
    part = np.where(moved > 0, moved / np.where(sent > 0, sent, 1)[:, None], 1) if problem.exact else share
    log_share = np.log(np.where(part > 0, part, 1))
    ratio = sent / np.where(filled, u, 1)
    paid = [
        moved * np.where(plan > 0, cost, 0),
        LONG(problem.epsilon) * moved * log_share,
        u * primal(name, rho_u, ratio),
        np.zeros_like(v) if problem.exact else v * primal(name, rho_v, gamma / v),
    ]
    size = sum(abs(one).sum() for one in (*parts, *paid)) + (abs(beta) * (gamma + v * wanted)).sum()
    upper = sum(one.sum() for one in paid) if upper is None else upper
    return Look(beta, sum(one.sum() for one in parts), upper, size, alpha, share, q, gamma, v * wanted)


def _step(problem: Dense, at: Look, damping: float) -> Array:
    """Return Newton's step for the dual, damped, in the scale of the diagonal."""
    name, (rho_u, rho_v), epsilon = problem.penalty, problem.rho, LONG(problem.epsilon)
    bend = problem.v * conjugate(name, rho_v, -at.beta)[2]
    second = np.where(problem.u > 0, problem.u * conjugate(name, rho_u, -at.alpha)[2], 0)
    matrix = np.diag(bend + at.gamma / epsilon) - at.share.T @ ((at.q / epsilon - second)[:, None] * at.share)
    right = at.wanted - at.gamma
    diagonal = np.maximum(np.diag(matrix), np.finfo(LONG).tiny)
    scale = 1 / np.sqrt(diagonal)
    scaled = (scale[:, None] * matrix * scale).astype(float) + damping * np.eye(len(right))
    if not (np.isfinite(scaled).all() and np.isfinite((scale * right).astype(float)).all()):
        return np.zeros_like(right)  # too far away for float64; the logarithmic step comes back
    return scale * np.linalg.lstsq(scaled, (scale * right).astype(float), rcond=None)[0]


def _logarithmic_step(problem: Dense, at: Look) -> Array:
    """Return the fixed-point step of KL, which comes back from far away."""
    rho, epsilon = LONG(problem.rho[1]), LONG(problem.epsilon)
    paid = (at.gamma > 0) & (at.wanted > 0)
    ratio = np.log(np.where(paid, at.wanted, 1) / np.where(paid, at.gamma, 1))
    if problem.exact:
        return np.where(paid, epsilon * ratio, LONG(problem.rho[0]))
    return rho * epsilon / (rho + epsilon) * ratio


def maximise(problem: Dense, beta: Array, steps: int = 40, goal: float = 1e-15) -> Look:
    """Return the best point that damped Newton's method finds from ``beta``."""
    here, damping = look(problem, beta), 0.0
    for _ in range(steps):
        spread = here.upper - here.lower
        if not np.isfinite(here.lower) or spread <= goal * max(here.size, 1e-300):
            break
        trials = [_step(problem, here, damping)]
        if problem.penalty == "kl" or problem.exact:
            trials.append(_logarithmic_step(problem, here))
        better = None
        for step in trials:
            length = 1.0
            for _ in range(6):
                there = look(problem, here.beta + length * step)
                finite = bool(np.isfinite(there.beta).all())  # a step may overflow
                if finite and there.lower > here.lower and (better is None or there.lower > better.lower):
                    better = there
                    break
                length *= 0.2
        if better is None:
            if damping >= 1e3:
                break
            damping = max(1e-12, damping * 100)
            continue
        damping = damping / 10 if damping > 1e-12 else 0.0
        here = better
    return here


def potential_error(problem: Dense, at: Look) -> float:
    """Return a bound on ``max_j |beta_j - beta*_j|``, from the contraction (KL) or the strong concavity."""
    rho_u, rho_v = problem.rho
    bounds = []
    if not math.isfinite(at.upper):
        return math.inf
    if problem.penalty == "kl" and problem.epsilon > 0 and (at.gamma > 0).all() and (at.wanted > 0).all():
        step = 1 / (1 / rho_v + 1 / problem.epsilon)
        # 1 - step |1 / epsilon - 1 / rho_u| without cancellation
        if problem.epsilon <= rho_u:
            left = step * (1 / rho_u + 1 / rho_v)
        else:
            left = 1 - step * (1 / problem.epsilon - 1 / rho_u) * -1
        noise = 1e-17 * (1 + float(abs(at.beta).max()) / problem.epsilon)
        if left > 0:
            bounds.append(step / left * (float(abs(np.log(at.wanted / at.gamma)).max()) + noise))
    gap = float(at.upper - at.lower) + 1e-17 * float(at.size)
    bounds.append(_concavity_error(problem, at, gap))
    return min(bounds)


def _concavity_error(problem: Dense, at: Look, gap: float) -> float:
    reach = 0.0
    for _ in range(60):
        bend = float((problem.v * conjugate(problem.penalty, problem.rho[1], -at.beta - reach)[2]).min())
        if bend <= 0:
            return math.inf
        if 0.5 * bend * reach * reach >= gap:
            return reach
        reach = math.sqrt(2 * gap / bend) * (1 + 1e-6)
    return math.inf


def gradient(problem: Dense, alpha: Array) -> Array:
    """Return ``dW/du = -phi*(-alpha)``."""
    return -conjugate(problem.penalty, problem.rho[0], -alpha)[0]
