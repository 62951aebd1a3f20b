"""A corrected copy of a data set: what can be put right without guessing is, the rest is left out and reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dotcount.data.checks.dots import explain
from dotcount.data.checks.report import DataCheck
from dotcount.data.convert import convert
from dotcount.data.images import orientation
from dotcount.data.records import Record
from dotcount.errors import DataError
from dotcount.points import Points

CHANGES = "changes.txt"


def repair(report: DataCheck, out: str | Path, format: str = "csv") -> list[str]:
    """Write a corrected copy and return what was changed, one line a change; the original stays as it is.

    Only what can be proved is put right: dots on the far border are brought inside, a few dots outside (at most one in
    20) and exact repetitions are removed. Images whose dots must have been made otherwise (axes swapped, on a copy of
    another size, on the picture before it was turned, counted from 1) are left out, with what explains them: several
    mistakes can put dots at the same wrong place, so that moving them would be a guess. Images that can't be used are
    left out as well, and of a photograph in two splits the copy outside the test split.

    Raises
    ------
    DataError
        If the coordinates of the whole set don't seem to be px, and as :func:`dotcount.data.convert`.
    OutputError
        As :func:`dotcount.data.convert`.
    """
    changes: list[str] = []
    whole = next((f for f in report.findings if f.kind in ("units", "swapped_axes", "misplaced") and not f.name), None)
    if whole is not None:
        raise DataError(f"{report.collection.root} can't be corrected without a guess: {whole.message}")
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
        unproven = _unproven(record, record.points)
        if unproven is not None:
            changes.append(f"{record.name}: left out ({unproven})")
            continue
        records.append(_corrected(record, record.points, changes))
    if not records:
        reason = changes[0] if changes else "it holds none"
        raise DataError(f"{report.collection.root} can't be corrected: no image would remain ({reason})")
    copy = replace(report.collection, records=tuple(records), problems=())
    notes = {CHANGES: "".join(f"{line}\n" for line in changes)}
    convert(copy, out, format, notes=notes, created_by="dotcount data check")
    return changes


def _unproven(record: Record, points: Points) -> str | None:
    """Return why dots can't be put right without a guess; ``None`` if they can, or are right."""
    found = explain(points, orientation(record.image))
    if found is not None:
        return f"{found.kind.replace('_', ' ')}: the dots lie {found.text}"
    size = (points.width, points.height)
    outside = int((~points.inside() & ~(points.xy == size).any(axis=1)).sum())
    if outside > _FEW * len(points):
        return f"{outside} of {len(points)} dots lie outside, and nothing explains it"
    return None


_UNUSABLE = frozenset(
    (
        "missing_image",
        "missing_annotation",
        "unreadable_image",
        "unreadable_annotation",
        "other_page",
        "not_finite",
        "units",
    ),
)
_FEW = 0.05


def _leaked(report: DataCheck, changes: list[str]) -> set[str]:
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
