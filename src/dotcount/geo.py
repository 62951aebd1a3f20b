"""Where on the earth an image lies, and layers of maps; the only user of rasterio and pyogrio (extra ``geo``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from dotcount.errors import DataError, OutputError
from dotcount.points import FloatArray

Affine = tuple[float, float, float, float, float, float]
WGS84 = "OGC:CRS84"
"""Longitude and latitude, in this order, as GeoJSON has them (RFC 7946)."""

_BAND = 1024
"""Rows of a grid that are written at a time."""

_ALONG = 17
"""Points along each side of an image where it is projected."""

_STORED = {
    2: (-1, 0, 1, 0, 1, 0), 3: (-1, 0, 1, 0, -1, 1), 4: (1, 0, 0, 0, -1, 1), 5: (0, 1, 0, 1, 0, 0),
    6: (0, 1, 0, -1, 0, 1), 7: (0, -1, 1, -1, 0, 1), 8: (0, -1, 1, 1, 0, 0),
}  # fmt: skip
"""By the orientation of a TIFF how its stored pixels follow from those shown: as a transform, in sides of the image."""

_ORIENTATION, _KEYS = 274, 34735  # tags of a TIFF; the second is the GeoKeyDirectory
_TRANSFORMS = (33550, 33922, 34264)  # scale, tie points, transformation

_MISSING = "needs the extra geo; install it with: pip install 'dotcount[geo]'"


@dataclass(frozen=True)
class Georeference:
    """The place of an image on the earth.

    Attributes
    ----------
    crs
        Coordinate reference system as WKT, which also holds those without an EPSG code.
    transform
        (a, b, c, d, e, f): pixel (x, y), from the corner of the image, lies at (a x + b y + c, d x + e y + f).
    size
        (width, height) of the image, px.

    Examples
    --------
    >>> utm = Georeference("EPSG:32611", (0.6, 0.0, 400_000.0, 0.0, -0.6, 3_770_000.0), (100, 50))
    >>> utm.to_map([[10.0, 20.0]]).tolist()
    [[400006.0, 3769988.0]]
    >>> round(utm.resolution, 3), round(utm.area)
    (0.6, 1801)
    """

    crs: str
    transform: Affine
    size: tuple[int, int]

    def to_map(self, xy: npt.ArrayLike) -> FloatArray:
        """Return (n, 2) px as coordinates of the reference system."""
        x, y = np.asarray(xy, dtype=np.float64).reshape(-1, 2).T
        a, b, c, d, e, f = self.transform
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    def to_pixels(self, xy: npt.ArrayLike, crs: str | None = None) -> FloatArray:
        """Return (n, 2) coordinates of the reference system ``crs``, absent that of the image, in px."""
        places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        if crs is not None:
            places = transformed(places, crs, self.crs)
        a, b, c, d, e, f = self.transform
        x, y = (places - (c, f)).T
        det = a * e - b * d
        return np.stack([(e * x - b * y) / det, (a * y - d * x) / det], axis=1)

    def to_wgs84(self, xy: npt.ArrayLike) -> FloatArray:
        """Return (n, 2) px as (longitude, latitude), degrees."""
        return transformed(self.to_map(xy), self.crs, WGS84)

    @property
    def outline(self) -> FloatArray:
        """(k, 2) px along the border of the image."""
        width, height = self.size
        along = np.linspace(0.0, 1.0, _ALONG)[:-1]
        zero, one = np.zeros_like(along), np.ones_like(along)
        corners = [(along, zero), (one, along), (1 - along, one), (zero, 1 - along)]
        return np.concatenate([np.stack(pair, axis=1) for pair in corners]) * (width, height)

    @cached_property
    def area(self) -> float:
        """The area of the image on the ground, m^2, in an equal-area projection around its centre."""
        centre = self.to_wgs84([[self.size[0] / 2, self.size[1] / 2]])[0].tolist()
        local = f"+proj=laea +lon_0={centre[0]!r} +lat_0={centre[1]!r} +datum=WGS84 +units=m"
        x, y = transformed(self.to_map(self.outline), self.crs, local).T
        return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2

    @property
    def resolution(self) -> float:
        """Mean side of a pixel on the ground, m: the root of the area of the image over its pixels."""
        return math.sqrt(self.area / (self.size[0] * self.size[1]))

    def bounds(self, crs: str) -> tuple[float, float, float, float]:
        """Return (left, bottom, right, top) of the image in another reference system."""
        along = np.linspace(0.0, 1.0, _ALONG)  # also within: around a pole the outline has not the highest latitude
        grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2) * self.size
        places = transformed(self.to_map(grid), self.crs, crs)
        left, bottom = places.min(axis=0).tolist()
        right, top = places.max(axis=0).tolist()
        return left, bottom, right, top

    def coarser(self, sx: float, sy: float) -> Affine:
        """Return the transform of a grid with the same origin whose cells are ``sx`` x ``sy`` px."""
        a, b, c, d, e, f = self.transform
        return a * sx, b * sy, c, d * sx, e * sy, f


def transformed(xy: FloatArray, source: str, target: str) -> FloatArray:
    """Return (n, 2) coordinates of one reference system in another, x or longitude first.

    Raises
    ------
    DataError
        If a reference system is not known, or the coordinates lie outside its domain.

    Examples
    --------
    >>> import numpy as np
    >>> transformed(np.array([[-117.0, 34.0]]), WGS84, "EPSG:32611").round().tolist()
    [[500000.0, 3762156.0]]
    """
    with _rasterio() as rasterio, rasterio.Env():  # which keeps GDAL's own messages off the terminal
        try:
            x, y = rasterio.warp.transform(_crs(rasterio, source), _crs(rasterio, target), xy[:, 0], xy[:, 1])
        except DataError:
            raise
        except Exception as error:  # GDAL and PROJ have errors of many kinds
            raise DataError(f"coordinates can't be transformed from {source[:40]} ({error}); check the crs") from error
    return np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)


def georeference(path: Path, size: tuple[int, int]) -> Georeference | None:
    """Return where an image file says that it lies; ``None`` if it doesn't.

    Raises
    ------
    DataError
        If the extra ``geo`` is missing.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (8, 8)).save("a.tif")
    >>> georeference(Path("a.tif"), (8, 8)) is None
    True
    """
    import warnings

    with _rasterio() as rasterio, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file without a reference system is no fault
        try:
            with rasterio.open(path) as file:
                transform, crs = tuple(file.transform)[:6], file.crs
        except rasterio.errors.RasterioError:
            return None
        if not crs or transform == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0):
            return None
        return Georeference(crs.to_wkt(), _shown(transform, path, size), size)


def _shown(transform: Affine, path: Path, size: tuple[int, int]) -> Affine:
    """Return the transform of the pixels as they are shown, after the orientation that a TIFF states."""
    stored = _STORED.get(_orientation(path))
    if stored is None:
        return transform
    p, q, r, s, t, u = stored
    wide, high = size if q == 0 else size[::-1]  # as stored
    (a, b, c, d, e, f), x0, y0 = transform, r * wide, u * high
    return a * p + b * s, a * q + b * t, a * x0 + b * y0 + c, d * p + e * s, d * q + e * t, d * x0 + e * y0 + f


def _orientation(path: Path) -> int:
    import tifffile

    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            return int(tiff.pages.first.tags.valueof(_ORIENTATION, 1))
    except Exception:  # no TIFF
        return 1


def is_georeferenced(path: Path) -> bool:
    """Return whether a file is a TIFF with the tags of a place on the earth; any other file, and a damaged one, isn't.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (8, 8)).save("a.tif")
    >>> is_georeferenced(Path("a.tif"))
    False
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    import tifffile

    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            tags = tiff.pages.first.tags
            return _KEYS in tags and any(tag in tags for tag in _TRANSFORMS)
    except Exception:  # whatever is odd about the file, the reader of its pixels words it
        return False


