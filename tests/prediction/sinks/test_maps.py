"""Points and density of georeferenced images, read back by the libraries that others use."""

import json

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.transform import Affine
from rasterio.warp import transform

from dotcount.errors import DataError
from dotcount.geo import epsg
from dotcount.prediction import Predictor
from tests.prediction.oracles import Bright

DOTS = [(2, 3), (40, 5), (61, 44), (17, 30)]
NO_CODE = "+proj=laea +lat_0=33.5 +lon_0=-117.25 +x_0=1000 +y_0=2000 +datum=WGS84 +units=m"
PLACES = {
    "projected": ("EPSG:32611", Affine(0.6, 0, 500_000.25, 0, -0.6, 3_770_000.5)),
    "without a code": (NO_CODE, Affine(0.5, 0.1, 1_500.0, 0.1, -0.5, 70_000.0)),
    "degrees": ("EPSG:4326", Affine(6e-6, 0, -117.2, 0, -5e-6, 34.07)),
}


@pytest.fixture(params=PLACES)
def written(request, tmp_path):
    crs, where = PLACES[request.param]
    pixels = np.zeros((48, 64, 3), np.uint8)
    for x, y in DOTS:
        pixels[y, x] = 255
    path = tmp_path / "map.tif"
    kind = {"driver": "GTiff", "width": 64, "height": 48, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", crs=crs, transform=where, **kind) as file:
        file.write(pixels.transpose(2, 0, 1))
    out = tmp_path / "out"
    run = Predictor(Bright()).stream(path, out=out, sinks=["csv", "density", "geopackage", "wgs84", "regions"])
    ((frame, prediction),) = list(run)
    assert frame.warnings == []
    with rasterio.open(path) as source:
        yield out, prediction, source


def pixels_of(source, xy):
    return np.array([~source.transform * place for place in xy])


def matched(found, dots):
    """Return the largest distance of a dot, the centre of its pixel or cell, from the nearest point found."""
    return max(np.abs(np.asarray(found) - (x + 0.5, y + 0.5)).max(axis=1).min() for x, y in dots)


def test_points_of_the_geopackage_lie_where_the_objects_do(written):
    out, prediction, source = written
    meta, _, geometry, fields = pyogrio.raw.read(out / "geopackage" / "map.tif.gpkg")
    xy = shapely.get_coordinates(shapely.from_wkb(geometry))
    assert rasterio.crs.CRS.from_user_input(meta["crs"]) == source.crs
    assert len(xy) == len(DOTS)
    assert list(meta["fields"]) == ["score", "x_px", "y_px"]
    back = pixels_of(source, xy)
    assert np.abs(back - np.stack([fields[1], fields[2]], axis=1)).max() < 1e-4
    assert np.abs(back - prediction.points).max() < 0.5
    assert matched(back, DOTS) <= 2  # cells of 4 px know no more


def test_points_in_wgs84_lie_where_the_objects_do(written):
    out, prediction, source = written
    content = json.loads((out / "wgs84" / "map.tif.geojson").read_text())
    lonlat = np.array([feature["geometry"]["coordinates"] for feature in content["features"]])
    back = pixels_of(source, np.array(transform("OGC:CRS84", source.crs, *lonlat.T)).T)
    assert np.abs(back - prediction.points).max() < 0.5
    read = pyogrio.raw.read(out / "wgs84" / "map.tif.geojson")
    assert "4326" in read[0]["crs"] or "CRS84" in read[0]["crs"]
    assert len(read[2]) == len(DOTS)


def test_the_density_has_the_origin_and_the_system_of_the_image(written):
    out, prediction, source = written
    with rasterio.open(out / "density" / "map.tif.tif") as grid:
        assert grid.crs == source.crs
        assert (grid.transform.c, grid.transform.f) == (source.transform.c, source.transform.f)
        assert np.allclose(tuple(grid.transform)[:2], np.array(tuple(source.transform)[:2]) * 4)
        assert grid.dtypes == ("float32",)
        assert np.array_equal(grid.read(1), prediction.density)
        assert grid.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert grid.read(1).sum() == pytest.approx(4)
    assert [p.name for p in (out / "density").iterdir()] == ["map.tif.tif"]


def test_a_system_without_a_code_is_kept():
    assert epsg(NO_CODE) is None


@pytest.mark.parametrize("name", ["geopackage", "wgs84"])
def test_an_image_without_a_place_is_told(write, frame, name):
    with pytest.raises(DataError, match="not georeferenced"):
        write(name, frame())


def test_many_points_and_none(write, frame):
    from dotcount.geo import Georeference

    place = Georeference("EPSG:32611", (0.5, 0.0, 500_000.0, 0.0, -0.5, 3_770_000.0), (12, 8))
    many = [(k % 12 + 0.5, k % 8 + 0.5) for k in range(10_050)]
    out = write("wgs84", frame("a.tif", many, place=place), frame("b.tif", (), place=place))
    assert len(json.loads((out / "wgs84" / "a.tif.geojson").read_text())["features"]) == 10_050
    assert json.loads((out / "wgs84" / "b.tif.geojson").read_text())["features"] == []
