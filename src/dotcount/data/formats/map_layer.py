"""Objects of a map over georeferenced images: GeoPackage, shapefile, KML and GeoJSON in map coordinates.

QGIS, ArcGIS and Google Earth keep dots by their place on the earth, in one layer for many images. Each georeferenced
TIFF beside the layer gets the objects that lie on it, in px (``Georeference.to_pixels``): points as they are, polygons
such as tree crowns by their centre. An image without any was not looked at, as far as the layer tells; only a layer
that is called as an image (``a.gpkg`` beside ``a.tif``) says that there is nothing on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table, head
from dotcount.data.formats.columns import CLASS_NAMES
from dotcount.data.formats.outlines import Shape, area_of, find_regions
from dotcount.data.formats.structured import demand, dots_of, load_json, load_xml, number, peek_json, polygon_centre
from dotcount.data.images import read_header
from dotcount.data.layout import fixed
from dotcount.data.listing import list_files
from dotcount.data.resolver import fold
from dotcount.errors import AnnotationError, DataError, ImageReadError
from dotcount.geo import WGS84, Georeference, MapLayer, georeference, is_georeferenced, read_layer

_MAGIC = {".gpkg": (b"SQLite format 3\x00", 0), ".shp": (b"\x00\x00\x27\x0a", 0)}
_TIFF = (".tif", ".tiff")
_IMAGES = ("images", "imgs")  # folders where the images of a layer may lie beside it
_AREA = 0.5  # share of an image from which an outline is an area rather than an object


@FORMATS.register("map_layer")
class MapLayers(Table):
    """One layer of objects over georeferenced images."""

    name = "map_layer"
    title = "layer of a map"
    suffixes = (".gpkg", ".shp", ".kml", ".geojson")
    filename = "objects.gpkg"
    writable = False
    absent = "unlabelled"
    priority = -10  # after the formats with a file for each image: beside those, a layer is often of areas

    def recognises(self, path: Path) -> bool:
        """Return whether the file is in map coordinates, and an image beside it states where it lies."""
        return is_map_layer(path)

    def objection(self, path: Path) -> str | None:
        """Say what a layer lacks."""
        if path.suffix.lower() == ".geojson" or not _is_layer(path) or next(_images(path), None) is not None:
            return None
        return "it is in map coordinates, but no TIFF beside it states where it lies; add GeoTIFFs, or convert it to px"

    def read(self, path: Path) -> Rows:
        """Return the objects on each image beside the layer that holds some."""
        layer = _read(path)
        shapes, without = _shapes(layer, path)
        regions = find_regions(shapes, path)
        kept = [shape for shape in shapes if shape.index not in regions]
        xy = np.array([centre for shape in kept for centre in shape.centres]).reshape(-1, 2)
        labels = np.array([shape.label for shape in kept for _ in shape.centres], dtype=object)
        areas = np.array([area_of(shape.outline) for shape in kept for _ in shape.centres])
        images = list(_images(path))
        if not images:
            raise AnnotationError(
                f"annotation {path} is in map coordinates, but no TIFF beside it, or in the folder images, states "
                "where it lies; add GeoTIFFs, or convert the coordinates to px"
            )
        own = [image for image in images if fold(image.stem) == fold(path.stem)]
        rows, seen = [], np.zeros(len(xy), dtype=bool)
        for image in own or images:
            try:
                header = read_header(image)
            except ImageReadError:  # it becomes a record with this error
                continue
            size = (header.width, header.height)
            place = _place(image, size, path)
            if place is None:
                continue
            on, places = _on_image(xy, layer.crs, place, path)
            if not (on.any() or own):
                continue
            _require_objects(areas[on], layer.crs, place, path)
            seen |= on
            dots = dots_of([tuple(p) for p in places.tolist()], labels[on].tolist())
            left = Counter({"region around objects": len(regions), "feature without a shape": without})
            notes = tuple(f"{n} x {what} in the whole layer" for what, n in left.items() if n)
            dots = replace(dots, left_out=notes, px=True)
            rows.append((_name(image, path), Listed(fixed(dots), size=size)))
        if not rows:
            raise AnnotationError(
                f"annotation {path}: none of its {len(xy)} objects lies on one of {len(images)} georeferenced images "
                f"such as {images[0]}; check the reference system of both ({layer.crs[:60]})"
            )
        lost = len(xy) - int(seen.sum())
        self.summary = f"{len(xy):,} objects of {path.name} on {len(rows):,} of {len(own or images):,} images"
        self.summary += f", {lost:,} of them on none" if lost else ""
        return rows


def is_map_layer(path: Path) -> bool:
    """Return whether a file is in map coordinates, and an image beside it states where it lies; never raises."""
    return _is_layer(path) and next(_images(path), None) is not None


def _is_layer(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in _MAGIC:
        magic, at = _MAGIC[suffix]
        try:
            with path.open("rb") as file:
                return file.read(at + len(magic))[at:] == magic
        except OSError:
            return False
    if suffix == ".kml":
        return "<kml" in head(path)
    content = peek_json(path)
    return isinstance(content, dict) and content.get("type") == "FeatureCollection" and _is_map(content)


def _is_map(content: dict[str, Any]) -> bool:
    """Return whether GeoJSON names a reference system, or has degrees and nothing that QuPath writes."""
    if content.get("crs") is not None:
        return True
    features = content.get("features")
    first: Any = features[0] if isinstance(features, list) and features else None
    properties = first.get("properties") if isinstance(first, dict) else None
    if isinstance(properties, dict) and ("objectType" in properties or "classification" in properties):
        return False
    return _in_degrees(features)


def _in_degrees(features: Any) -> bool:
    """Return whether all positions are fractions of degrees that lie closely together."""
    xy: list[tuple[float, float]] = []
    for feature in features if isinstance(features, list) else []:
        places = (feature.get("geometry") or {}).get("coordinates") if isinstance(feature, dict) else None
        while isinstance(places, list) and places and isinstance(places[0], list):
            places = places[0]
        if not isinstance(places, list) or len(places) < 2:
            return False
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in places[:2]):
            return False
        xy.append((float(places[0]), float(places[1])))
    found = np.array(xy).reshape(-1, 2)
    if not len(found) or not (np.abs(found) <= (180, 90)).all():
        return False
    return bool((np.ptp(found, axis=0) < 1).all() and (found != np.round(found, 2)).any())


def _images(path: Path) -> Iterator[Path]:
    """Yield the georeferenced TIFFs below the folder of a layer; without any those of the folder images beside it."""
    above = path.absolute().parent.parent
    for folder in (path.parent, *(above / name for name in _IMAGES)):
        some = False
        try:
            files = list_files(folder).files if folder.is_dir() else []
        except DataError:  # results of this package
            files = []
        for file in files:
            if file.suffix.lower() in _TIFF and is_georeferenced(folder / file):
                some = True
                yield folder / file
        if some:
            return


def _name(image: Path, path: Path) -> str:
    """Return the image as a table would name it."""
    root = path.parent if image.is_relative_to(path.parent) else path.absolute().parent.parent
    return image.relative_to(root).as_posix()


def _place(image: Path, size: tuple[int, int], path: Path) -> Georeference | None:
    try:
        return georeference(image, size)
    except DataError as error:
        raise AnnotationError(f"annotation {path}: {error}") from error


def _on_image(xy: np.ndarray, crs: str, place: Georeference, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) which places lie on an image, and those in px."""
    try:
        left, bottom, right, top = place.bounds(crs)
        wide, high = (right - left) / 10, (top - bottom) / 10  # the outline is sampled
        near = np.flatnonzero(((xy >= (left - wide, bottom - high)) & (xy <= (right + wide, top + high))).all(axis=1))
        places = place.to_pixels(xy[near], crs)
    except DataError as error:
        raise AnnotationError(f"annotation {path}: {error}") from error
    inside = ((places >= 0) & (places < place.size)).all(axis=1)
    on = np.zeros(len(xy), dtype=bool)
    on[near[inside]] = True
    return on, places[inside]


