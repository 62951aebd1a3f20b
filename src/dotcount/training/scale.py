"""The scale of the training images: what a pixel measures on the ground, and how far objects are from each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dotcount.data import Record
from dotcount.errors import DataError
from dotcount.geo import georeference, is_georeferenced
from dotcount.metadata import ScaleRule
from dotcount.points import spacing

_DOTS = 10
"""Least number of dots of an image whose distances say something."""

_SAME = 0.02
"""Spread of pixel sizes up to which images have one scale."""


def training_scale(records: Sequence[Record], pixel_size: float | None = None) -> ScaleRule:
    """Return the scale of images as they are brought, before any resizing.

    Parameters
    ----------
    records
        The training images.
    pixel_size
        Side of a pixel on the ground, m; absent: what georeferenced images state, if all do and agree to 2 %.
    """
    distances = [
        spacing(record.points.xy) for record in records if record.points is not None and len(record.points) >= _DOTS
    ]
    known = [distance for distance in distances if distance > 0]
    size = stated_pixel_size(records) if pixel_size is None else pixel_size
    if not known:
        return ScaleRule(pixel_size=size)
    low, middle, high = (round(float(q), 3) for q in np.quantile(known, (0.05, 0.5, 0.95)))
    return ScaleRule(size, middle, (low, high)) if low > 0 else ScaleRule(size)


def stated_pixel_size(records: Sequence[Record]) -> float | None:
    """Return the side of a pixel on the ground, m, that all images state; None where one states none or another."""
    sizes = []
    for record in records:
        if record.points is None or not is_georeferenced(record.image):
            return None
        try:
            place = georeference(record.image, (record.points.width, record.points.height))
        except DataError:  # without the extra `geo`
            return None
        if place is None:
            return None
        sizes.append(place.resolution)
    middle = float(np.median(sizes)) if sizes else None
    if middle is None or max(abs(size / middle - 1) for size in sizes) > _SAME:
        return None
    return round(middle, 6)
