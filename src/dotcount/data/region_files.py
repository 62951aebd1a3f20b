"""Regions drawn in other programs: GeoJSON (also QuPath's), ImageJ selections, COCO polygons; one file or a folder.

Which images a region belongs to is what the file says: COCO names the image of each polygon; a GeoJSON feature may, in
its property ``image``. Regions that name none belong to every image, or, in a folder of region files, to the image that
the file has its name from (``a.geojson``, ``a.png.geojson`` or ``a.zip`` for ``a.png``). Where several files have that
name, each belongs to the image in the folder of the same name.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from dotcount.data.formats.imagej import selections
from dotcount.data.formats.structured import demand, identity, load_json, number
from dotcount.errors import AnnotationError, DataError, InputError
from dotcount.files import nearest
from dotcount.regions import Region, require_area

if TYPE_CHECKING:
    from dotcount.geo import Georeference

EVERY = ""
"""Stands for all images, where a region names none."""

_SUFFIXES = (".geojson", ".json", ".roi", ".zip")
_SPECK = 3.0
"""Side in px up to which a set of regions is taken for degrees, if those lie on the image."""
_CORNERS = 256
"""Corners of the polygon that stands for an ellipse; its area is 0.01 % too small."""


@dataclass(frozen=True)
class RegionSet:
    """Regions by image.

    Attributes
    ----------
    path
        The file or folder.
    title
        What it is, for people.
    by_image
        Name of the image, or :data:`EVERY`, and its regions.
    crs
        The reference system of the coordinates by image, where the file names one; others are as they stand.
    left_out
        What the file holds that is no region: (number, kind).

    Examples
    --------
    >>> left = Region("left", [[[(0, 0), (8, 0), (8, 8)]]])
    >>> RegionSet(Path("r.json"), "COCO JSON", {"a.png": (left,)}, {}).of("b.png")
    ((), None)
    """

    path: Path
    title: str
    by_image: Mapping[str, tuple[Region, ...]]
    crs: Mapping[str, str]
    left_out: tuple[tuple[int, str], ...] = ()

    def digest(self) -> str:
        """Return a digest of all regions."""
        digest = hashlib.sha256(repr(sorted(self.crs.items())).encode())
        for image, regions in self.by_image.items():
            for region in regions:
                digest.update(f"{image}\0{region.name}\0".encode())
                for ring in (ring for rings in region.polygons for ring in rings):
                    digest.update(ring.tobytes())
        return digest.hexdigest()

    def of(self, name: str) -> tuple[tuple[Region, ...], str | None]:
        """Return the regions of an image, which is called ``name`` or ``folder/name``, and their reference system."""
        key = self.named(name)
        return self.by_image.get(key, ()), self.crs.get(key)

    def named(self, name: str) -> str:
        """Return what the regions of an image call it; :data:`EVERY` where they do not name it."""
        return next((key for key in _keys(name) if key in self.by_image), EVERY)

    def shared(self, names: Iterable[str]) -> dict[str, int]:
        """Return the names of regions that stand for several of the images called so, and for how many.

        Examples
        --------
        >>> left = Region("left", [[[(0, 0), (8, 0), (8, 8)]]])
        >>> RegionSet(Path("r.json"), "COCO JSON", {"a.png": (left,)}, {}).shared(["x/a.png", "y/a.png", "b.png"])
        {'a.png': 2}
        """
        used = Counter(map(self.named, names))
        return {key: number for key, number in used.items() if key != EVERY and number > 1}

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the images that regions are drawn in and that are none of those called so.

        Examples
        --------
        >>> left = Region("left", [[[(0, 0), (8, 0), (8, 8)]]])
        >>> RegionSet(Path("r.json"), "COCO JSON", {"a.png": (left,), "c.png": (left,)}, {}).missing(["x/a.png"])
        ['c.png']
        """
        known = {key for name in names for key in _keys(name)}
        return [key for key in self.by_image if key != EVERY and not {key, key.partition("#")[0]} & known]


def _keys(name: str) -> tuple[str, ...]:
    """Return what an image may be called in a file of regions, from the most to the least definite."""
    path = PurePosixPath(name)
    return (name, name.partition("#")[0], path.with_suffix("").as_posix(), path.name, path.stem)


