"""Suspicious dots of one image, from the transport of its predicted density to its dots.

The transport has the cost ``wfr`` with equal strengths: mass moves at most :attr:`~dotcount.audit.ImageAudit.reach`,
at a loss of 5 percent from a fifth of it and of 29 percent from half of it, and is destroyed beyond. What a
model saw and no dot takes is therefore destroyed where it was seen, however far the sums of the image agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

from dotcount.audit.explanation import TransportMap, transport_map
from dotcount.audit.suspicions import ImageAudit, Place, Suspicion, ranked
from dotcount.inference import Prediction
from dotcount.points import FloatArray

LEAST = 0.5
"""Suspicions of a lower score, half an object, are not listed: they are the model's own uncertainty."""

# The next three were chosen on made-up cells with known faults, and half of the VGG cells with known faults.
_REACH = 0.6  # as a multiple of the median distance between neighbours
_CELLS = 2.0  # least reach, sides of a cell: what a model places is off by about one
_DOUBLED = 0.8  # two dots nearer than this share of the reach may be on one object
_MOVED = 3.5  # a dot and an object without one belong together up to this multiple of the reach,
_HALF = 0.5  # and if half an object speaks for each of them


def reach_of(dots: FloatArray, stride: Sequence[float], usual: float | None = None) -> float:
    """Return the reach, px, for the dots of an image: 0.6 times the median distance to the nearest other.

    Parameters
    ----------
    dots
        (m, 2) px.
    stride
        Sides of a cell, px; the reach is at least twice the longer one.
    usual
        For images with fewer than two dots: the spacing elsewhere in the set, px.

    Examples
    --------
    >>> import numpy as np
    >>> reach_of(np.array([[0.0, 0.0], [0.0, 20.0], [40.0, 0.0]]), (4.0, 4.0))
    12.0
    """
    between = spacing(dots)
    return max(_REACH * (between if between is not None else usual or 0.0), _CELLS * max(stride))


def spacing(dots: FloatArray) -> float | None:
    """Return the median distance, px, from a dot to the nearest other one; None for fewer than two places."""
    apart = np.unique(dots, axis=0)
    if len(apart) < 2:
        return None
    return float(np.median(KDTree(apart).query(apart, k=2)[0][:, 1]))


def audit_settings(reach: float) -> dict[str, Any]:
    """Return how an audit solves the transport: keyword arguments of :func:`dotcount.transport.solve`.

    Examples
    --------
    >>> settings = audit_settings(12.0)
    >>> settings["cost"], settings["length_scale"], round(settings["delta"] * np.pi / 2, 6)
    ('wfr', 12.0, 1.0)
    """
    return {
        "cost": "wfr",
        "delta": 2 / np.pi,
        "penalty": "kl",
        "epsilon": 0.01,
        "rho": 1.0,
        "length_scale": float(reach),
    }


def fit(found: TransportMap) -> float:
    """Return how well dots and density fit each other: ``2 sum_j kept_j / (m + sum_i u_i)``, in [0, 1].

    ``kept_j`` is the predicted mass that reaches dot ``j``, at most one object; ``m`` the number of dots, ``u`` the
    density. It is the Dice coefficient of the two, 1 for an image without dots and without predicted objects.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> image, dots = generate("cells", size=96)
    >>> predictor = dotcount.load("cells")
    >>> settings = audit_settings(12.0)
    >>> fit(transport_map(predictor.predict(image), dots.xy, predictor.stride, settings)) > 0.8
    True
    """
    total = len(found.dots) + float(found.solution.density.sum())
    return 1.0 if total < 0.5 else min(1.0, 2 * float(np.minimum(found.kept, 1).sum()) / total)


