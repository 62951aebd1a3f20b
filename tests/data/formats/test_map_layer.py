"""Objects of a map land on the pixels of the images that lie under them, and nothing else is said of other images."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotcount.data import open_collection
from dotcount.data.formats import FORMATS, Table
from dotcount.errors import AnnotationError, DataError
from dotcount.geo import WGS84, Georeference, transformed

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")

UTM = "EPSG:32611"
XY = np.array([[10.25, 20.5], [99.75, 0.25], [3.0, 49.0]])
"""Px on the first image."""


def image(path: Path, left: float = 400_000.0, crs: str = UTM, width: int = 100) -> Georeference:
    """Write a GeoTIFF of 0.6 m a pixel, 50 px high, and return where it lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = rasterio.Affine(0.6, 0, left, 0, -0.6, 3_770_000.0)
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=50, count=3, dtype="uint8", crs=crs, transform=transform
    ) as file:
        file.write(np.random.default_rng(0).integers(0, 255, (3, 50, width), dtype=np.uint8))
    return Georeference(rasterio.crs.CRS.from_user_input(crs).to_wkt(), tuple(transform)[:6], (width, 50))


def layer(
    path: Path, shapes: list[object], crs: str | None = UTM, labels: list[str] | None = None, **more: object
) -> None:
    driver = {".gpkg": "GPKG", ".shp": "ESRI Shapefile"}[path.suffix]
    kind = shapes[0].geom_type if shapes else "Point"  # type: ignore[attr-defined]
    pyogrio.raw.write(
        path, geometry=shapely.to_wkb(np.array(shapes, dtype=object)), geometry_type=kind, crs=crs, driver=driver,
        field_data=[np.array(labels, dtype=object)] if labels else [], fields=["Species"] if labels else [], **more,
    )  # fmt: skip


