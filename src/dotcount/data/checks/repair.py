"""A corrected copy of a data set: what can be put right without guessing is, the rest is left out, all of it told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dotcount.data.checks.dots import explain
from dotcount.data.checks.report import Report
from dotcount.data.convert import convert
from dotcount.data.images import orientation
from dotcount.data.records import Record
from dotcount.points import Points

CHANGES = "changes.txt"


def repair(report: Report, out: str | Path, format: str = "csv") -> list[str]:
    """Write a corrected copy and return what was changed, one line a change; the original stays as it is.

    Dots whose displacement is explained (axes swapped, scaled, counted from 1, made on the unturned picture) are moved,
    dots on the far border are brought inside, other dots outside and repeated dots are removed. Images that can't be
    used are left out, and of a photograph in two splits the copy outside the test split.

    Raises
    ------
    DataError, OutputError
        As :func:`dotcount.data.convert`.
    """
    changes: list[str] = []
    left_out = _leaked(report, changes)
    records = []
    for record in report.collection.records:
        if record.name in left_out:
            continue
        unreadable = [f for f in report.findings if f.name == record.name and f.kind in _UNUSABLE]
        if unreadable or record.points is None:
            reason = unreadable[0].kind.replace("_", " ") if unreadable else "no annotation"
            changes.append(f"{record.name}: left out ({reason})")
            continue
        records.append(_corrected(record, record.points, changes))
    copy = replace(report.collection, records=tuple(records), problems=())
    folder = convert(copy, out, format)
    (folder / CHANGES).write_text("".join(f"{line}\n" for line in changes), encoding="utf-8")
    return changes


_UNUSABLE = frozenset(
    ("missing_image", "missing_annotation", "unreadable_image", "unreadable_annotation", "not_finite"),
)


def _leaked(report: Report, changes: list[str]) -> set[str]:
    split = {r.name: r.split for r in report.collection.records}
    left_out = set()
    for finding in report.findings:
        if finding.kind == "duplicate_across_splits":
            pair = (finding.name, *finding.related)
            name = next(n for n in pair if split[n] != "test")
            if name not in left_out:
                left_out.add(name)
                changes.append(f"{name}: left out (also in {split[next(n for n in pair if n != name)]})")
    return left_out


def _corrected(record: Record, points: Points, changes: list[str]) -> Record:
    found = explain(points, orientation(record.image))
    if found is not None:
        changes.append(f"{record.name}: {len(points)} dots moved ({found.kind.replace('_', ' ')})")
        points = found.corrected
    size = np.array([points.width, points.height], dtype=np.float64)
    on_border = (points.xy == size).any(axis=1)
    if on_border.any():
        changes.append(f"{record.name}: {int(on_border.sum())} dots on the far border brought inside")
        inside = np.where(points.xy == size, np.nextafter(size, 0), points.xy)
        points = Points(inside, points.width, points.height, points.ids)
    _, first = np.unique(points.xy, axis=0, return_index=True)
    keep = np.zeros(len(points), dtype=bool)
    keep[first] = True
    if not keep.all():
        changes.append(f"{record.name}: {int((~keep).sum())} repeated dots removed")
    outside = keep & ~points.inside()
    if outside.any():
        changes.append(f"{record.name}: {int(outside.sum())} dots outside removed")
        keep &= points.inside()
    classes = tuple(name for name, kept in zip(record.classes, keep) if kept)
    return replace(record, points=points.select(keep), classes=classes, error=None)
