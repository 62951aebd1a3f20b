"""The depth of a whole set of images: which are deeper than 8 bit, and the range that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dotcount.data.images import PixelArray, read_header, read_pixels
from dotcount.errors import DataError, ImageReadError
from dotcount.intensity import IntensityRule
from dotcount.selection import ImageSelection

SAMPLE = 100
"""Number of images, evenly spaced in the set, on which a range is fitted."""

_FIRST = ImageSelection()
_EIGHT_BITS = (".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp")


def fit_intensity(paths: Sequence[Path], selection: ImageSelection = _FIRST, *, strict: bool = False) -> IntensityRule:
    """Return the rule of a set of image files; the plain 8-bit rule where none is deeper.

    Headers tell which files are deeper; of these up to :data:`SAMPLE` are read. Files that can't be read are left out:
    who reads them next tells it.

    Parameters
    ----------
    paths
        Files, in an order that does not change.
    selection
        What is read of files that hold more than one picture.
    strict
        Raise an error if deep integers and floats are mixed, which have no range in common. Else the rule is that of
        the more frequent ones.

    Raises
    ------
    DataError
        If types are mixed and ``strict``; the message names one file of each.
    """
    kinds: dict[str, list[Path]] = {"integer": [], "float": []}
    for path in paths:
        kind = _deep_kind(path)
        if kind is not None:
            kinds[kind].append(path)
    integers, floats = kinds["integer"], kinds["float"]
    if strict and integers and floats:
        raise DataError(
            f"image {integers[0]} holds integers of more than 8 bits and {floats[0]} floats, which have no range in "
            f"common ({len(integers):,} and {len(floats):,} images); convert them to one type"
        )
    deep, kind = (integers, "integer") if len(integers) >= len(floats) else (floats, "float")
    places = np.linspace(0, len(deep) - 1, min(SAMPLE, len(deep))).round().astype(int)
    return IntensityRule.fit(_read([deep[k] for k in places], selection, kind))


def depth_note(paths: Sequence[Path]) -> str | None:
    """Return in words how depths are mixed in a set, ``None`` where they are not."""
    shallow, deep = 0, []
    for path in paths:
        if _deep_kind(path) is None:
            shallow += 1
        else:
            deep.append(path)
    if not shallow or not deep:
        return None
    return (
        f"{len(deep):,} images hold more than 8 bits ({deep[0].name}), {shallow:,} hold 8: equal objects may differ in "
        "brightness; save all in one depth"
    )


def _deep_kind(path: Path) -> str | None:
    """Return ``integer`` or ``float`` for a file of more than 8 bits, else ``None``."""
    if path.suffix.lower() in _EIGHT_BITS:
        return None
    try:
        return read_header(path).deep or None
    except ImageReadError:
        return None


def _read(paths: Iterable[Path], selection: ImageSelection, kind: str) -> Iterable[PixelArray]:
    for path in paths:
        try:
            pixels = read_pixels(path, selection)
        except ImageReadError:
            continue
        if pixels.dtype != np.uint8 and (pixels.dtype.kind == "f") == (kind == "float"):
            yield pixels
