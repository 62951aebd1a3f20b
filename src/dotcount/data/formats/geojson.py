"""GeoJSON of QuPath (https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html).

A FeatureCollection, or a list of features, for each image. ``Point`` and ``MultiPoint`` give dots, polygons and their
multiples one centre a feature. Coordinates are px of the full-resolution image, the origin at its corner. The class is
``properties.classification.name``. Maps over georeferenced images are the format ``map_layer``.

A polygon around other objects is a region, not an object: annotations beside detections, and outlines that hold several
others or one far smaller, are left out and reported. GeoJSON of maps is refused: its coordinates are degrees or metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.formats.map_layer import is_map_layer
from dotcount.data.formats.outlines import Shape, area_of, find_regions
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
from dotcount.errors import AnnotationError


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
        known = isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature")
        return known and not is_map_layer(path)

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of one image."""
        content = whole = load_json(path)
        if isinstance(content, dict):
            content = [content] if content.get("type") == "Feature" else content.get("features")
        shapes = []
        for k, feature in enumerate(demand(content, list, path, "features")):
            geometry = demand(demand(feature, dict, path, "a feature").get("geometry"), dict, path, "geometry")
            properties = feature.get("properties")
            shapes.append(
                Shape(_centres(geometry, path), _outline(geometry, path), _class(properties), _kind(properties), k)
            )
        require_pixels(whole, shapes, path)
        objects = [s for s in shapes if s.kind != "tile"]
        tiles = len(shapes) - len(objects)
        if tiles and not objects:
            raise AnnotationError(
                f"annotation {path} has nothing but tiles, which are no objects; export the detections or annotations"
            )
        shapes = objects
        regions = find_regions(shapes, path)
        kept = [s for s in shapes if s.index not in regions]
        counted = ((len(regions), "region around objects"), (tiles, "tile"))
        left_out = tuple(f"{number} x {what}" for number, what in counted if number)
        dots = dots_of([c for s in kept for c in s.centres], [s.label for s in kept for _ in s.centres])
        return replace(dots, left_out=left_out, planes=_planes(content, path))

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


def _planes(features: Sequence[Mapping[str, Any]], path: Path) -> tuple[int, ...]:
    """Return the page, from 0, that QuPath's objects say they are of; AnnotationError if they are of several."""
    planes = [p for f in features if isinstance(p := f["geometry"].get("plane"), dict)]
    found = {tuple(int(number(p.get(k) or 0, path, k)) for k in ("z", "t")) for p in planes}
    if len(found) > 1:
        raise AnnotationError(
            f"annotation {path} has objects in {len(found)} planes of a stack; save each plane as an image, with the "
            "objects of that plane"
        )
    z, t = next(iter(found), (0, 0))
    return () if not found else (-1,) if z and t else (z or t,)


def _class(properties: Any) -> str:
    named = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(named, dict):
        return str(named.get("name") or "/".join(map(str, named.get("names") or ())))
    return ""


def _kind(properties: Any) -> str:
    kind = properties.get("objectType") or properties.get("object_type") if isinstance(properties, dict) else None
    return str(kind or "").lower()


def require_pixels(content: Any, shapes: Sequence[Shape], path: Path) -> None:
    """Refuse coordinates of maps: those of a file that names their system, and those that look like degrees."""
    remedy = "convert the coordinates to px of the image, or put georeferenced TIFFs beside it"
    if isinstance(content, dict) and content.get("crs") is not None:
        raise AnnotationError(f"annotation {path} has map coordinates (it names a crs); {remedy}")
    xy = np.array([c for s in shapes for c in s.centres]).reshape(-1, 2)
    if len(xy) < 2 or any(s.kind or s.label for s in shapes) or not np.isfinite(xy).all():
        return
    degrees = bool((np.abs(xy) <= (180, 90)).all()) and bool((np.ptp(xy, axis=0) < 1).all())
    if degrees and bool((xy != np.round(xy, 2)).any()):
        x, y = xy[0]
        raise AnnotationError(
            f"annotation {path}: all {len(xy)} objects lie within 1 x 1 around ({x:g}, {y:g}), which looks like "
            f"longitude and latitude; {remedy}"
        )


def _outline(geometry: Mapping[str, Any], path: Path) -> np.ndarray:
    """Return the outer ring of a polygon, of several the largest; empty for other geometries."""
    places = demand(geometry.get("coordinates"), list, path, "coordinates")
    polygons = {"Polygon": [places], "MultiPolygon": places}.get(str(geometry.get("type")), [])
    rings = []
    for polygon in polygons:
        ring = demand(next(iter(demand(polygon, list, path, "a polygon")), None), list, path, "a ring")
        pairs = [_pair(p, path) for p in ring]
        demand(pairs or None, list, path, "a ring")
        rings.append(np.array(pairs[:-1] if len(pairs) > 1 and pairs[0] == pairs[-1] else pairs))
    if polygons == [] and geometry.get("type") == "MultiPolygon":
        demand(None, list, path, "a polygon")
    return max(rings, key=area_of, default=np.zeros((0, 2)))


def _centres(geometry: Mapping[str, Any], path: Path) -> list[tuple[float, float]]:
    kind, places = geometry.get("type"), demand(geometry.get("coordinates"), list, path, "coordinates")
    if kind == "Point":
        return [_pair(places, path)]
    if kind == "MultiPoint":
        return [_pair(p, path) for p in places]
    if kind == "LineString" and places:
        return [polygon_centre([_pair(p, path) for p in places])]
    if kind in ("Polygon", "MultiPolygon"):
        return [polygon_centre(_outline(geometry, path).tolist())]
    raise AnnotationError(
        f"annotation {path}: geometry {str(kind)[:40]!r} is unknown or empty; export points or polygons"
    )


def _pair(value: Any, path: Path) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) < 2:
        demand(None, list, path, "a position")
    return number(value[0], path, "x"), number(value[1], path, "y")
