"""VGG Image Annotator 2 JSON (https://www.robots.ox.ac.uk/~vgg/software/via/): project or exported annotations.

An entry for each image with ``filename`` and ``regions``, a list or (version 1) a mapping. Region shapes ``point``,
``circle`` and ``ellipse`` give (cx, cy), ``rect`` and ``polygon`` their centres. Coordinates are positions on the image
as the browser shows it. The class is the region attribute ``class``, ``label``, ``name`` or ``type``, else the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.structured import (
    box_centre,
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
from dotcount.data.layout import fixed
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_CLASS_KEYS = ("class", "label", "name", "type")


@FORMATS.register("via")
class Via(Table):
    """VGG Image Annotator regions."""

    name = "via"
    title = "VGG Image Annotator JSON"
    suffixes = (".json",)
    filename = "via.json"

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a VIA project or maps keys to entries with file name and regions."""
        content = peek_json(path)
        if not isinstance(content, dict):
            return False
        if "_via_img_metadata" in content:
            return True
        first = next(iter(content.values()), None)
        return isinstance(first, dict) and "filename" in first and "regions" in first

    def read(self, path: Path) -> Rows:
        """Return the dots by file name."""
        content = demand(load_json(path), dict, path, "the top level")
        entries = demand(content.get("_via_img_metadata", content), dict, path, "_via_img_metadata")
        listed: list[tuple[str, Listed]] = []
        for entry in entries.values():
            name = demand(demand(entry, dict, path, "an image").get("filename"), str, path, "filename")
            regions = entry.get("regions")
            regions = list(regions.values()) if isinstance(regions, dict) else regions
            xy, classes = [], []
            for region in demand(regions, list, path, f"regions of {name}"):
                shape = demand(region, dict, path, "a region").get("shape_attributes")
                xy.append(_centre(demand(shape, dict, path, "shape_attributes"), path))
                classes.append(_class(region.get("region_attributes")))
            dots = dots_of(xy, classes)
            listed.append((name, Listed(fixed(dots))))
        return listed

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write annotations as VIA exports them, one point region a dot."""
        content = {}
        for record in records:
            size_of(record)
            size = record.image.stat().st_size if record.image.exists() else -1
            regions = [
                {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": {"class": name}}
                for x, y, name in positions(record)
            ]
            entry = {"filename": record.name, "size": size, "regions": regions, "file_attributes": {}}
            content[f"{record.name}{size}"] = entry
        write_json(path, content)


def _class(attributes: Any) -> str:
    if not isinstance(attributes, dict) or not attributes:
        return ""
    value = next((attributes[k] for k in _CLASS_KEYS if k in attributes), next(iter(attributes.values())))
    if isinstance(value, dict):  # a checkbox: the options that are ticked
        value = next((option for option, ticked in value.items() if ticked), "")
    return str(value)


def _centre(shape: Mapping[str, Any], path: Path) -> tuple[float, float]:
    kind = shape.get("name")
    if kind in ("point", "circle", "ellipse"):
        return number(shape.get("cx"), path, "cx"), number(shape.get("cy"), path, "cy")
    if kind == "rect":
        return box_centre(*[number(shape.get(k), path, k) for k in ("x", "y", "width", "height")])
    if kind in ("polygon", "polyline"):
        xs = demand(shape.get("all_points_x"), list, path, "all_points_x")
        ys = demand(shape.get("all_points_y"), list, path, "all_points_y")
        if xs and len(xs) == len(ys):
            return polygon_centre([[number(x, path, "x"), number(y, path, "y")] for x, y in zip(xs, ys)])
    raise AnnotationError(f"annotation {path}: region shape {kind!r} is unknown or empty; export it again")
