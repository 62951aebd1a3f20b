"""Projects of DotDotGoose (https://biodiversityinformatics.amnh.org/open_source/dotdotgoose/): ``.pnt``, which is JSON.

``points`` holds, for each image of the project, the points of each class. Coordinates are positions. Every image of the
project was looked at; one without points holds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.structured import (
    demand,
    dots_of,
    load_json,
    number,
    peek_json,
    positions,
    size_of,
    write_json,
)
from dotcount.data.layout import fixed
from dotcount.data.records import Record


@FORMATS.register("dotdotgoose")
class DotDotGoose(Table):
    """DotDotGoose points."""

    name = "dotdotgoose"
    title = "DotDotGoose project"
    suffixes = (".pnt",)
    filename = "dots.pnt"

    def recognises(self, path: Path) -> bool:
        """Return whether the file is JSON with classes and points."""
        content = peek_json(path)
        return isinstance(content, dict) and isinstance(content.get("points"), dict) and "classes" in content

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        content = demand(load_json(path), dict, path, "the top level")
        listed: list[tuple[str, Listed]] = []
        for name, by_class in demand(content.get("points"), dict, path, "points").items():
            xy, classes = [], []
            for label, points in demand(by_class, dict, path, f"points of {name}").items():
                for point in demand(points, list, path, f"points of {name}, {label}"):
                    place = demand(point, dict, path, f"a point of {name}")
                    xy.append((number(place.get("x"), path, "x"), number(place.get("y"), path, "y")))
                    classes.append(label)
            listed.append((name, Listed(fixed(dots_of(xy, classes)))))
        return listed

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write a project."""
        points: dict[str, dict[str, list[dict[str, float]]]] = {}
        for record in records:
            size_of(record)
            by_class = points.setdefault(record.name, {})
            for x, y, name in positions(record):
                by_class.setdefault(name, []).append({"x": x, "y": y})
        names = sorted({name for by_class in points.values() for name in by_class})
        content: dict[str, Any] = {
            "classes": names,
            "points": points,
            "colors": {name: [222, 60, 60] for name in names},
        }
        coordinates = {name: {"x": "", "y": ""} for name in points}
        content["metadata"] = {"survey_id": "", "coordinates": coordinates}
        content["custom_fields"] = {"fields": [], "data": {}}
        content["ui"] = {
            "grid": {"size": 200, "color": [255, 255, 255]},
            "point": {"radius": 25, "color": [255, 255, 0]},
        }
        write_json(path, content)
