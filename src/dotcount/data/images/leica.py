"""Leica's lif and lof files; the only user of liffile, which comes with the extra ``microscopy``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.images.parts import Part, PartStack, missing_extra
from dotcount.data.images.pixel_size import UNITS, mean_side
from dotcount.data.images.stack import Stack
from dotcount.data.images.values import PixelArray


class LeicaStack(PartStack):
    """An open lif or lof file: its pages are the planes of one image after the other."""

    def __init__(self, file: Any) -> None:
        images = [image for image in file.images if not image.is_flim and {"X", "Y"} <= set(image.sizes)]
        others = len(file.images) - len(images)
        self._images = images
        super().__init__([_part(image) for image in images])
        if others:
            self.notes.append(
                f"{others} of its images, of lifetimes or single lines, {'were' if others > 1 else 'was'} not read"
            )

    def plane(self, part: int, index: Mapping[str, int], channel: int) -> PixelArray:
        """See :meth:`PartStack.plane`."""
        image = self._images[part]
        sizes = dict(image.sizes)
        outer = [axis for axis in sizes if axis not in ("Y", "X", "S")]
        if list(sizes)[len(outer) :] not in (["Y", "X"], ["Y", "X", "S"]):
            raise ValueError(f"its axes are {''.join(sizes)}, where planes of rows and columns are read")
        wanted = {**index, "C": channel} if "C" in sizes else dict(index)
        if "S" in sizes and sizes["S"] != 3:
            wanted.pop("C", None)
            return np.asarray(image.frame(**wanted))[..., channel]
        return np.asarray(image.frame(**wanted))


@contextmanager
def open_leica(path: Path) -> Iterator[Stack]:
    """Yield an open lif or lof file."""
    try:
        import liffile
    except ImportError as error:
        raise missing_extra(path, "a Leica file", "microscopy", error) from error
    with liffile.LifFile(path) as file:
        yield LeicaStack(file)


def _part(image: Any) -> Part:
    sizes = dict(image.sizes)
    colours = sizes.pop("S", 1)
    width, height = sizes.pop("X"), sizes.pop("Y")
    channels = 1 if colours == 3 else sizes.pop("C", 1) * colours
    return Part(image.name, width, height, np.dtype(image.dtype), sizes, channels, colours == 3, _pixel_size(image))


def _pixel_size(image: Any) -> float | None:
    """Return the side of a pixel, m: the length runs from the first to the last centre."""
    found: dict[str, float] = {}
    for axis in image._dimensions:
        if axis.label in ("X", "Y") and axis.number_elements > 1 and axis.unit in UNITS:
            found[axis.label] = abs(axis.length) / (axis.number_elements - 1) * UNITS[axis.unit]
    return mean_side(found.get("X"), found.get("Y"), 1.0)
