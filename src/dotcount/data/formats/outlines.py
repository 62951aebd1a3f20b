"""Outlines among the objects of an annotation: which are regions around objects, and no objects themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dotcount.data.formats.structured import dots_of
from dotcount.data.layout import Dots
from dotcount.errors import AnnotationError

Outline = Sequence[tuple[float, float]]
"""Corners of a polygon or a box; none of another shape."""


@dataclass(frozen=True)
class Shape:
    """One shape: its dots, its outline (empty for points), its class and, of QuPath, the kind of the object."""

    centres: list[tuple[float, float]]
    outline: np.ndarray
    label: str
    kind: str
    index: int


def find_regions(shapes: Sequence[Shape], path: Path) -> set[int]:
    """Return the indices of the shapes that are regions around objects rather than objects.

    Raises
    ------
    AnnotationError
        If an outline holds one other of similar size, so that it may be either.
    """
    objects = {"detection", "cell"}
    areas = [area_of(s.outline) for s in shapes]
    regions = set()
    if any(s.kind in objects for s in shapes):
        regions = {s.index for s in shapes if len(s.outline) and s.kind in ("annotation", "tma_core", "root")}
    centres = np.array([c for s in shapes for c in s.centres]).reshape(-1, 2)
    owners = np.array([s.index for s in shapes for _ in s.centres], dtype=np.int64)
    order = np.argsort(centres[:, 0], kind="stable")  # of many outlines each then looks at few places
    centres, owners = centres[order], owners[order]
    for shape in shapes:
        if len(shape.outline) < 3 or shape.index in regions:
            continue
        first = int(np.searchsorted(centres[:, 0], shape.outline[:, 0].min(), side="left"))
        last = int(np.searchsorted(centres[:, 0], shape.outline[:, 0].max(), side="right"))
        held = {int(owners[first + k]) for k in _held(centres[first:last], shape.outline)} - regions - {shape.index}
        smaller = [k for k in held if areas[k] * 4 <= areas[shape.index]]
        if len(smaller) > 1 or any(areas[k] * 10 <= areas[shape.index] for k in smaller):
            regions.add(shape.index)
        elif smaller:
            x, y = shape.centres[0]
            raise AnnotationError(
                f"annotation {path}: the outline at ({x:g}, {y:g}) holds another object; remove it if it is a region, "
                "or the other one"
            )
    return regions


def dots_and_outlines(
    xy: Sequence[tuple[float, float]], classes: Sequence[str], outlines: Sequence[Outline | None]
) -> Dots:
    """Return the dots of an image in which some objects are points and some have outlines.

    An outline around two points or more is a region around objects, which is told and not counted; around one, or
    around other outlines, it is an object.

    Parameters
    ----------
    xy, classes
        The place and the class of each shape.
    outlines
        Its outline, in the same coordinates; ``None`` of a point.
    """
    places = np.array(xy, dtype=np.float64).reshape(-1, 2)
    points = places[[k for k, outline in enumerate(outlines) if outline is None]]
    kept = []
    for k, outline in enumerate(outlines):
        corners = np.array(outline or (), dtype=np.float64).reshape(-1, 2)
        if len(_held(points, corners)) < 2:
            kept.append(k)
    regions = len(outlines) - len(kept)
    dots = dots_of([xy[k] for k in kept], [classes[k] for k in kept])
    return Dots(dots.xy, dots.classes, (f"{regions} x region around objects",) if regions else ())


def corners_of(left: float, top: float, right: float, bottom: float) -> Outline:
    """Return the corners of a box, in order."""
    return (left, top), (right, top), (right, bottom), (left, bottom)


def area_of(outline: np.ndarray) -> float:
    """Return the area of a polygon; 0 for fewer than three corners."""
    if len(outline) < 3:
        return 0.0
    x, y = (outline - outline[0]).T
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


def _held(places: np.ndarray, outline: np.ndarray) -> list[int]:
    """Return the indices of the places in a polygon; none in fewer than three corners."""
    if len(outline) < 3:
        return []
    near = ((places >= outline.min(axis=0)) & (places <= outline.max(axis=0))).all(axis=1)
    return [int(k) for k in np.flatnonzero(near) if _inside(places[k], outline)]


def _inside(place: np.ndarray, outline: np.ndarray) -> bool:
    """Return whether a place lies in a polygon: a ray to the right crosses it an odd number of times."""
    (x, y), a, b = place, outline, np.roll(outline, -1, axis=0)
    cuts = (a[:, 1] > y) != (b[:, 1] > y)
    a, b = a[cuts], b[cuts]
    at = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
    return bool((at > x).sum() % 2)
