"""The scale of the training images: what a pixel measures on the ground, and how far objects are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dotcount.data import Record, ResizeRule
from dotcount.data.images import read_header
from dotcount.data.samples import scaled_size
from dotcount.errors import DataError, ImageReadError
from dotcount.geo import georeference, is_georeferenced
from dotcount.metadata import ScaleRule
from dotcount.points import nearest_distances, spacing

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
        Side of a pixel on the ground, m; absent: what the files state, georeferenced or of microscopes, if
        all do and agree to 2 %.
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


def typical_spacing(records: Sequence[Record], resize: ResizeRule) -> float:
    """Return the median distance, px after resizing, from a dot to the nearest other dot of its image.

    The median is over the dots of all images; those of images with a single dot have no neighbour.

    Raises
    ------
    DataError
        If no image has two dots at different places.
    """
    distances = []
    for record in records:
        if record.points is not None and len(record.points) > 1:
            factors = np.divide(scaled_size(record, resize), (record.points.width, record.points.height))
            distances.append(nearest_distances(record.points.xy * factors))
    typical = round(float(np.median(np.concatenate(distances))), 3) if distances else 0.0
    if not typical > 0:
        raise DataError(
            "length_scale is 'spacing', but most dots to train on have no neighbour at another place; "
            "give loss.options.length_scale in pixels"
        )
    return typical


def stated_pixel_size(records: Sequence[Record]) -> float | None:
    """Return the side of a pixel on the ground, m, that all images state; None where one states none or another."""
    sizes = []
    for record in records:
        size = None if record.points is None else _stated(record.image, (record.points.width, record.points.height))
        if size is None:
            return None
        sizes.append(size)
    middle = float(np.median(sizes)) if sizes else None
    if middle is None or max(abs(size / middle - 1) for size in sizes) > _SAME:
        return None
    return float(f"{middle:.6g}")


def _stated(path: Path, size: tuple[int, int]) -> float | None:
    """Return the side of a pixel, m, that a file states."""
    try:
        if is_georeferenced(path):
            place = georeference(path, size)
            return None if place is None else place.resolution
        return read_header(path).pixel_size
    except (DataError, ImageReadError):  # without the extra; damaged files are told where their pixels are read
        return None
