"""LabelMe JSON (https://github.com/wkentaro/labelme): one file for each image, with ``shapes``.

A shape of type ``point`` gives its point, a ``circle`` its centre, ``rectangle``, ``oriented_rectangle``, ``rotation``
(of X-AnyLabeling), ``mask``, ``polygon``, ``line`` and ``linestrip`` their centre; any other shape is an error. Shapes
with one ``group_id`` and one label are parts of one object, as LabelMe's own converters have it: they give one dot, at
the centre of the box around them. An outline around several points is a region. LabelMe's canvas puts the image's
corner at (0, 0), so coordinates are positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Sidecar, require_size
from dotcount.data.formats.outlines import Outline, corners_of, dots_and_outlines
from dotcount.data.formats.structured import (
    box_around,
    demand,
    identity,
    line_centre,
    load_json,
    pairs,
    peek_json,
    polygon_centre,
    positions,
    size_of,
    stated_size,
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

    def image_of(self, path: Path) -> str | None:
        """Return ``imagePath``."""
        content = peek_json(path)
        stated = content.get("imagePath") if isinstance(content, dict) else None
        return stated if isinstance(stated, str) else None

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of one image."""
        content = demand(load_json(path), dict, path, "the top level")
        require_size(path, stated_size(content.get("imageWidth"), content.get("imageHeight")), (width, height))
        shapes = [demand(s, dict, path, "a shape") for s in demand(content.get("shapes"), list, path, "shapes")]
        objects: dict[Any, list[Mapping[str, Any]]] = {}
        for k, shape in enumerate(shapes):
            group = shape.get("group_id")
            alone = group is None or group == ""
            key = (k,) if alone else (identity(group, path, "group_id of a shape"), str(shape.get("label") or ""))
            objects.setdefault(key, []).append(shape)
        return dots_and_outlines(
            [_place(parts, path) for parts in objects.values()],
            [str(parts[0].get("label") or "") for parts in objects.values()],
            [_outline(parts, path) for parts in objects.values()],
        )

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


def _place(parts: Sequence[Mapping[str, Any]], path: Path) -> tuple[float, float]:
    """Return the position of an object that was drawn as one or more shapes."""
    centres = [_centre(part, path) for part in parts]
    if len(parts) == 1:
        return centres[0]
    if any(part.get("shape_type") == "point" for part in parts):
        label, group = str(parts[0].get("label"))[:40], str(parts[0].get("group_id"))[:20]
        raise AnnotationError(
            f"annotation {path}: {len(parts)} shapes {label!r} of group {group}, points among them, "
            "may be one object or several; remove group_id to count each"
        )
    corners = []
    for part, (x, y) in zip(parts, centres):
        xy = pairs(part.get("points"), path, "a shape")
        reach = math.dist(*xy) if part.get("shape_type") == "circle" and len(xy) == 2 else 0.0
        corners += xy if not reach else [(x - reach, y - reach), (x + reach, y + reach)]
    return box_around(corners)


def _outline(parts: Sequence[Mapping[str, Any]], path: Path) -> Outline | None:
    kind = (parts[0].get("shape_type") or "polygon") if len(parts) == 1 else "group"
    if kind == "point":
        return None
    if kind not in ("polygon", "rectangle", "oriented_rectangle", "rotation"):
        return ()
    xy = pairs(parts[0].get("points"), path, "a shape")
    return corners_of(*xy[0], *xy[1]) if len(xy) == 2 else xy


def _centre(shape: Mapping[str, Any], path: Path) -> tuple[float, float]:
    kind = shape.get("shape_type") or "polygon"
    what = f"a shape of type {str(kind)[:40]}"
    xy = pairs(shape.get("points"), path, what)
    if kind == "point" and len(xy) == 1:
        return xy[0]
    if kind == "circle" and len(xy) == 2:  # its centre and a point on the rim
        return xy[0]
    if kind in ("rectangle", "mask") and len(xy) in (2, 4):
        x, y = box_around(xy)
        return (x + 0.5, y + 0.5) if kind == "mask" else (x, y)  # of a mask the first and the last pixel
    if kind in ("polygon", "oriented_rectangle", "rotation"):
        return polygon_centre(xy)
    if kind in ("line", "linestrip"):
        return line_centre(xy)
    raise AnnotationError(f"annotation {path}: {what} with {len(xy)} points gives no dot; draw a point for each object")