def _require_objects(areas: np.ndarray, crs: str, place: Georeference, path: Path) -> None:
    left, bottom, right, top = place.bounds(crs)
    share = areas.max(initial=0.0) / max((right - left) * (top - bottom), 1e-300)
    if share > _AREA:
        raise AnnotationError(
            f"annotation {path} has an outline as large as {share:.0%} of an image, which is an area rather than an "
            "object; keep the objects in a layer of their own, and count in areas with --regions"
        )


def _read(path: Path) -> MapLayer:
    if path.suffix.lower() == ".kml":
        return _of_kml(path)
    if path.suffix.lower() == ".geojson":
        return _of_geojson(path)
    try:
        layer = read_layer(path, CLASS_NAMES)
    except DataError as error:
        raise AnnotationError(f"annotation {error}") from error
    if not layer.crs:
        raise AnnotationError(f"annotation {path} names no reference system; save the layer with one (a .prj file)")
    return layer


def _of_geojson(path: Path) -> MapLayer:
    content = demand(load_json(path), dict, path, "GeoJSON")
    crs = content.get("crs")
    if crs is not None:
        properties = demand(demand(crs, dict, path, "crs").get("properties"), dict, path, "the properties of its crs")
        crs = demand(properties.get("name"), str, path, "the name of its crs")
    shapes, labels = [], []
    for feature in demand(content.get("features"), list, path, "features"):
        geometry = demand(feature, dict, path, "a feature").get("geometry")
        shapes.append(None if geometry is None else _geometry(demand(geometry, dict, path, "a geometry"), path))
        properties = feature.get("properties")
        named = {str(k).lower(): v for k, v in properties.items()} if isinstance(properties, dict) else {}
        label = next((named[name] for name in CLASS_NAMES if isinstance(named.get(name), (str, int))), "")
        labels.append(str(label))
    return MapLayer(crs or WGS84, tuple(shapes), tuple(labels))


