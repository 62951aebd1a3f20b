"""Plain JSON of points, as scripts write it: of one image each, or of many by their names.

Points are ``[x, y]`` or ``{"x": x, "y": y}``; numbers are positions, px. Of one image: ``[[x, y], ...]`` or
``{"points": [[x, y], ...]}``, also with the image's name (``img_id``) and the number of dots (``human_num``), which has
to be theirs, as NWPU-Crowd has it. Of many: ``{"a.jpg": [[x, y], ...]}`` or ``{"a.jpg": {"points": [...]}}``, as
FSC-147 has it, whose sizes (``H``, ``W``, ``ratio_h``, ``ratio_w``) are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Sidecar, Table, require_size
from dotcount.data.formats.structured import deferred, demand, load_json, number, pairs, peek_json, stated_size
from dotcount.data.images import is_image
from dotcount.data.layout import Dots, ReadDots
from dotcount.errors import AnnotationError

_KEYS = ("points", "dots", "annPoints", "coordinates")
_NAMES = ("img_id", "image", "filename", "file_name", "image_name")
_NUMBERS = ("human_num", "count", "num_points", "n_points")
# Keys of formats of their own, and of single shapes, whose points are corners.
_OTHERS = (
    "shapes",
    "annotations",
    "objects",
    "features",
    "instances",
    "type",
    "label",
    "shape",
    "shape_type",
    "polygon",
)
_SLACK = 2  # px by which FSC-147's sizes may be rounded


def _is_points(value: Any) -> bool:
    """Return whether a value is a list that begins with a pair of numbers, or with an object of x and y alone."""
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, dict):
        first = [first["x"], first["y"]] if set(first) == {"x", "y"} else None
    return isinstance(first, list) and len(first) == 2 and all(isinstance(v, (int, float)) for v in first)


def _key(value: Any) -> str | None:
    """Return the key of the points of one image; ``None`` where it has none, or is of another format."""
    if not isinstance(value, dict) or any(key in value for key in _OTHERS):
        return None
    return next((k for k in _KEYS if _is_points(value.get(k)) or value.get(k) == []), None)


@FORMATS.register("json_points")
class JsonPoints(Table):
    """Points of many images."""

    name = "json_points"
    title = "JSON of points by the names of images"
    suffixes = (".json",)
    filename = "points.json"
    priority = 15
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the keys are names of images and the values points."""
        content = peek_json(path)
        if not isinstance(content, dict) or not content or not all(is_image(Path(key)) for key in content):
            return False
        values = list(content.values())  # of which empty lists alone may be lists of anything
        return all(v == [] or _is_points(v) or _key(v) for v in values) and any(v != [] for v in values)

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        listed: list[tuple[str, Listed]] = []
        for name, value in demand(load_json(path), dict, path, "the top level").items():
            listed.append((name, Listed(partial(_sized, deferred(partial(_dots, value, path, name)), value, path))))
        return listed


@FORMATS.register("json_points_per_image")
class JsonPointsSidecar(Sidecar):
    """Points of one image."""

    name = "json_points_per_image"
    title = "JSON of the points of one image"
    suffixes = (".json",)
    priority = 15
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a list of points, or has one under a known key."""
        content = peek_json(path)
        return _is_points(content) or _key(content) is not None

    def image_of(self, path: Path) -> str | None:
        """Return ``img_id`` or the like, where it is the name of an image."""
        content = peek_json(path)
        names = (content.get(key) for key in _NAMES) if isinstance(content, dict) else ()
        return next((name for name in names if isinstance(name, str) and is_image(Path(name))), None)

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of one image."""
        content = load_json(path)
        if isinstance(content, dict):
            require_size(path, stated_size(content.get("width"), content.get("height")), (width, height))
        return _dots(content, path, "the file")


def _sized(read: ReadDots, value: Any, path: Path, width: int, height: int) -> Dots:
    """Return the dots of an image that has the size that FSC-147 states, up to its rounding."""
    size = _scaled_size(value)
    if size is not None and max(abs(size[0] - width), abs(size[1] - height)) > _SLACK:
        require_size(path, size, (width, height))
    return read(width, height)


def _dots(value: Any, path: Path, what: str) -> Dots:
    """Return the dots of one image; AnnotationError if another number of them is stated."""
    points = value
    if isinstance(value, dict):
        key = _key(value)
        points = demand(value.get(key) if key else None, list, path, f"{what}: points")
        _require_number(value, len(points), path, what)
    points = demand(points, list, path, f"{what}: points")
    points = [[p["x"], p["y"]] if isinstance(p, dict) and set(p) == {"x", "y"} else p for p in points]
    return Dots(np.array(pairs(points, path, f"{what}: a point") if points else []))


def _require_number(value: Mapping[str, Any], found: int, path: Path, what: str) -> None:
    stated = {key: value[key] for key in _NUMBERS if isinstance(value.get(key), int)}
    boxes = value.get("boxes")
    if isinstance(boxes, list) and boxes:
        stated["boxes"] = len(boxes)
    for key, expected in stated.items():
        if expected != found:
            raise AnnotationError(
                f"annotation {path}: {what} has {found} points, but {key} says {expected}; correct it"
            )


def _scaled_size(value: Any) -> tuple[int, int] | None:
    """Return the size of FSC-147's copy of an image, px: that of the original times a ratio."""
    if not isinstance(value, dict) or not {"H", "W", "ratio_h", "ratio_w"} <= set(value):
        return None
    try:
        sides = [
            number(value[s], Path(), s) * number(value[r], Path(), r) for s, r in (("W", "ratio_w"), ("H", "ratio_h"))
        ]
    except AnnotationError:
        return None
    return stated_size(round(sides[0]), round(sides[1]))
