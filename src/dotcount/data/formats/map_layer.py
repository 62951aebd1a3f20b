"""Objects of a map over georeferenced images: GeoPackage, shapefile, KML and GeoJSON in map coordinates.

QGIS, ArcGIS and Google Earth keep dots by their place on the earth, in one layer for many images. Each georeferenced
TIFF beside the layer gets the objects that lie on it, in px (``Georeference.to_pixels``): points as they are, polygons
such as tree crowns by their centre. An image without any was not looked at, as far as the layer tells; only a layer
that is called as an image (``a.gpkg`` beside ``a.tif``) says that there is nothing on it.
"""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
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
from dotcount.geo import (
    WGS84,
    Georeference,
    MapLayer,
    georeference,
    is_georeferenced,
    label_of,
    read_layer,
    transformed,
)

_MAGIC = {".gpkg": (b"SQLite format 3\x00", 0), ".shp": (b"\x00\x00\x27\x0a", 0)}
_TIFF = (".tif", ".tiff")
_IMAGES = ("images", "imgs")  # folders where the images of a layer may lie beside it
_KML = re.compile(r"<([\w.-]+:)?kml\b")
_KML_PARTS = {"Point": 1, "LineString": 2, "Polygon": 3}  # and how many places each has at least
_HEAD = 1 << 16  # bytes at the beginning of KML, which may have long comments
_DIGITS = 6  # of px: between two images a place is in one of them, whatever the last digits
_DEGREES = 0.1  # a pixel as large as that is nothing to count in
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
        if path.suffix.lower() == ".geojson" or not _is_layer(path) or _has_images(path):
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
        own = _beside(path)
        images = own or list(_images(path))
        if not images:
            raise AnnotationError(
                f"annotation {path} is in map coordinates, but no TIFF beside it, or in the folder images, states "
                "where it lies; add GeoTIFFs, or convert the coordinates to px"
            )
        own = own or [image for image in images if fold(image.stem) == fold(path.stem)]
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
        looked_at = own or images
        if not rows and not len(xy):
            raise AnnotationError(f"annotation {path} has no object; call it as the image that has none, or remove it")
        if len(xy) and not seen.any():
            raise AnnotationError(
                f"annotation {path}: none of its {len(xy)} objects lies on one of {len(looked_at)} georeferenced "
                f"images such as {looked_at[0]}; check the reference system of both ({layer.crs[:60]})"
            )
        lost = len(xy) - int(seen.sum())
        self.summary = f"{len(xy):,} objects of {path.name} on {len(rows):,} of {len(looked_at):,} images"
        self.summary += f", {lost:,} of them on none" if lost else ""
        return rows


def is_map_layer(path: Path) -> bool:
    """Return whether a file is in map coordinates, and an image beside it states where it lies; never raises."""
    return _is_layer(path) and _has_images(path)


def _has_images(path: Path) -> bool:
    return bool(_beside(path)) or next(_images(path), None) is not None


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
        return _KML.search(head(path, _HEAD)) is not None
    content = peek_json(path)
    return isinstance(content, dict) and content.get("type") == "FeatureCollection" and _is_map(content, path)


def _is_map(content: dict[str, Any], path: Path) -> bool:
    """Return whether GeoJSON names a reference system, or has degrees and nothing that QuPath writes."""
    if content.get("crs") is not None:
        return True
    features = content.get("features")
    first: Any = features[0] if isinstance(features, list) and features else None
    properties = first.get("properties") if isinstance(first, dict) else None
    named: dict[str, Any] = properties if isinstance(properties, dict) else {}
    if "objectType" in named or isinstance(named.get("classification"), dict):
        return False
    return _in_degrees(features, path)


def _in_degrees(features: Any, path: Path) -> bool:
    """Return whether all positions are fractions of degrees that lie closely together, or on the images as degrees."""
    xy: list[tuple[float, float]] = []
    for feature in features if isinstance(features, list) else []:
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        if geometry is None:
            continue
        places = geometry.get("coordinates") if isinstance(geometry, dict) else None
        while isinstance(places, list) and places and isinstance(places[0], list):
            places = places[0]
        if not isinstance(places, list) or len(places) < 2:
            return False
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in places[:2]):
            return False
        if max(abs(places[0]), abs(places[1])) > 180:
            return False
        xy.append((float(places[0]), float(places[1])))
    found = np.array(xy).reshape(-1, 2)
    if not len(found) or not (np.abs(found) <= (180, 90)).all():
        return False
    if not (found != np.round(found, 2)).any():
        return False
    return bool((np.ptp(found, axis=0) < 1).all()) or _on_earth(found, path)


def _on_earth(degrees: np.ndarray, path: Path) -> bool:
    """Return whether places lie on the images as degrees: most of them where an image is called as the layer."""
    images = _beside(path) or list(_images(path))
    own = [image for image in images if fold(path.name).startswith(fold(image.stem))]
    on = np.zeros(len(degrees), dtype=bool)
    for image in own or images:
        try:
            header = read_header(image)
            place = georeference(image, (header.width, header.height))
            left, bottom, right, top = place.bounds(WGS84) if place is not None else (0.0,) * 4
        except DataError:
            continue
        if right - left < _DEGREES * header.width and top - bottom < _DEGREES * header.height:
            on |= ((degrees >= (left, bottom)) & (degrees <= (right, top))).all(axis=1)
        if on.any() and not own:
            return True
    return bool(on.mean() > 0.5)