def read_regions(path: str | Path) -> RegionSet:
    """Read regions from a file, or from a folder with a file for each image.

    Parameters
    ----------
    path
        GeoJSON, ImageJ ``.roi`` or ``.zip``, COCO JSON, or a folder of GeoJSON and ImageJ files.

    Raises
    ------
    DataError
        If there is nothing, or no region in it.
    AnnotationError
        If the file can't be read; the message names it and what to do.

    Examples
    --------
    >>> from pathlib import Path
    >>> ring = "[[0, 0], [8, 0], [8, 8], [0, 0]]"
    >>> shape = '{"type": "Polygon", "coordinates": [' + ring + "]}"
    >>> feature = '{"type": "Feature", "properties": {"name": "plot 7"}, "geometry": ' + shape + "}"
    >>> _ = Path("plots.geojson").write_text(feature)
    >>> regions, crs = read_regions("plots.geojson").of("a.png")
    >>> regions[0].name, crs
    ('plot 7', None)
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"regions {path} do not exist; check the path.{nearest(path)}")
    found = _folder(path) if path.is_dir() else _file(path)
    if not any(found.by_image.values()):
        raise DataError(f"regions {path}: no region is in it; draw polygons, and save them as GeoJSON or ImageJ ROI")
    return found


def _folder(folder: Path) -> RegionSet:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    by_image: dict[str, tuple[Region, ...]] = {}
    crs: dict[str, str] = {}
    left_out: list[tuple[int, str]] = []
    stems = Counter(file.stem for file in files)
    for file in files:
        one, key = _file(file), file.stem
        if stems[key] > 1:  # which of them is told by its folder
            key = file.relative_to(folder).with_suffix("").as_posix()
        if key in by_image:
            raise DataError(f"regions {folder}: two files are named after image {key}; keep one of them")
        if set(one.by_image) - {EVERY}:
            raise DataError(f"regions {file} name images of their own; give this file alone")
        by_image[key] = one.by_image.get(EVERY, ())
        crs |= {key: one.crs[EVERY]} if EVERY in one.crs else {}
        left_out += one.left_out
    return RegionSet(folder, f"{len(files):,} files of regions", by_image, crs, tuple(left_out))


def _file(path: Path) -> RegionSet:
    if path.suffix.lower() in (".roi", ".zip"):
        return _imagej(path)
    content = load_json(path)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _coco(path, content)
    return _geojson(path, content)


def _geojson(path: Path, content: Any) -> RegionSet:
    crs = _crs_of(content, path)
    if isinstance(content, dict):
        features = content.get("features")
        if content.get("type") == "Feature":
            features = [content]
        elif content.get("type") in ("Polygon", "MultiPolygon", "GeometryCollection"):
            features = [{"geometry": content}]
    else:
        features = content
    grouped: dict[str, list[Region]] = {}
    other = 0
    for k, feature in enumerate(demand(features, list, path, "features"), 1):
        properties = demand(feature, dict, path, "a feature").get("properties") or {}
        geometry = feature.get("geometry")  # absent of a feature that is nowhere
        polygons = _polygons(demand(geometry, dict, path, "geometry"), path) if geometry is not None else []
        if not polygons:
            other += 1
            continue
        image = str(properties.get("image") or EVERY)
        grouped.setdefault(image, []).append(_region(_name(properties, feature, k), polygons, path))
    left = ((other, "points, lines or empty shapes, which are no regions"),) if other else ()
    systems = dict.fromkeys(grouped, crs) if crs is not None else {}
    return RegionSet(path, "GeoJSON", {k: tuple(v) for k, v in grouped.items()}, systems, left)


def _region(name: str, polygons: Sequence[Sequence[Any]], path: Path) -> Region:
    try:
        return require_area(Region(name, polygons))
    except InputError as error:
        raise AnnotationError(f"regions {path}: {error}") from error


def _name(properties: Mapping[str, Any], feature: Mapping[str, Any], k: int) -> str:
    classified = properties.get("classification")
    named = classified.get("name") if isinstance(classified, dict) else None
    for value in (properties.get("name"), properties.get("Name"), named, feature.get("id"), properties.get("id")):
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return f"region {k}"


def _crs_of(content: Any, path: Path) -> str | None:
    """Return the name of the reference system that a GeoJSON file states."""
    stated = content.get("crs") if isinstance(content, dict) else None
    if stated is None:
        return None
    properties = stated.get("properties") if isinstance(stated, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    return str(demand(name, str, path, "the name of its crs"))


def _polygons(geometry: Mapping[str, Any], path: Path) -> list[list[np.ndarray]]:
    kind, places = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        parts = demand(geometry.get("geometries"), list, path, "geometries")
        return [ring for part in parts for ring in _polygons(demand(part, dict, path, "a geometry"), path)]
    if kind not in ("Polygon", "MultiPolygon"):
        return []
    demand(places, list, path, "coordinates")
    polygons: list[Any] = [places] if kind == "Polygon" else list(places or ())
    return [[_corners(ring, path) for ring in demand(polygon, list, path, "a polygon")] for polygon in polygons]


def _corners(ring: Any, path: Path) -> np.ndarray:
    pairs = []
    for place in demand(ring, list, path, "a ring"):
        if not isinstance(place, list) or len(place) < 2:
            demand(None, list, path, "a position")
        pairs.append((number(place[0], path, "x"), number(place[1], path, "y")))
    return np.array(pairs).reshape(-1, 2)


def _coco(path: Path, content: Mapping[str, Any]) -> RegionSet:
    images = {
        identity(demand(image, dict, path, "an image").get("id"), path, "id of an image"): image
        for image in demand(content.get("images"), list, path, "images")
    }
    categories = {
        identity(demand(c, dict, path, "a category").get("id"), path, "id of a category"): str(c.get("name", ""))
        for c in content.get("categories") or []
    }
    grouped: dict[str, list[Region]] = {}
    other = 0
    for k, annotation in enumerate(content["annotations"], 1):
        owner = identity(demand(annotation, dict, path, "an annotation").get("image_id"), path, "image_id")
        image = images.get(owner, {}).get("file_name")
        if not isinstance(image, str):
            raise AnnotationError(f"regions {path}: annotation {k} has an image_id that no image has; restore it")
        rings = annotation.get("segmentation")
        if not isinstance(rings, list) or not rings:
            other += 1
            continue
        flat = [[number(value, path, "a coordinate") for value in demand(r, list, path, "a polygon")] for r in rings]
        if any(len(values) % 2 for values in flat):
            raise AnnotationError(f"regions {path}: annotation {k} has an odd number of coordinates; export it again")
        polygons = [[np.array(values).reshape(-1, 2)] for values in flat]
        kind = annotation.get("category_id")
        name = categories.get(identity(kind, path, "category_id"), "") if kind is not None else ""
        grouped.setdefault(image, []).append(_region(name or f"region {k}", polygons, path))
    left = ((other, "annotations without a polygon"),) if other else ()
    return RegionSet(path, "COCO JSON", {k: tuple(v) for k, v in grouped.items()}, {}, left)


def _imagej(path: Path) -> RegionSet:
    regions, other = [], 0
    for k, roi in enumerate(selections(path), 1):
        polygons = list(_outlines(roi))
        if polygons:
            regions.append(_region((roi.name or "").strip() or f"region {k}", polygons, path))
        else:
            other += 1
    left = ((other, "points, lines or labels, which are no regions"),) if other else ()
    return RegionSet(path, "ImageJ ROI", {EVERY: tuple(regions)}, {}, left)


def _outlines(roi: Any) -> Iterator[list[np.ndarray]]:
    """Yield the polygons of a selection; of points, lines and labels none."""
    from roifile import ROI_TYPE

    kind = roi.roitype
    if roi.composite and roi.multi_coordinates is not None:
        yield from _even_odd(roi.coordinates(multi=True))
    elif kind in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        box = (roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top)
        if roi.subpixelrect:
            box = (roi.xd, roi.yd, roi.widthd, roi.heightd)
        left, top, width, height = map(float, box)
        if kind == ROI_TYPE.RECT:
            corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=np.float64)
        else:
            angle = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
            corners = np.stack([np.cos(angle) + 1, np.sin(angle) + 1], axis=1) / 2
        yield [corners * (width, height) + (left, top)]
    elif kind in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        yield [np.asarray(roi.coordinates(), dtype=np.float64).reshape(-1, 2)]


def _even_odd(rings: Sequence[Any]) -> Iterator[list[np.ndarray]]:
    """Yield the polygons of a composite selection, in which what is enclosed twice is a hole."""
    import shapely

    shape = shapely.MultiPolygon()
    for ring in rings:
        corners = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
        if len(corners) >= 3:
            shape = shapely.symmetric_difference(shape, shapely.make_valid(shapely.Polygon(corners)))
    for part in shapely.get_parts(shape):
        if part.geom_type == "Polygon" and not part.is_empty:
            yield [np.asarray(ring.coords)[:, :2] for ring in (part.exterior, *part.interiors)]


def placed(
    regions: Sequence[Region], crs: str | None, place: Georeference | None, size: tuple[int, int]
) -> tuple[tuple[Region, ...], str | None]:
    """Return regions in px of an image, and in words how map coordinates were understood.

    Coordinates of maps are those of a file that names its reference system; and, in an image that has a place on the
    earth, longitudes and latitudes or coordinates of the image's own system that lie where it does and do not fit its
    pixels. All others are px.

    Parameters
    ----------
    regions, crs
        As :meth:`RegionSet.of` returns them.
    place
        The :class:`dotcount.geo.Georeference` of the image, or None.
    size
        (width, height) of the image, px.

    Raises
    ------
    DataError
        If the file names a reference system and the image has none.
    """
    if not regions:
        return (), None
    if crs is not None and place is None:
        raise DataError(f"regions are in map coordinates ({crs}), but the image is not georeferenced; draw them in px")
    if place is None:
        return tuple(regions), None
    xy = np.concatenate([ring for region in regions for rings in region.polygons for ring in rings])
    named = crs
    if crs is None:
        crs, named = _guessed(xy, place, size)
        if crs is None:
            return tuple(regions), None
    mapped = tuple(region.moved(lambda ring: place.to_pixels(ring, crs)) for region in regions)
    return mapped, f"regions are in map coordinates ({named})"


def _guessed(xy: np.ndarray, place: Georeference, size: tuple[int, int]) -> tuple[str | None, str]:
    """Return the reference system of coordinates that name none; ``None``: they are px."""
    from dotcount.geo import WGS84

    low, high = xy.min(axis=0), xy.max(axis=0)

    def meet(left: float, bottom: float, right: float, top: float) -> bool:
        return bool(low[0] < right and high[0] > left and low[1] < top and high[1] > bottom)

    # What meets the image as px is px, unless it would be a speck there.
    if meet(0, 0, *size) and (high - low).max() > _SPECK:
        return None, ""
    for crs, name in ((WGS84, "longitude and latitude"), (place.crs, "the system of the image")):
        if meet(*place.bounds(crs)):
            return crs, name
    return None, ""
