"""Faults that are put into dots on purpose: removed, added and moved ones, by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dotcount.data import Collection, Record
from dotcount.points import FloatArray, Points

SHARE = 0.05
MOVED = 15.0  # px


@dataclass(frozen=True)
class Fault:
    """What was done to a dot: where it was, and where it is now."""

    image: str
    kind: str  # removed, added, moved
    before: tuple[float, float] | None
    after: tuple[float, float] | None


def corrupt(collection: Collection, seed: int) -> tuple[Collection, list[Fault]]:
    """Return the collection with 5 % of the dots removed, 5 % added and 5 % moved by 15 px, and what was done.

    Which dots, over the whole set, is drawn; added ones lie anywhere in their image, moved ones go in any direction
    that stays inside.
    """
    rng = np.random.default_rng(seed)
    records = list(collection.annotated().records)
    owner = np.repeat(np.arange(len(records)), [len(r.points or ()) for r in records])
    number = round(SHARE * len(owner))
    chosen = rng.permutation(len(owner))
    kind = np.zeros(len(owner), int)
    kind[chosen[:number]], kind[chosen[number : 2 * number]] = 1, 2
    extra = np.bincount(rng.choice(owner, number), minlength=len(records))
    changed, faults = [], []
    for k, record in enumerate(records):
        new, told = _changed(record, kind[owner == k], int(extra[k]), rng)
        changed.append(new)
        faults += told
    return collection.where(changed), faults


def _changed(record: Record, kind: FloatArray, extra: int, rng: np.random.Generator) -> tuple[Record, list[Fault]]:
    points = record.points
    assert points is not None
    size = np.array([points.width, points.height])
    xy, faults = points.xy.copy(), []
    for j in np.flatnonzero(kind == 1):
        faults.append(Fault(record.name, "removed", _pair(xy[j]), None))
    for j in np.flatnonzero(kind == 2):
        before = xy[j].copy()
        for _ in range(100):
            angle = rng.uniform(0, 2 * np.pi)
            xy[j] = before + MOVED * np.array([np.cos(angle), np.sin(angle)])
            if ((xy[j] >= 0) & (xy[j] < size)).all():
                break
        faults.append(Fault(record.name, "moved", _pair(before), _pair(xy[j])))
    added = rng.uniform(0, size, (extra, 2))
    faults += [Fault(record.name, "added", None, _pair(one)) for one in added]
    xy = np.concatenate([xy[kind != 1], added]).round(2)
    xy = np.minimum(xy, np.nextafter(size, 0))
    return replace(record, points=Points(xy, points.width, points.height), classes=()), faults


def _pair(xy: FloatArray) -> tuple[float, float]:
    return (round(float(xy[0]), 2), round(float(xy[1]), 2))
