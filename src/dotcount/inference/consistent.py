"""As many points as the count says: the density's own points, by transport.

``k = round(sum u)`` points ``x_j`` and a plan ``pi`` make the unbalanced transport with the cost ``|c_i - x_j|^2`` from
the density ``u k / sum u`` to one object at each point cheap: a k-means whose clusters hold about one object each. For
given points the plan is the solution of the transport, for a given plan each point is the mean of the mass that it
gets. Nothing is drawn at random.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import KDTree

from dotcount.points import FloatArray
from dotcount.transport import solve

ROUNDS = 8
"""Most steps of plan and means."""

_SETTLED = 0.05  # cells: less movement than this ends the rounds
_STRENGTH = 1.0  # of the penalties, in squared length scales: mass that is farther than about 1.4 goes nowhere
_EPSILON = 0.02


def consistent_points(cells: FloatArray, first: FloatArray, number: int | None = None) -> tuple[FloatArray, FloatArray]:
    """Return as many points as the mass says, and the predicted mass of each, objects.

    Parameters
    ----------
    cells
        (h, w) density, >= 0.
    first
        (n, 2) points (x, y) to begin with, in cells, the strongest first; too many are left out, more are put where
        most mass is far from all.
    number
        How many points; the rounded mass if absent.

    Returns
    -------
    xy : (k, 2)
        Points in cells.
    mass : (k,)
        What the transport brings to each, times ``sum u / k``.

    Examples
    --------
    >>> import numpy as np
    >>> cells = np.array([[0.9, 0.0, 0.0, 0.0, 0.6, 0.5]])
    >>> xy, mass = consistent_points(cells, np.array([[0.5, 0.5]]))
    >>> xy.round(1).tolist()
    [[0.5, 0.5], [5.0, 0.5]]
    """
    total = float(cells.sum())
    k = round(total) if number is None else number
    if k == 0 or total <= 0:
        return np.zeros((0, 2)), np.zeros(0)
    rows, columns = np.nonzero(cells)
    places = np.stack([columns, rows], axis=1).astype(np.float64) + 0.5
    there = np.asarray(cells[rows, columns], dtype=np.float64)
    xy = _filled(first[:k], places, there, k)
    density = torch.from_numpy(cells * (k / total))
    scale = _scale(xy)
    beta: torch.Tensor | None = None
    mass = np.zeros(k)
    for _ in range(ROUNDS):
        solution = solve(
            density,
            torch.from_numpy(xy),
            cost="sql2",
            epsilon=_EPSILON,
            rho=_STRENGTH,
            length_scale=scale,
            beta=beta,
            tol=1e-3,
        )
        beta = solution.beta
        plan = solution.plan(threshold=1e-3)
        (cell, dot), share = plan.indices().numpy(), plan.values().numpy()
        mass = np.bincount(dot, share, k).astype(np.float64)
        x, y = cell % cells.shape[1] + 0.5, cell // cells.shape[1] + 0.5
        sums = np.stack([np.bincount(dot, share * part, k) for part in (x, y)], axis=1)
        moved = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-12)[:, None], xy)
        step, xy = float(np.abs(moved - xy).max()), moved
        if step < _SETTLED:
            break
    return xy, mass * (total / k)


def _filled(first: FloatArray, places: FloatArray, there: FloatArray, k: int) -> FloatArray:
    """Return ``k`` points: those given, then one by one the place with the most mass times squared distance to all."""
    xy = list(first)
    far = KDTree(first).query(places)[0] ** 2 if len(first) else np.full(len(places), np.inf)
    while len(xy) < k:
        value = there * far if len(xy) else there
        best = places[int(value.argmax())]
        xy.append(best)
        far = np.minimum(far, ((places - best) ** 2).sum(axis=1))
    return np.array(xy, dtype=np.float64).reshape(-1, 2)


def _scale(xy: FloatArray) -> float:
    """Return the unit of length of the transport, cells: the median distance between neighbours, at least two."""
    apart = np.unique(xy, axis=0)
    if len(apart) < 2:
        return 4.0
    return max(2.0, float(np.median(KDTree(apart).query(apart, k=2)[0][:, 1])))