def _geometry(geometry: dict[str, Any], path: Path) -> Any:
    import shapely
    import shapely.errors
    import shapely.geometry

    try:
        return shapely.force_2d(shapely.geometry.shape(geometry))
    except (shapely.errors.ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        detail = " ".join(str(error).split())[:80]
        raise AnnotationError(f"annotation {path}: a geometry can't be read ({detail}); export it again") from error


def _of_kml(path: Path) -> MapLayer:
    """Return the placemarks of KML, whose coordinates are longitude, latitude."""
    import shapely

    shapes: list[Any] = []
    for mark in load_xml(path).iter():
        if _tag(mark) != "Placemark":
            continue
        before = len(shapes)
        for part in mark.iter():
            if _tag(part) in ("Point", "Polygon", "LineString"):
                ring = next((c for c in part.iter() if _tag(c) == "coordinates"), None)  # of polygons the outer one
                corners = _coordinates((ring.text or "") if ring is not None else "", path)
                few = len(corners) < {"Point": 1, "LineString": 2, "Polygon": 3}[_tag(part)]
                if few:
                    raise AnnotationError(
                        f"annotation {path} has a {_tag(part)} with {len(corners)} places; correct it"
                    )
                kind = {"Point": shapely.Point, "LineString": shapely.LineString, "Polygon": shapely.Polygon}[
                    _tag(part)
                ]
                shapes.append(kind(corners[0] if _tag(part) == "Point" else corners))
        if len(shapes) == before:
            shapes.append(None)
    return MapLayer(WGS84, tuple(shapes), ("",) * len(shapes))


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2].rpartition(":")[2]


def _coordinates(text: str, path: Path) -> list[tuple[float, float]]:
    places = []
    for triple in text.split():
        parts = triple.split(",")
        if len(parts) < 2:
            raise AnnotationError(f"annotation {path} has the coordinates {triple[:40]!r}; write longitude,latitude")
        places.append((number(parts[0], path, "a longitude"), number(parts[1], path, "a latitude")))
    return places


def _shapes(layer: MapLayer, path: Path) -> tuple[list[Shape], int]:
    """Return the objects of a layer, and the number of features without a shape."""
    shapes, without = [], 0
    for k, (geometry, label) in enumerate(zip(layer.shapes, layer.labels)):
        if geometry is None or geometry.is_empty:
            without += 1
            continue
        parts = list(getattr(geometry, "geoms", [geometry]))
        kinds = {part.geom_type for part in parts}
        if kinds == {"Point"}:
            centres, outline = [(part.x, part.y) for part in parts], np.zeros((0, 2))
        elif kinds == {"Polygon"}:
            outline = max((np.array(part.exterior.coords)[:-1, :2] for part in parts), key=area_of)
            centres = [polygon_centre(outline.tolist())]
        else:
            raise AnnotationError(
                f"annotation {path} has a feature of the kind {geometry.geom_type}, which is no object; save a layer "
                "of points or polygons"
            )
        if not np.isfinite(centres).all():
            raise AnnotationError(f"annotation {path}: feature {k + 1} has coordinates that are no numbers; correct it")
        shapes.append(Shape(centres, outline, label, "", k))
    return shapes, without
