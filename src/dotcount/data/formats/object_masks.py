"""A mask image for each object, as the Data Science Bowl of 2018 has them (https://bbbc.broadinstitute.org/BBBC038).

A mask marks one object by one value on 0; the dot is at its centre of mass. How masks lead to images is the business of
:func:`dotcount.data.pairing.group`. Masks of classes, which mark many objects each, are laid out alike: they are told
by the number of separate regions, and refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.images import read_stored
from dotcount.data.layout import Dots
from dotcount.errors import AnnotationError, ImageReadError

_LOSSY = (".jpg", ".jpeg")
_LEAST = 0.1  # of the largest region of an object, below which another is a crumb
_KIND = re.compile(r"(?![0-9a-f]+$)(?:.*[-_ ])?([a-z]+)[-_ ]?\d+", re.I)  # nuclei_02; no sum of bits
_TORN = 1.5  # regions for each mask, from which masks are of classes rather than of objects


@dataclass(frozen=True)
class _Object:
    x: float
    y: float
    regions: int
    digest: bytes


@FORMATS.register("object_masks")
class ObjectMasks(Sidecar):
    """Masks of one object each."""

    name = "object_masks"
    title = "one mask image for each object"
    suffixes = (".png", ".tif", ".tiff", ".bmp", ".gif", ".jpg", ".jpeg")
    pictures = True
    writable = False

    def recognises(self, path: Path) -> bool:  # noqa: ARG002
        """Return False: a single mask looks like any other, and where several lie shows what they are."""
        return False

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the one dot of a mask."""
        return self.read_all([path], width, height)

    def read_all(self, paths: Sequence[Path], width: int, height: int) -> Dots:
        """Return the dots of the masks of one image.

        Raises
        ------
        AnnotationError
            If the masks are of several kinds of objects by their names, lie in several folders or repeat each other;
            if one can't be read, is of another size, marks nothing or everything or by several values; or if there are
            clearly more regions than masks.
        """
        kinds = sorted({found[1].lower() for path in paths if (found := _KIND.fullmatch(path.stem))})
        if len(kinds) > 1:
            raise AnnotationError(
                f"masks such as {paths[0]} are of several kinds by their names ({', '.join(kinds)[:80]}); keep one kind"
            )
        folders = sorted({str(path.parent) for path in paths})
        if len(folders) > 1:
            raise AnnotationError(f"masks of one image lie in {folders[0]} and in {folders[1]}; keep one folder")
        objects = [_object(path, width, height) for path in paths]
        seen: dict[bytes, Path] = {}
        for path, each in zip(paths, objects):
            first = seen.setdefault(each.digest, path)
            if first != path:
                raise AnnotationError(f"masks {first} and {path} mark the same pixels; keep one of them")
        regions = sum(o.regions for o in objects)
        if regions > len(objects) + 1 and regions > _TORN * len(objects):
            raise AnnotationError(
                f"masks such as {paths[0]}: {len(objects)} masks of one image hold {regions} separate regions, so they "
                "are not of one object each; save one mask of all objects, called as the image"
            )
        return Dots(np.array([(o.x, o.y) for o in objects]))


def _object(path: Path, width: int, height: int) -> _Object:
    from scipy import ndimage

    try:
        pixels = read_stored(path)
    except ImageReadError as error:
        raise AnnotationError(str(error).replace("image", "mask", 1)) from error
    if pixels.shape[:2] != (height, width):
        raise AnnotationError(
            f"mask {path} is {pixels.shape[1]} x {pixels.shape[0]} px, its image {width} x {height}; export it at full "
            "size, or upright"
        )
    values = pixels.max(axis=-1)
    top = values.max()
    lossy = path.suffix.lower() in _LOSSY
    marked = values > top / 2 if lossy else values != 0
    if not marked.any() or marked.all() or (not lossy and (values[marked] != top).any()):
        what = "marks nothing" if not marked.any() else "marks all of it" if marked.all() else "holds several values"
        raise AnnotationError(
            f"mask {path} {what}, where the mask of one object has 0 and one value; remove it, or, where one "
            "mask holds all objects, call it as the image"
        )
    corners = marked[[0, 0, -1, -1], [0, -1, 0, -1]]
    if marked.mean() > 0.5 and corners.all():
        raise AnnotationError(
            f"mask {path} marks most of it, up to the corners: it may be inverted; save objects as 255"
        )
    labels, number = ndimage.label(marked, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    rows, columns = np.nonzero(marked)
    digest = hashlib.sha256(np.packbits(marked).tobytes()).digest()
    return _Object(columns.mean() + 0.5, rows.mean() + 0.5, int((areas >= _LEAST * areas.max()).sum()), digest)