def _beside(path: Path) -> list[Path]:
    """Return the georeferenced TIFF called as a layer, if it lies where layers have it; no folder is listed."""
    folders = (path.parent, *(path.absolute().parent.parent / name for name in _IMAGES))
    names = [path.stem + suffix for suffix in (*_TIFF, *(suffix.upper() for suffix in _TIFF))]
    return [folder / name for folder in folders for name in names if _is_placed(folder / name)][:1]


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
            if file.suffix.lower() in _TIFF and _is_placed(folder / file):
                some = True
                yield folder / file
        if some:
            return


def _is_placed(image: Path) -> bool:
    """Return ``is_georeferenced``; a file is opened once for all layers."""
    try:
        state = image.stat()
    except OSError:
        return False
    return _stamped(image, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1 << 16)
def _stamped(image: Path, _time: int, _size: int) -> bool:
    return is_georeferenced(image)


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
        places = np.round(place.to_pixels(xy[near], crs), _DIGITS) + 0.0  # -0 becomes 0
    except DataError as error:
        raise AnnotationError(f"annotation {path}: {error}") from error
    inside = ((places >= 0) & (places < place.size)).all(axis=1)
    on = np.zeros(len(xy), dtype=bool)
    on[near[inside]] = True
    return on, places[inside]


def _require_objects(areas: np.ndarray, crs: str, place: Georeference, path: Path) -> None:
    if not areas.any():  # points
        return
    whole = area_of(transformed(place.to_map(place.outline), place.crs, crs))
    share = areas.max() / max(whole, 1e-300)
    if share > _AREA:
        raise AnnotationError(
            f"annotation {path} has an outline as large as {share:.0%} of an image, which is an area rather than an "
            "object; keep the objects in a layer of their own; areas to count in are regions"
        )


def _read(path: Path) -> MapLayer:
    if path.suffix.lower() == ".kml":
        return _of_kml(path)
    if path.suffix.lower() == ".geojson":
        return _of_geojson(path)
    try:
        _require_whole(path)
        layer = read_layer(path, CLASS_NAMES)
    except DataError as error:
        raise AnnotationError(f"annotation {error}") from error
    if not layer.crs or "undefined" in layer.crs[:40].lower():  # as QGIS and GeoPackage call it
        raise AnnotationError(f"annotation {path} names no reference system; save the layer with one (a .prj file)")
    return layer


def _require_whole(path: Path) -> None:
    """Raise DataError for a shapefile whose table is of other shapes: GDAL reads as many shapes as it has rows."""
    parts = {p.suffix.lower(): p for p in path.parent.glob(f"{glob.escape(path.stem)}.*")}
    if path.suffix.lower() != ".shp" or ".dbf" not in parts or ".shx" not in parts:
        return
    with parts[".dbf"].open("rb") as file:
        rows = int.from_bytes(file.read(8)[4:], "little")
    shapes = (parts[".shx"].stat().st_size - 100) // 8
    if rows != shapes:
        raise DataError(f"{path} has {shapes} shapes, but its .dbf has {rows} rows; save the layer again")


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
        label = next((named[name] for name in CLASS_NAMES if isinstance(named.get(name), (str, int, float))), None)
        labels.append(label_of(label))
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
    labels = []
    for mark in load_xml(path).iter():
        if _tag(mark) != "Placemark":
            continue
        parts = [_kml_part(part, path) for part in mark.iter() if _tag(part) in _KML_PARTS]
        if len(parts) > 1 and all(part.geom_type == "Polygon" for part in parts):
            parts = [shapely.MultiPolygon(parts)]  # one object, as in the other formats
        shapes.extend(parts or [None])
        labels.extend([_kml_label(mark)] * max(len(parts), 1))
    return MapLayer(WGS84, tuple(shapes), tuple(labels))


def _kml_part(part: ElementTree.Element, path: Path) -> Any:
    """Return a point, a line or a polygon of KML; of a polygon the outer ring."""
    import shapely

    kind = _tag(part)
    holder = next((c for c in part.iter() if _tag(c) == "outerBoundaryIs"), part)
    ring = next((c for c in holder.iter() if _tag(c) == "coordinates"), None)
    corners = _coordinates((ring.text or "") if ring is not None else "", path)
    if len(corners) < _KML_PARTS[kind]:
        raise AnnotationError(f"annotation {path} has a {kind} with {len(corners)} places; correct it")
    made = {"Point": shapely.Point, "LineString": shapely.LineString, "Polygon": shapely.Polygon}[kind]
    return made(corners[0] if kind == "Point" else corners)


def _kml_label(mark: ElementTree.Element) -> str:
    """Return the class that the fields of a placemark state (``SimpleData``, or ``Data`` with a ``value``)."""
    named: dict[str, str] = {}
    for field in mark.iter():
        if _tag(field) in ("SimpleData", "Data"):
            value = next((c for c in field if _tag(c) == "value"), field)
            named[str(field.get("name", "")).lower()] = (value.text or "").strip()
    return next((named[name] for name in CLASS_NAMES if named.get(name)), "")


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
        parts = [part for part in getattr(geometry, "geoms", [geometry]) if not part.is_empty]
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