def epsg(crs: str) -> int | None:
    """Return the EPSG code that a reference system is, or ``None``.

    Examples
    --------
    >>> epsg("EPSG:32611"), epsg("+proj=laea +lon_0=10 +lat_0=51 +datum=WGS84")
    (32611, None)
    """
    with _rasterio() as rasterio:
        code: int | None = _crs(rasterio, crs).to_epsg()
        return code


@contextmanager
def _rasterio() -> Iterator[Any]:
    try:
        import rasterio
        import rasterio.errors
        import rasterio.warp
    except ImportError as error:
        raise DataError(f"reading and writing coordinates of maps {_MISSING}") from error
    yield rasterio


def _crs(rasterio: Any, text: str) -> Any:
    try:
        return rasterio.crs.CRS.from_user_input(text)
    except rasterio.errors.CRSError as error:
        raise DataError(f"reference system {text[:60]!r} is not known; name one such as EPSG:4326") from error


def write_grid(
    path: Path, values: npt.NDArray[Any], place: Georeference, stride: tuple[float, float], tags: dict[str, str]
) -> None:
    """Write a density as a Cloud-Optimised GeoTIFF, float32, on a grid with the origin of the image.

    It is written in bands of rows, so that the memory it takes is bounded. The reference system is kept as it is, also
    one without an EPSG code.

    Parameters
    ----------
    path
        The file.
    values
        (h, w) one value a cell.
    place
        Of the image.
    stride
        (sx, sy) size of a cell, px.
    tags
        What is stated in the file's metadata.

    Raises
    ------
    OutputError
        If it can't be written.

    Examples
    --------
    >>> utm = Georeference("EPSG:32611", (0.6, 0.0, 400_000.0, 0.0, -0.6, 3_770_000.0), (8, 8))
    >>> write_grid(Path("a.tif"), np.ones((2, 2)), utm, (4, 4), {})
    >>> georeference(Path("a.tif"), (2, 2)).transform[0]
    2.4
    """
    with _rasterio() as rasterio, rasterio.Env(GDAL_PAM_ENABLED="NO"), TemporaryDirectory(dir=path.parent) as folder:
        from rasterio.shutil import copy
        from rasterio.windows import Window

        plain, done = Path(folder) / "plain.tif", Path(folder) / "cog.tif"
        height, width = values.shape
        kind = {"count": 1, "dtype": "float32", "width": width, "height": height, "crs": _crs(rasterio, place.crs)}
        try:
            with rasterio.open(
                plain, "w", driver="GTiff", transform=rasterio.Affine(*place.coarser(*stride)), BIGTIFF="IF_SAFER",
                tiled=True, blockxsize=256, blockysize=256, **kind,
            ) as file:  # fmt: skip
                file.update_tags(**tags)
                for top in range(0, height, _BAND):
                    rows = np.asarray(values[top : top + _BAND], dtype=np.float32)
                    file.write(rows, 1, window=Window(0, top, width, len(rows)))
            copy(
                plain, done, driver="COG", COMPRESS="DEFLATE", PREDICTOR="YES", BIGTIFF="IF_SAFER",
                OVERVIEW_RESAMPLING="AVERAGE",
            )  # fmt: skip
            done.replace(path)
        except (rasterio.errors.RasterioError, OSError) as error:
            raise OutputError(f"can't write {path}: {error}; free some space, or choose another `out`") from error


