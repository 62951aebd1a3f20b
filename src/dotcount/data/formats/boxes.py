"""Boxes of annotation files, and what tells that they are not written as their format has it.

Formats write a box as a corner and two sides, as two corners, or as a centre and two sides. Files in which one is
written for another are common, and nearly every number of them could be either: the places are wrong, and mostly inside
the image. What can be told is told here, for all formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dotcount.errors import AnnotationError
from dotcount.points import FloatArray

_SLACK = 0.01  # of the image's side, by which boxes may reach over its border


def corners_centre(corners: Sequence[float], path: Path, what: str) -> tuple[float, float]:
    """Return the centre of a box that is given by two corners, x and y of each.

    Raises
    ------
    AnnotationError
        If the second lies left of the first or above it, as width and height do; or all four are 0.
    """
    left, top, right, bottom = corners
    if not any(corners):
        raise AnnotationError(f"annotation {path}: the box of {what} is 0, 0, 0, 0, which is no place; remove it")
    if right < left or bottom < top:
        raise AnnotationError(
            f"annotation {path}: the box of {what} ends at ({right:g}, {bottom:g}), before its beginning at "
            f"({left:g}, {top:g}); its corners are swapped, or two of its numbers are width and height; export corners"
        )
    return (left + right) / 2, (top + bottom) / 2


def written_as_corners(boxes: FloatArray, sizes: FloatArray, *, centred: bool = False) -> bool:
    """Return whether boxes that should be a corner and two sides can only be two corners.

    That is so if one reaches over the border of its image as it stands, while all of them, read as corners, are in
    order and inside.

    Parameters
    ----------
    boxes
        (n, 4) px: x, y, width, height.
    sizes
        (n, 2) px: width and height of the image of each.
    centred
        Whether x and y are of the centre rather than of the upper left corner.
    """
    boxes, sizes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4), np.asarray(sizes, dtype=np.float64)
    if not len(boxes):
        return False
    slack = np.maximum(1, _SLACK * sizes)
    first = boxes[:, :2] - boxes[:, 2:] / 2 if centred else boxes[:, :2]
    over = (first < -slack) | (first + boxes[:, 2:] > sizes + slack)
    as_corners = (boxes[:, 2:] > boxes[:, :2]) & (boxes[:, :2] >= 0) & (boxes[:, 2:] <= sizes + slack)
    return bool(over.any() and as_corners.all())


def areas_of_corners(boxes: FloatArray, areas: FloatArray) -> bool:
    """Return whether stated areas are those of boxes read as two corners, and not those of a corner and two sides."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    areas = np.asarray(areas, dtype=np.float64)
    sides = boxes[:, 2] * boxes[:, 3]
    corners = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    known = np.isfinite(areas) & (areas > 0) & ~np.isclose(sides, corners, rtol=0.01)
    return bool(known.any() and np.isclose(areas, corners, rtol=0.01)[known].all())
