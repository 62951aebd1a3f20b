"""GeoJSON of QuPath (https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html).

A FeatureCollection, or a list of features, for each image. ``Point`` and ``MultiPoint`` give dots, polygons and their
multiples one centre a feature. Coordinates are px of the full-resolution image, the origin at its corner. The class is
``properties.classification.name``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.formats.structured import (
    NO_CLASS,
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


@FORMATS.register("geojson")
class GeoJson(Sidecar):
    """QuPath annotations."""

    name = "geojson"
    title = "QuPath GeoJSON"
    suffixes = (".geojson", ".json")

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a feature collection or a list of features."""
        content = peek_json(path)
        if isinstance(content, list) and content:
            content = content[0]
        return isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature")

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of one image."""
        content = load_json(path)
        if isinstance(content, dict):
            content = [content] if content.get("type") == "Feature" else content.get("features")
        xy, classes = [], []
        for feature in demand(content, list, path, "features"):
            geometry = demand(demand(feature, dict, path, "a feature").get("geometry"), dict, path, "geometry")
            for centre in _centres(geometry, path):
                xy.append(centre)
                classes.append(_class(feature.get("properties")))
        return dots_of(xy, classes)

    def write(self, path: Path, record: Record) -> None:
        """Write one MultiPoint annotation a class, which is how QuPath keeps counted points."""
        size_of(record)
        grouped: dict[str, list[list[float]]] = {}
        for x, y, name in positions(record):
            grouped.setdefault(name, []).append([x, y])
        features = []
        for name, xy in grouped.items():
            properties: dict[str, Any] = {"objectType": "annotation"}
            if name != NO_CLASS:
                properties["classification"] = {"name": name}
            geometry = {"type": "MultiPoint", "coordinates": xy}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
        write_json(path, {"type": "FeatureCollection", "features": features})


def _class(properties: Any) -> str:
    named = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(named, dict):
        return str(named.get("name") or "/".join(map(str, named.get("names") or ())))
    return ""


def _centres(geometry: Mapping[str, Any], path: Path) -> Iterator[tuple[float, float]]:
    kind, places = geometry.get("type"), geometry.get("coordinates")
    places = demand(places, list, path, "coordinates")
    if kind == "Point":
        yield _pair(places, path)
    elif kind in ("MultiPoint", "LineString"):
        pairs = [_pair(p, path) for p in places]
        yield from pairs if kind == "MultiPoint" else [polygon_centre(pairs)]
    elif kind in ("Polygon", "MultiPolygon"):
        rings = places if kind == "Polygon" else demand(next(iter(places), None), list, path, "a polygon")
        ring = demand(next(iter(rings), None), list, path, "a ring")
        pairs = [_pair(p, path) for p in ring]
        demand(pairs or None, list, path, "a ring")
        yield polygon_centre(pairs[:-1] if len(pairs) > 1 and pairs[0] == pairs[-1] else pairs)


def _pair(value: Any, path: Path) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) < 2:
        demand(None, list, path, "a position")
    return number(value[0], path, "x"), number(value[1], path, "y")
