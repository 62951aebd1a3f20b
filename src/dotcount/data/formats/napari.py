"""Layers of napari (https://napari.org/stable/guides/layers.html), saved as csv.

Points layers have the columns ``index,axis-0,axis-1``, shapes layers ``index,shape-type,vertex-index,axis-0,axis-1``
with a row for each vertex: a shape gives one dot, its centre. The last two axes are row and column; napari counts from
the CENTRE of the first pixel, so a dot is at ``(axis-1 + 1/2, axis-0 + 1/2)``. Axes before them are of a stack: its
points belong to several planes, not to one image, unless all lie in one.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.formats.delimited import Sheet, first_rows, read_sheet
from dotcount.data.formats.structured import dots_of, polygon_centre, positions, size_of
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError


def _axes(sheet: Sheet) -> list[int]:
    """Return the columns of the axes, in their order; fewer than two if it is no layer."""
    names = [name.lower() for name in sheet.rows[0]] if sheet.rows else []
    return [names.index(f"axis-{k}") for k in range(len(names)) if f"axis-{k}" in names]


def _pages(stack: Sequence[float]) -> tuple[int, ...]:
    """Return the page, from 0, that places on the axes before row and column name."""
    if not stack:
        return ()
    first = all(place == 0 for place in stack[:-1])
    return (int(stack[-1]),) if first and 0 <= stack[-1] < 1e6 else (-1,)


@FORMATS.register("napari")
class Napari(Sidecar):
    """napari points and shapes."""

    name = "napari"
    title = "napari points or shapes csv"
    suffixes = (".csv",)

    def recognises(self, path: Path) -> bool:
        """Return whether the header has ``axis-0`` and ``axis-1``."""
        return len(_axes(first_rows(path))) >= 2

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of one image."""
        sheet = read_sheet(path)
        axes = _axes(sheet)
        if len(axes) < 2:
            raise AnnotationError(f"annotation {path} has no columns axis-0 and axis-1; save the layer again")
        stack: list[float] = []
        for axis in axes[:-2]:
            planes = {sheet.number(k, axis) for k in range(1, len(sheet.rows))}
            if len(planes) > 1:
                raise AnnotationError(
                    f"annotation {path} has points in {len(planes)} planes of a stack; save each plane as an image, "
                    "with the points of that plane"
                )
            stack += planes
        y, x = axes[-2:]
        xy = [(sheet.number(k, x) + 0.5, sheet.number(k, y) + 0.5) for k in range(1, len(sheet.rows))]
        names = [name.lower() for name in sheet.rows[0]]
        if "vertex-index" not in names:
            return replace(dots_of(xy, []), planes=_pages(stack))
        if "index" not in names:
            raise AnnotationError(f"annotation {path} has vertices, but no column index; save the layer again")
        shapes: dict[float, list[tuple[float, float]]] = {}
        for k, place in enumerate(xy, start=1):
            shapes.setdefault(sheet.number(k, names.index("index")), []).append(place)
        found = dots_of([polygon_centre(vertices) for vertices in shapes.values()], [])
        return replace(found, planes=_pages(stack))

    def write(self, path: Path, record: Record) -> None:
        """Write a points layer."""
        size_of(record)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["index", "axis-0", "axis-1"])
            for index, (x, y, _) in enumerate(positions(record)):
                writer.writerow([index, repr(y - 0.5), repr(x - 0.5)])