def write_geopackage(path: Path, xy: FloatArray, scores: FloatArray, place: Georeference) -> None:
    """Write points as a GeoPackage, in the reference system of the image, with their scores and px.

    Parameters
    ----------
    path
        The file.
    xy, scores
        (n, 2) px and (n,) scores.
    place
        Of the image.

    Raises
    ------
    DataError
        If the extra ``geo`` is missing.
    OutputError
        If the file can't be written.

    Examples
    --------
    >>> utm = Georeference("EPSG:32611", (0.6, 0.0, 400_000.0, 0.0, -0.6, 3_770_000.0), (8, 8))
    >>> write_geopackage(Path("a.gpkg"), np.array([[2.0, 3.0]]), np.array([0.9]), utm)
    >>> Path("a.gpkg").exists()
    True
    """
    try:
        import pyogrio
    except ImportError as error:
        raise DataError(f"writing a GeoPackage {_MISSING}") from error
    import shapely

    fields = {"score": scores, "x_px": xy[:, 0], "y_px": xy[:, 1]}
    with TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / "points.gpkg"
        try:
            pyogrio.raw.write(
                made, geometry=shapely.to_wkb(shapely.points(place.to_map(xy))), field_data=list(fields.values()),
                fields=list(fields), geometry_type="Point", crs=place.crs, driver="GPKG", layer="objects",
            )  # fmt: skip
            made.replace(path)
        except (pyogrio.errors.DataSourceError, OSError) as error:
            raise OutputError(f"can't write {path}: {error}; free some space, or choose another `out`") from error


