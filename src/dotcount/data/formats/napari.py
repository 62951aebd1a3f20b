"""Points layers of napari (https://napari.org/stable/guides/layers.html), saved as csv: ``index,axis-0,axis-1``.

The last two axes are row and column; napari counts from the CENTRE of the first pixel, so a dot is at
``(axis-1 + 1/2, axis-0 + 1/2)``.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from dotcount.data.formats.base import FORMATS, Sidecar, head, read_text
from dotcount.data.formats.structured import dots_of, number, positions, size_of
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError


def _axes(header: list[str]) -> tuple[int, int] | None:
    names = [name.strip().lower() for name in header]
    axes = [k for k, name in enumerate(names) if name.startswith("axis-")]
    return (axes[-2], axes[-1]) if len(axes) >= 2 else None


@FORMATS.register("napari")
class Napari(Sidecar):
    """napari points."""

    name = "napari"
    title = "napari points csv"
    suffixes = (".csv",)

    def recognises(self, path: Path) -> bool:
        """Return whether the header has ``axis-0`` and ``axis-1``."""
        first = next(iter(head(path).splitlines()), "")
        return _axes(first.split(",")) is not None

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of one image."""
        try:
            rows = [row for row in csv.reader(io.StringIO(read_text(path))) if row]
        except csv.Error as error:
            raise AnnotationError(f"annotation {path} is not valid csv ({error}); save the layer again") from error
        axes = _axes(rows[0]) if rows else None
        if axes is None:
            raise AnnotationError(f"annotation {path} has no columns axis-0 and axis-1; save the points layer again")
        y, x = axes
        if any(len(row) <= max(axes) for row in rows[1:]):
            raise AnnotationError(f"annotation {path} has a row that is too short; save the points layer again")
        xy = [(number(r[x], path, "axis-1") + 0.5, number(r[y], path, "axis-0") + 0.5) for r in rows[1:]]
        return dots_of(xy, [])

    def write(self, path: Path, record: Record) -> None:
        """Write a points layer."""
        size_of(record)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["index", "axis-0", "axis-1"])
            for index, (x, y, _) in enumerate(positions(record)):
                writer.writerow([index, repr(y - 0.5), repr(x - 0.5)])
