"""Annotations of Apple's Create ML (https://developer.apple.com/documentation/createml), which Roboflow exports too.

A list of ``{"image": ..., "annotations": [{"label": ..., "coordinates": {"x", "y", "width", "height"}}]}``; x and y are
the centre of the box, px from the upper left corner.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.structured import deferred, demand, dots_of, load_json, number, peek_json
from dotcount.data.layout import Dots
from dotcount.errors import AnnotationError

_IMAGES, _LISTS = ("image", "imagefilename"), ("annotations", "annotation")


def _keys(entry: Any) -> tuple[str, str] | None:
    """Return the keys of the name and of the annotations; ``None`` for an entry of another format."""
    if not isinstance(entry, dict):
        return None
    image = next((key for key in _IMAGES if isinstance(entry.get(key), str)), None)
    listed = next((key for key in _LISTS if isinstance(entry.get(key), list)), None)
    if image is None or listed is None:
        return None
    alike = all(isinstance(a, dict) and isinstance(a.get("coordinates"), dict) for a in entry[listed])
    return (image, listed) if alike and "id" not in entry else None


@FORMATS.register("createml")
class CreateMl(Table):
    """Create ML boxes."""

    name = "createml"
    title = "Create ML JSON"
    suffixes = (".json",)
    filename = "_annotations.createml.json"
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a list of images with annotations of coordinates."""
        content = peek_json(path)
        return isinstance(content, list) and bool(content) and all(map(_keys, content))

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        listed: list[tuple[str, Listed]] = []
        for entry in demand(load_json(path), list, path, "the list of images"):
            keys = _keys(entry)
            if keys is None:
                raise AnnotationError(f"annotation {path} has an entry without image or annotations; export it again")
            listed.append((entry[keys[0]], Listed(deferred(partial(_dots, entry, keys[1], path)))))
        return listed


def _dots(entry: Mapping[str, Any], key: str, path: Path) -> Dots:
    xy, labels = [], []
    for annotation in entry[key]:
        place = annotation["coordinates"]
        x, y, width, height = (number(place.get(k), path, f"{k} of a box") for k in ("x", "y", "width", "height"))
        if width < 0 or height < 0 or (width == height == x == y == 0):
            raise AnnotationError(f"annotation {path}: a box of {width:g} x {height:g} px is none; remove it")
        xy.append((x, y))
        labels.append(str(annotation.get("label") or ""))
    return dots_of(xy, labels)