@dataclass(frozen=True)
class MapLayer:
    """Objects of a map.

    Attributes
    ----------
    crs
        Reference system of the coordinates, as WKT or a name such as ``EPSG:32611``; empty: the file names none.
    shapes
        Geometries of shapely; None of a feature without one.
    labels
        The class of each, empty where there is none.

    Examples
    --------
    >>> MapLayer(WGS84, (None,), ("oak",)).labels
    ('oak',)
    """

    crs: str
    shapes: tuple[Any, ...]
    labels: tuple[str, ...]


def read_layer(path: Path, label_names: Sequence[str] = ()) -> MapLayer:
    """Return the objects of a GeoPackage or a shapefile that holds one layer of them.

    Parameters
    ----------
    path
        The file; of a shapefile the ``.shp``.
    label_names
        Lower-case names of fields that hold a class; the first that is there counts.

    Raises
    ------
    DataError
        If the extra ``geo`` is missing, the file can't be read, or it has no layer of shapes or several.

    Examples
    --------
    >>> utm = Georeference("EPSG:32611", (0.6, 0.0, 400_000.0, 0.0, -0.6, 3_770_000.0), (8, 8))
    >>> write_geopackage(Path("a.gpkg"), np.array([[2.0, 3.0]]), np.array([0.9]), utm)
    >>> layer = read_layer(Path("a.gpkg"))
    >>> layer.crs, [shape.wkt for shape in layer.shapes]
    ('EPSG:32611', ['POINT (400001.2 3769998.2)'])
    """
    try:
        import pyogrio
    except ImportError as error:
        raise DataError(f"reading {path} {_MISSING}") from error
    import warnings

    import shapely

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GDAL's remarks on a file; what matters is an error
        try:
            layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
            if len(layers) != 1:
                names = f" ({', '.join(layers[:6])})" if layers else ""
                raise DataError(
                    f"{path} has {len(layers)} layers of shapes{names}; save the one with the objects as a file"
                )
            fields = [str(name) for name in pyogrio.read_info(path, layer=layers[0])["fields"]]
            lower = {name.lower(): name for name in reversed(fields)}
            label = next((lower[name] for name in label_names if name in lower), None)
            columns = [label] if label else []
            meta, _, shapes, values = pyogrio.raw.read(path, layer=layers[0], columns=columns, force_2d=True)
            made = shapely.from_wkb(shapes)
        except DataError:
            raise
        except Exception as error:  # GDAL, SQLite and GEOS have errors of many kinds
            detail = " ".join(str(error).split())[:160]
            raise DataError(f"{path} can't be read ({detail}); save the layer again") from error
    labels = [label_of(v) for v in values[0]] if columns else [""] * len(made)
    return MapLayer(str(meta["crs"] or ""), tuple(made), tuple(labels))


def label_of(value: Any) -> str:
    """Return the class that a value of a field is; a whole number as such, though gaps made it a fraction.

    Examples
    --------
    >>> label_of(2.0), label_of("oak"), label_of(None), label_of(float("nan"))
    ('2', 'oak', '', '')
    """
    if value is None or value != value:
        return ""
    whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value) if whole else value)
