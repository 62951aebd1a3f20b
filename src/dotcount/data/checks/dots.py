"""Dots by themselves and against the frame of their image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from dotcount.data.checks.finding import Finding
from dotcount.data.checks.pictures import ImageFacts
from dotcount.data.records import Record
from dotcount.points import FloatArray, Points

_ENOUGH = 10  # dots from which on an arrangement is no accident
_MANY_TWICE = 0.25


def check_dots(record: Record, picture: ImageFacts) -> Iterator[Finding]:
    """Yield findings about the dots of one image."""
    points = record.points
    if points is None or not len(points):
        return
    if not points.inside().all():
        yield _outside(record, points, picture)
    elif (found := explain(points, picture.orientation)) is not None:
        yield Finding(found.kind, "error", record.name, f"all {len(points)} dots of {record.name} lie {found.text}")
    yield from _repeated(record, points)


def _outside(record: Record, points: Points, picture: ImageFacts) -> Finding:
    outside = ~points.inside()
    size = f"{points.width} x {points.height} px"
    said = f"{int(outside.sum())} of {len(points)} dots of {record.name} lie outside its {size}"
    found = explain(points, picture.orientation)
    if found is not None:
        return Finding(found.kind, "error", record.name, f"{said}, {found.text}")
    x, y = points.xy[outside][0]
    return Finding("outside", "error", record.name, f"{said}, the first at ({x:g}, {y:g}); correct or remove them")


@dataclass(frozen=True)
class Explanation:
    """The mistake that explains where dots lie, and the dots without it."""

    kind: str
    text: str
    corrected: Points


def explain(points: Points, orientation: int = 1) -> Explanation | None:
    """Return the mistake that put dots where they can't be: outside, or all in one corner.

    Parameters
    ----------
    points
        Dots with the size of the image as it is shown.
    orientation
        EXIF orientation of the file.
    """
    if points.inside().all():
        return _shrunk(points)
    width, height = points.width, points.height
    share = float((~points.inside()).mean())

    def moved(xy: FloatArray) -> Points | None:
        result = Points(xy, width, height, points.ids)
        return result if result.inside().all() else None

    if orientation in (5, 6, 7, 8):
        stored = Points(points.xy, height, width, points.ids)
        if stored.inside().all():
            text = "the file is shown turned (EXIF orientation) and they fit it as stored; turn them, or remove the tag"
            return Explanation("exif_rotated", text, as_shown(stored, orientation))
    if shifted := moved(points.xy - 1):
        return Explanation("off_by_one", "all inside when 1 is subtracted; they seem to count from 1", shifted)
    if share > 0.05 and len(points) >= 3 and (swapped := moved(points.xy[:, ::-1])):
        return Explanation("swapped_axes", "all inside with x and y swapped; swap them", swapped)
    for factor in (2, 4, 8):
        if share > 0.2 and len(points) >= 3 and (smaller := moved(points.xy / factor)):
            return Explanation("scaled", f"all inside when divided by {factor}; divide them", smaller)
    return None


def as_shown(stored: Points, orientation: int) -> Points:
    """Carry dots from a picture as stored to the picture as an EXIF orientation shows it."""
    if orientation in (2, 4, 5, 7):
        stored = stored.flip_horizontal()
    return stored.rotate90({3: 2, 4: 2, 6: 3, 7: 3, 5: 1, 8: 1}.get(orientation, 0))


def _shrunk(points: Points) -> Explanation | None:
    """Explain dots that keep to the upper left quarter: made on a picture of half the size."""
    if len(points) < _ENOUGH:
        return None
    extent = float((points.xy.max(axis=0) / (points.width, points.height)).max())
    factor = next((f for f in (8, 4, 2) if extent <= 1 / f), None)
    if factor is None:
        return None
    text = f"in the upper left 1/{factor} of the image; if they were made on a smaller copy, multiply them by {factor}"
    return Explanation("scaled", text, Points(points.xy * factor, points.width, points.height, points.ids))


def _repeated(record: Record, points: Points) -> Iterator[Finding]:
    _, number = np.unique(points.xy, axis=0, return_counts=True)
    twice = int((number - 1).sum())
    if twice:
        severe = twice >= _MANY_TWICE * len(points) and twice >= 3
        message = f"{twice} of {len(points)} dots of {record.name} stand exactly on another; remove the copies"
        yield Finding("duplicate_dots", "error" if severe else "warning", record.name, message)
    if len(points) - twice > 1:
        apart = np.unique(points.xy, axis=0)
        near = int((cKDTree(apart).query(apart, k=2)[0][:, 1] < 1.0).sum())
        if near:
            message = f"{near} dots of {record.name} are less than 1 px from another; look whether both mean one object"
            yield Finding("near_dots", "info", record.name, message)


def border_share(points: Points) -> float:
    """Return the share of dots within half a pixel of the border."""
    if not len(points):
        return 0.0
    low, high = points.xy <= 0.5, points.xy >= np.array([points.width, points.height]) - 0.5
    return float((low | high).any(axis=1).mean())
