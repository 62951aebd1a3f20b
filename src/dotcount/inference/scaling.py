"""The scale of an image that states the size of its pixels, against that of the training images."""

from __future__ import annotations

from pathlib import Path

from dotcount.data.images import read_header
from dotcount.errors import DataError
from dotcount.geo import georeference, is_georeferenced
from dotcount.metadata import ModelMetadata

NEAR = 0.02
"""Scales that differ by less than this share are the same."""

LARGEST = 16.0
"""Largest magnification, and the inverse of the least, that is done."""


def checked(factor: float) -> float:
    """Return a magnification, or 1 where it changes next to nothing.

    Raises
    ------
    DataError
        If it is too large or too small.
    """
    if not 1 / LARGEST <= factor <= LARGEST:
        raise DataError(
            f"its scale is too far from that of the training images ({factor:.3g} times as large pixels); "
            "bring images of a nearer scale"
        )
    return 1.0 if abs(factor - 1) <= NEAR else factor


def length(metres: float) -> str:
    """Return a length in words, in a unit that suits it.

    Examples
    --------
    >>> length(0.3), length(6.5e-7)
    ('0.3 m', '0.65 µm')
    """
    return f"{metres:.3g} m" if metres >= 1e-3 else f"{metres * 1e6:.3g} µm"


def by_pixel_size(metadata: ModelMetadata, size: float) -> tuple[float, tuple[str, ...]]:
    """Return how many times as large an image with pixels of ``size`` m is made for a model, and that in words.

    Examples
    --------
    >>> from dotcount.metadata.settings import ScaleRule
    >>> by_pixel_size(ModelMetadata("compact", 4, scale=ScaleRule(pixel_size=0.6)), 0.3)
    (0.5, ('it was resampled from 0.3 m a pixel to the 0.6 m of the training images',))
    """
    trained = metadata.scale.pixel_size
    if trained is None or metadata.input.resize.bounded:
        return 1.0, ()
    factor = checked(size / trained)
    if factor == 1:
        return factor, ()
    return factor, (f"it was resampled from {length(size)} a pixel to the {length(trained)} of the training images",)


def of_file(metadata: ModelMetadata, path: Path, size: tuple[int, int]) -> tuple[float, tuple[str, ...]]:
    """Return the same for an image file of ``size`` (width, height) px, from what it states; (1.0, ()) without that."""
    if metadata.scale.pixel_size is None or metadata.input.resize.bounded:
        return 1.0, ()
    try:
        place = georeference(path, size) if is_georeferenced(path) else None
        stated = read_header(path).pixel_size if place is None else place.resolution
    except DataError as error:
        return 1.0, (f"its place on the earth was not used: {error}",)
    return (1.0, ()) if stated is None else by_pixel_size(metadata, stated)