def write(path: Path, places: np.ndarray) -> None:
    """Write points, in degrees where the format has nothing else."""
    degrees = transformed(places, UTM, WGS84)
    if path.suffix in (".gpkg", ".shp"):
        layer(path, [shapely.Point(p) for p in places])
    elif path.suffix == ".kml":
        marks = "".join(
            f"<Placemark><Point><coordinates>{x!r},{y!r},0</coordinates></Point></Placemark>"
            for x, y in degrees.tolist()
        )
        path.write_text(f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{marks}</Document></kml>')
    else:
        features = [
            {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": p}}
            for p in degrees.tolist()
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".kml", ".geojson"])
def test_points_land_where_they_lie(tmp_path: Path, suffix: str) -> None:
    place = image(tmp_path / "tiles/a.tif")
    other = image(tmp_path / "tiles/b.tif", left=400_060.0)
    image(tmp_path / "tiles/far.tif", left=500_000.0)
    on_other, nowhere = other.to_map([[7.0, 8.0]]), np.array([[400_030.0, 3_760_000.0]])
    write(tmp_path / f"trees{suffix}", np.concatenate([place.to_map(XY), on_other, nowhere]))
    found = open_collection(tmp_path)
    assert found.format == "map_layer"
    dots = {record.name: record.points for record in found.records}
    assert dots["tiles/a.tif"] is not None
    assert dots["tiles/b.tif"] is not None
    np.testing.assert_allclose(dots["tiles/a.tif"].xy, XY, atol=0.01)
    np.testing.assert_allclose(dots["tiles/b.tif"].xy, [[7, 8]], atol=0.01)
    assert dots["tiles/far.tif"] is None  # not looked at, as far as anyone knows
    assert "5 objects of trees" in found.summary
    assert "1 of them on none" in found.summary


def test_crowns_count_by_their_centre_with_their_class(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    squares = [shapely.Polygon(place.to_map(np.array([[-2, -2], [2, -2], [2, 2], [-2, 2]]) + xy)) for xy in XY[[0, 2]]]
    layer(tmp_path / "crowns.gpkg", squares, labels=["oak", "pine"])
    (record,) = open_collection(tmp_path).records
    assert record.points is not None
    np.testing.assert_allclose(record.points.xy, XY[[0, 2]], atol=1e-6)
    assert record.classes == ("oak", "pine")


def test_a_layer_in_another_system_than_the_image(tmp_path: Path) -> None:
    place = image(tmp_path / "images/a.tif")
    (tmp_path / "annotations").mkdir()
    mercator = transformed(place.to_map(XY), UTM, "EPSG:3857")
    layer(tmp_path / "annotations/dots.gpkg", [shapely.Point(p) for p in mercator], crs="EPSG:3857")
    (record,) = open_collection(tmp_path).records
    assert record.points is not None
    np.testing.assert_allclose(record.points.xy, XY, atol=0.01)


def test_a_layer_called_as_an_image_says_that_there_is_nothing_on_it(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    image(tmp_path / "b.tif", left=400_060.0)
    image(tmp_path / "c.tif", left=400_120.0)
    layer(tmp_path / "a.gpkg", [shapely.Point(p) for p in place.to_map(XY)])
    layer(tmp_path / "b.gpkg", [])
    found = {record.name: record.count for record in open_collection(tmp_path).records}
    assert found == {"a.tif": 3, "b.tif": 0, "c.tif": None}


def test_map_geojson_called_as_an_image_is_no_geojson_of_pixels(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    write(tmp_path / "a.geojson", place.to_map(XY))
    (record,) = open_collection(tmp_path).records
    assert record.points is not None
    np.testing.assert_allclose(record.points.xy, XY, atol=0.01)


def test_an_area_is_no_object(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    layer(tmp_path / "aoi.gpkg", [shapely.Polygon(place.to_map([[-5, -5], [90, -5], [90, 55], [-5, 55]]))])
    with pytest.raises(DataError, match=r"as large as \d+% of an image, which is an area rather than an object"):
        open_collection(tmp_path)
    (tmp_path / "dots.csv").write_text("image,x,y\na.tif,5,6\n")
    found = open_collection(tmp_path)  # a table of dots comes first, and the layer is told
    assert (found.format, found.n_dots) == ("csv", 1)
    assert any("aoi.gpkg" in one.path for one in found.left_out)


def test_what_cannot_be_placed_is_told(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    path = tmp_path / "dots.gpkg"
    form = FORMATS.create("map_layer")
    assert isinstance(form, Table)
    layer(path, [shapely.Point(p) for p in place.to_map(XY) + 50_000.0])
    with pytest.raises(AnnotationError, match=r"none of its 3 objects lies on one of 1 georeferenced images .*a\.tif"):
        form.read(path)
    path.unlink()
    layer(path, [shapely.LineString(place.to_map(XY))])
    with pytest.raises(AnnotationError, match="LineString, which is no object"):
        form.read(path)
    path.unlink()
    layer(path, [shapely.Point(p) for p in place.to_map(XY)], layer="one")
    layer(path, [shapely.Point(p) for p in place.to_map(XY)], layer="two", append=True)
    with pytest.raises(AnnotationError, match=r"2 layers of shapes \(one, two\)"):
        form.read(path)
    shape = tmp_path / "bare.shp"
    layer(shape, [shapely.Point(p) for p in place.to_map(XY)])
    shape.with_suffix(".prj").unlink()
    with pytest.raises(AnnotationError, match="names no reference system"):
        form.read(shape)


def test_without_georeferenced_images_the_layer_is_told(tmp_path: Path) -> None:
    from ..layouts import picture

    picture(tmp_path / "a.png", 40, 30)
    layer(tmp_path / "dots.gpkg", [shapely.Point(1.0, 2.0)])
    with pytest.raises(
        DataError, match=r"dots\.gpkg is nearly map_layer: it is in map coordinates, but no TIFF beside"
    ):
        open_collection(tmp_path)


KML = (
    '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Folder>'
    "<Placemark><name>a</name><Point><coordinates>-118.08,34.06,0</coordinates></Point></Placemark>"
    "<Placemark><MultiGeometry><Polygon><outerBoundaryIs><LinearRing><coordinates>"
    "-118.08,34.06 -118.0801,34.06 -118.0801,34.0601 -118.08,34.06</coordinates></LinearRing></outerBoundaryIs>"
    "</Polygon></MultiGeometry></Placemark><Placemark><name>nothing</name></Placemark></Folder></Document></kml>"
)
GEOJSON = json.dumps(
    {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32611"}},
        "features": [
            {
                "type": "Feature",
                "properties": {"Type": "oak"},
                "geometry": {"type": "Point", "coordinates": [4e5, 377e4]},
            },
            {"type": "Feature", "properties": None, "geometry": None},
            {
                "type": "Feature",
                "geometry": {"type": "MultiPoint", "coordinates": [[400006, 3769990], [400009, 3769980]]},
            },
        ],
    }
)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    image(folder / "a.tif")
    return folder


@pytest.mark.parametrize(("suffix", "text"), [(".kml", KML), (".geojson", GEOJSON)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_text_raises_only_our_error(beside: Path, suffix: str, text: str, data: st.DataObject) -> None:
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content)))
        words = [b"null", b"[]", b"{}", b'"x"', b"1e999", b"-1", b"<a>", b"\x00", b"NaN", b"\n", b",", b"9" * 400]
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.sampled_from(words))
    path = beside / f"dots{suffix}"
    path.write_bytes(bytes(content))
    form = FORMATS.create("map_layer")
    assert isinstance(form, Table)
    form.recognises(path)
    with suppress(AnnotationError):
        for _, listed in form.read(path):
            assert listed.read(100, 50).xy.shape[1] == 2


def test_features_without_a_shape_and_multi_points_are_told(beside: Path) -> None:
    path = beside / "dots.geojson"
    path.write_text(GEOJSON)
    form = FORMATS.create("map_layer")
    assert isinstance(form, Table)
    ((name, listed),) = form.read(path)
    dots = listed.read(100, 50)
    assert (name, listed.size) == ("a.tif", (100, 50))
    np.testing.assert_allclose(dots.xy, [[0, 0], [10, 10 / 0.6], [15, 20 / 0.6]], atol=0.01)
    assert dots.classes == ("oak", "", "")
    assert dots.left_out == ("1 x feature without a shape in the whole layer",)


def geojson(path: Path, geometries: list[object], crs: str | None = None, **properties: object) -> None:
    features = [{"type": "Feature", "properties": properties, "geometry": geometry} for geometry in geometries]
    content: dict[str, object] = {"type": "FeatureCollection", "features": features}
    if crs:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    path.write_text(json.dumps(content))


def points(xy: np.ndarray) -> list[object]:
    return [{"type": "Point", "coordinates": p} for p in xy.tolist()]


def text(places: np.ndarray) -> str:
    """Return places as coordinates of KML."""
    return " ".join(f"{x!r},{y!r},0" for x, y in transformed(places, UTM, WGS84).tolist())


def test_a_point_on_the_border_of_two_images_lies_on_one(tmp_path: Path) -> None:
    for k in range(12):
        image(tmp_path / f"{k:02}.tif", left=400_000.3 + 60 * k)
    places = np.array([[400_000.3 + 60 * k, 3_769_990.1] for k in range(12)])
    layer(tmp_path / "dots.gpkg", [shapely.Point(p) for p in transformed(places, UTM, WGS84)], crs="EPSG:4326")
    assert [record.count for record in open_collection(tmp_path).records] == [1] * 12  # the digits of degrees differ


def test_a_layer_called_as_an_image_must_lie_on_it(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    layer(tmp_path / "a.gpkg", [shapely.Point(p) for p in place.to_map(XY)], crs="EPSG:32612")
    with pytest.raises(AnnotationError, match=r"a\.gpkg: none of its 3 objects lies on .*a\.tif; check the reference"):
        open_collection(tmp_path)


def test_an_empty_layer_of_all_images_says_nothing(tmp_path: Path) -> None:
    image(tmp_path / "a.tif")
    layer(tmp_path / "dots.gpkg", [])
    with pytest.raises(AnnotationError, match="has no object; call it as the image that has none"):
        open_collection(tmp_path)


def test_the_orientation_of_a_tiff_turns_its_place(tmp_path: Path) -> None:
    import tifffile

    from dotcount.data.images import read_pixels
    from dotcount.geo import georeference

    stored = np.zeros((50, 100), dtype=np.uint8)
    stored[20, 10] = 255
    place = image(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        tags = [(t.code, t.dtype, t.count, t.value, True) for t in tiff.pages.first.tags if t.code > 33_000]
    (tmp_path / "a.tif").unlink()
    for code in range(1, 9):
        path = tmp_path / f"{code}.tif"
        tifffile.imwrite(path, stored, photometric="minisblack", extratags=[(274, "H", 1, code, True), *tags])
        shown = read_pixels(path)
        y, x = np.argwhere(shown.reshape(*shown.shape[:2], -1)[..., 0] == 255)[0]
        found = georeference(path, (shown.shape[1], shown.shape[0]))
        assert found is not None
        np.testing.assert_allclose(found.to_map([[x + 0.5, y + 0.5]]), place.to_map([[10.5, 20.5]]), err_msg=str(code))


def test_an_area_of_a_turned_image_is_no_object(tmp_path: Path) -> None:
    turned = rasterio.Affine(0.46, 0.386, 4e5, 0.386, -0.46, 377e4)  # by 40 degrees
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=50, height=50, count=1, dtype="uint8", crs=UTM, transform=turned
    ) as file:
        file.write(np.zeros((1, 50, 50), dtype=np.uint8))
    place = Georeference(UTM, tuple(turned)[:6], (50, 50))
    layer(tmp_path / "aoi.gpkg", [shapely.Polygon(place.to_map([[1, 1], [49, 1], [49, 49], [1, 49]]))])
    with pytest.raises(AnnotationError, match=r"as large as 9\d% of an image"):
        open_collection(tmp_path)


def test_small_crowns_in_degrees_count_by_their_centre(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    ring = np.array([[18, 18], [22, 18], [22, 22], [21, 22], [20.5, 22], [20, 22], [19, 22], [18, 22]])
    crown = shapely.Polygon(transformed(place.to_map(ring), UTM, WGS84))
    layer(tmp_path / "crowns.gpkg", [crown], crs="EPSG:4326")
    (record,) = open_collection(tmp_path).records
    assert record.points is not None
    np.testing.assert_allclose(record.points.xy, [[20, 20]], atol=0.01)


@pytest.mark.parametrize("name", ["a.geojson", "trees.geojson"])
def test_degrees_over_a_wide_image_are_no_pixels(tmp_path: Path, name: str) -> None:
    transform = rasterio.Affine(0.012, 0, 9, 0, -0.012, 52)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=200, height=100, count=1, dtype="uint8", crs="EPSG:4326",
        transform=transform,
    ) as file:  # fmt: skip
        file.write(np.zeros((1, 100, 200), dtype=np.uint8))
    geojson(tmp_path / name, points(np.array([[9.1201, 51.7601], [10.8001, 51.5201], [11.1601, 50.9201]])))
    found = open_collection(tmp_path)
    assert found.format == "map_layer"
    (record,) = found.records
    assert record.points is not None
    np.testing.assert_allclose(record.points.xy, [[10, 20], [150, 40], [180, 90]], atol=0.02)


def test_a_class_and_a_gap_do_not_make_pixels_of_degrees(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    degrees = transformed(place.to_map(XY), UTM, WGS84)
    geojson(tmp_path / "a.geojson", [None, *points(degrees)], classification="oak")
    (record,) = open_collection(tmp_path).records
    assert (record.count, record.classes) == (3, ("oak",) * 3)


@pytest.mark.parametrize("geometry", [[1], "x", 3, {"type": "Point", "coordinates": [10**400, 1]}])
def test_a_geometry_of_the_wrong_kind_is_told(tmp_path: Path, geometry: object) -> None:
    image(tmp_path / "a.tif")
    geojson(tmp_path / "a.geojson", [geometry])
    with pytest.raises(AnnotationError, match=r"a\.geojson: .*; (export it again|correct it)"):
        open_collection(tmp_path)


def test_a_shapefile_with_the_table_of_another_is_told(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    shapes = [shapely.Point(p) for p in place.to_map(XY)]
    layer(tmp_path / "other.shp", shapes[:1], labels=["oak"])
    table = (tmp_path / "other.dbf").read_bytes()
    for file in tmp_path.glob("other.*"):
        file.unlink()
    layer(tmp_path / "dots.shp", shapes, labels=["oak", "pine", "oak"])
    (tmp_path / "dots.dbf").write_bytes(table)
    with pytest.raises(AnnotationError, match=r"dots\.shp has 3 shapes, but its \.dbf has 1 rows"):
        open_collection(tmp_path)


def test_empty_parts_and_numbers_as_classes(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    shape = shapely.GeometryCollection([shapely.Point(), shapely.Point(place.to_map(XY[:1])[0])])
    pyogrio.raw.write(
        tmp_path / "dots.gpkg", geometry=shapely.to_wkb(np.array([shape, shape], dtype=object)), crs=UTM,
        geometry_type="GeometryCollection", field_data=[np.array([2, 3])], fields=["class"],
        field_mask=[np.array([False, True])], driver="GPKG",
    )  # fmt: skip
    (record,) = open_collection(tmp_path).records
    assert (record.count, record.classes) == (2, ("2", ""))


def test_an_image_over_a_pole_has_what_lies_at_the_pole(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=100, height=50, count=1, dtype="uint8", crs="EPSG:3413",
        transform=rasterio.Affine(1000, 0, -50_000, 0, -1000, 25_000),
    ) as file:  # fmt: skip
        file.write(np.zeros((1, 50, 100), dtype=np.uint8))
    layer(tmp_path / "dots.gpkg", [shapely.Point(10, 90), shapely.Point(50, 89.8)], crs="EPSG:4326")
    (record,) = open_collection(tmp_path).records
    assert record.points is not None
    np.testing.assert_allclose(record.points.xy[0], [50, 25], atol=0.01)
    assert record.count == 2


def test_an_image_of_no_place_on_the_earth_is_told(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif", crs='LOCAL_CS["x",UNIT["metre",1]]')
    layer(tmp_path / "dots.gpkg", [shapely.Point(p) for p in place.to_map(XY)])
    with pytest.raises(AnnotationError, match=r"dots\.gpkg: coordinates can't be transformed"):
        open_collection(tmp_path)


def test_kml_has_classes_parts_prefixes_and_holes(tmp_path: Path) -> None:
    place = image(tmp_path / "a.tif")
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]])
    ring = "<k:LinearRing><k:coordinates>\n {}\n</k:coordinates></k:LinearRing>"
    inner, outer, other = (
        ring.format(text(place.to_map(places))) for places in (square / 4 + 10, square + 10, square / 2 + 30)
    )
    polygons = (
        f"<k:Polygon><k:innerBoundaryIs>{inner}</k:innerBoundaryIs><k:outerBoundaryIs>{outer}</k:outerBoundaryIs>"
        f"</k:Polygon><k:Polygon><k:outerBoundaryIs>{other}</k:outerBoundaryIs></k:Polygon>"
    )
    fields = '<k:ExtendedData><k:SchemaData><k:SimpleData name="Species">oak</k:SimpleData></k:SchemaData>'
    typed = '<k:ExtendedData><k:Data name="class"><k:value> pine </k:value></k:Data></k:ExtendedData>'
    point = f"<k:Point><k:coordinates>{text(place.to_map(XY[:1]))}</k:coordinates></k:Point>"
    (tmp_path / "t.kml").write_text(
        f'<?xml version="1.0"?><!--{"-".join("x" * 5000)}--><k:kml xmlns:k="http://www.opengis.net/kml/2.2">'
        f"<k:Placemark>{fields}</k:ExtendedData><k:MultiGeometry>{polygons}</k:MultiGeometry></k:Placemark>"
        f"<k:Placemark>{typed}{point}</k:Placemark></k:kml>"
    )
    (record,) = open_collection(tmp_path).records
    assert record.points is not None
    np.testing.assert_allclose(record.points.xy, [[12, 12], XY[0]], atol=0.01)  # of several parts the largest
    assert record.classes == ("oak", "pine")
