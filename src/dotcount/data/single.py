"""The dots of one image from a file of any format that a folder may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dotcount.data.formats.base import Rows, sidecars, tables
from dotcount.data.images import image_size
from dotcount.data.layout import Dots
from dotcount.data.mentions import Mention, agreed
from dotcount.data.resolver import fold
from dotcount.errors import AnnotationError
from dotcount.points import Points
from dotcount.registry import did_you_mean


def read_dots(file: str | Path, image: str | Path) -> Points:
    """Return the dots that ``file`` states for ``image``.

    Parameters
    ----------
    file
        Dots of this image alone (such as a csv ``x,y``, a ``.mat`` or a dot mask), or of many with this one among them.
    image
        The image; its size comes from the header, its name is looked up in a file of many.

    Raises
    ------
    ImageReadError
        If the image is missing or no image.
    AnnotationError
        If the file is missing, of no known format, does not name the image, or has dots that are not finite or lie
        outside the image.
    """
    file, image = Path(file), Path(image)
    width, height = image_size(image)
    if not file.is_file():
        raise AnnotationError(f"dots {file} do not exist; check the path")
    dots = _read(file, image, width, height)
    finite = np.isfinite(dots.xy).all(axis=1)
    inside = ((dots.xy >= 0) & (dots.xy < (width, height))).all(axis=1)
    for k in np.flatnonzero(~(finite & inside))[:1]:
        x, y = dots.xy[k]
        raise AnnotationError(
            f"dots {file}: dot {k + 1} at ({x:g}, {y:g}) is not inside image {image} ({width} x {height} px); "
            "correct or remove it"
        )
    return Points(dots.xy, width, height)


def _read(file: Path, image: Path, width: int, height: int) -> Dots:
    ending = file.suffix.lower()
    for table in tables():
        if ending in table.suffixes and table.recognises(file):
            return _listed(table.read(file), file, image, (width, height))
    for sidecar in sidecars():
        if ending in sidecar.suffixes and sidecar.recognises(file):
            return sidecar.read(file, width, height)
    raise AnnotationError(f"dots {file} are of no known format; write a csv with the columns x, y")


def _listed(rows: Rows, file: Path, image: Path, size: tuple[int, int]) -> Dots:
    """Return the dots of an image: those of a name that ends its path, else of its bare name."""
    path = image.resolve().as_posix()
    for fits in (lambda name: path.endswith(f"/{name}"), lambda name: fold(Path(name).stem) == fold(image.stem)):
        found = [Mention(file, listed) for name, listed in rows if fits(name.replace("\\", "/"))]
        if found:
            return agreed(image.name, found, None, *size)
    hint = did_you_mean(image.name, [name for name, _ in rows])
    raise AnnotationError(f"dots {file} have no rows for image {image.name}.{hint} Name it in the column image.")