def examine(
    image: str, prediction: Prediction, dots: npt.ArrayLike, *, reach: float | None = None, least: float = LEAST
) -> ImageAudit:
    """Return what is suspicious about the dots of an image.

    Parameters
    ----------
    image
        Its name, for the result.
    prediction
        By a model that has not learned from these dots; of one that has, only the grossest errors show.
    dots
        (m, 2) annotated dots, px of the image.
    reach
        See :func:`reach_of`; by the spacing of the dots if absent.
    least
        Suspicions of a lower score are left out.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> image, dots = generate("cells", size=96)
    >>> wrong = dots.xy[1:]
    >>> first = examine("a.png", dotcount.load("cells").predict(image), wrong).suspicions[0]
    >>> first.kind, bool(np.hypot(*(first.place - dots.xy[0])) < 4)
    ('missing', True)
    """
    xy = np.asarray(dots, dtype=np.float64).reshape(-1, 2)
    reach = reach if reach is not None else reach_of(xy, prediction.stride)
    found = transport_map(prediction, xy, float(np.sqrt(np.prod(prediction.stride))), audit_settings(reach))
    doubled, twice = _doubled(image, xy, found.kept, reach)
    unfed = np.flatnonzero(~twice & (1 - found.kept >= least))
    rest = _unmatched(image, found, unfed, reach)
    listed = ranked(s for s in (*doubled, *rest) if s.score >= least)
    return ImageAudit(image, xy, prediction.count, fit(found), reach, tuple(listed))


def _doubled(
    image: str, xy: FloatArray, kept: FloatArray, reach: float
) -> tuple[list[Suspicion], npt.NDArray[np.bool_]]:
    """Return suspicions about pairs of dots that share the mass of one object, nearest first, and which dots are in."""
    taken = np.zeros(len(xy), dtype=bool)
    if len(xy) < 2:
        return [], taken
    pairs = KDTree(xy).query_pairs(_DOUBLED * reach, output_type="ndarray")
    found = []
    lack = np.clip(1 - kept, 0, 1)
    gaps = np.linalg.norm(xy[pairs[:, 0]] - xy[pairs[:, 1]], axis=1)
    for i, j in pairs[np.lexsort((pairs[:, 1], pairs[:, 0], gaps))]:
        if taken[i] or taken[j] or not 0.5 <= kept[i] + kept[j] <= 1.5:
            continue  # below that sum both lack an object, above it both have one
        taken[[i, j]] = True
        wrong, right = (i, j) if kept[i] < kept[j] else (j, i)
        score = float(lack[wrong])  # what is shared is no more of a fault than what is not there
        found.append(Suspicion(image, "doubled", score, int(wrong), _place(xy[wrong]), _place(xy[right])))
    return found, taken


def _unmatched(image: str, found: TransportMap, unfed: npt.NDArray[np.int64], reach: float) -> list[Suspicion]:
    """Return suspicions about dots without mass and mass without dots; those near each other make one."""
    xy, places, mass = found.dots, found.unmatched, np.minimum(found.unmatched_mass, 1.0)
    lack = np.clip(1 - found.kept, 0, 1)
    rows, columns = np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    strong = np.outer(lack[unfed] >= _HALF, mass >= _HALF)
    if strong.any():
        gaps = np.where(strong, np.linalg.norm(xy[unfed][:, None] - places, axis=2), np.inf)
        rows, columns = linear_sum_assignment(np.minimum(gaps, 2 * _MOVED * reach))
        near = gaps[rows, columns] <= _MOVED * reach
        rows, columns = rows[near], columns[near]
    moved = [
        Suspicion(
            image,
            "misplaced",
            float(lack[unfed[r]] + mass[c]) / 2,
            int(unfed[r]),
            _place(xy[unfed[r]]),
            _place(places[c]),
        )
        for r, c in zip(rows, columns)
    ]
    spurious = [Suspicion(image, "spurious", float(lack[k]), int(k), _place(xy[k])) for k in np.delete(unfed, rows)]
    missing = [
        Suspicion(image, "missing", float(mass[k]), place=_place(places[k]))
        for k in np.setdiff1d(np.arange(len(places)), columns)
    ]
    return moved + spurious + missing


def _place(xy: FloatArray) -> Place:
    return float(xy[0]), float(xy[1])
