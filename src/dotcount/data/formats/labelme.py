"""LabelMe JSON (https://github.com/wkentaro/labelme): one file for each image, with ``shapes``.

A shape of type ``point`` gives its point; rectangle, circle, polygon and others their centre. LabelMe's canvas puts the
image's corner at (0, 0), so coordinates are positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.formats.structured import (
    demand,
    dots_of,
    load_json,
    number,
    peek_json,
    polygon_centre,
    positions,
    size_of,
    write_json,
)
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError


@FORMATS.register("labelme")
class LabelMe(Sidecar):
    """LabelMe shapes."""

    name = "labelme"
    title = "LabelMe JSON"
    suffixes = (".json",)

    def recognises(self, path: Path) -> bool:
        """Return whether the file has a list of shapes."""
        content = peek_json(path)
        return isinstance(content, dict) and isinstance(content.get("shapes"), list)

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of one image."""
        content = demand(load_json(path), dict, path, "the top level")
        shapes = [demand(s, dict, path, "a shape") for s in demand(content.get("shapes"), list, path, "shapes")]
        return dots_of([_centre(s, path) for s in shapes], [str(s.get("label") or "") for s in shapes])

    def write(self, path: Path, record: Record) -> None:
        """Write one point shape a dot."""
        width, height = size_of(record)
        shapes: list[dict[str, Any]] = [
            {"label": name, "points": [[x, y]], "group_id": None, "shape_type": "point", "flags": {}}
            for x, y, name in positions(record)
        ]
        write_json(
            path,
            {
                "version": "5.5.0",
                "flags": {},
                "shapes": shapes,
                "imagePath": Path(record.name).name,
                "imageData": None,
                "imageHeight": height,
                "imageWidth": width,
            },
        )


def _centre(shape: Mapping[str, Any], path: Path) -> tuple[float, float]:
    points = demand(shape.get("points"), list, path, "points of a shape")
    if not points or any(not isinstance(p, list) or len(p) != 2 for p in points):
        raise AnnotationError(f"annotation {path}: a shape has no points [x, y]; export it again")
    xy = [(number(x, path, "a point"), number(y, path, "a point")) for x, y in points]
    kind = shape.get("shape_type", "polygon")
    if kind in ("point", "circle"):  # a circle is its centre and a point on the rim
        return xy[0]
    if kind == "rectangle":
        return sum(p[0] for p in xy) / len(xy), sum(p[1] for p in xy) / len(xy)
    return polygon_centre(xy)
