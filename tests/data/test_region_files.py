import json
import zipfile

import numpy as np
import pytest
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from dotcount.data import read_regions
from dotcount.data.region_files import placed
from dotcount.errors import AnnotationError, DataError
from dotcount.geo import Georeference

SQUARE = [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]
UTM = Georeference("EPSG:32611", (0.5, 0.0, 400_000.0, 0.0, -0.5, 3_770_000.0), (200, 100))


def feature(coordinates, kind="Polygon", **properties):
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def write(path, *features, **more):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features), **more}))
    return path


def test_geojson_of_qupath(tmp_path):
    hole = [[2, 2], [4, 2], [4, 4], [2, 2]]
    found = read_regions(
        write(
            tmp_path / "a.geojson",
            feature([SQUARE, hole], classification={"name": "Tumor"}),
            feature([[SQUARE], [[[20, 20], [30, 20], [30, 30]]]], "MultiPolygon", name="two parts"),
            feature([3, 3], "Point"),
        )
    )
    regions, crs = found.of("any.png")
    assert [region.name for region in regions] == ["Tumor", "two parts"]
    assert [len(region.polygons) for region in regions] == [1, 2]
    assert len(regions[0].polygons[0]) == 2
    assert crs is None
    assert found.left_out == ((1, "points, lines or empty shapes, which are no regions"),)


def test_a_feature_may_name_its_image(tmp_path):
    found = read_regions(
        write(tmp_path / "a.geojson", feature([SQUARE], image="b.png"), feature([SQUARE], name="all", image=None))
    )
    assert found.of("x/b.png")[0][0].name == "region 1"
    assert found.of("c.png")[0][0].name == "all"


def test_coco_names_the_image_and_the_category(tmp_path):
    path = tmp_path / "coco.json"
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
                "categories": [{"id": 5, "name": "plot"}],
                "annotations": [
                    {"id": 1, "image_id": 2, "category_id": 5, "segmentation": [[0, 0, 8, 0, 8, 8]]},
                    {"id": 2, "image_id": 2, "category_id": 5, "segmentation": {"counts": [], "size": [8, 8]}},
                ],
            }
        )
    )
    found = read_regions(path)
    assert found.of("folder/b.png")[0][0].polygons[0][0].tolist() == [[0, 0], [8, 0], [8, 8]]
    assert found.of("a.png") == ((), None)
    assert found.left_out == ((1, "annotations without a polygon"),)


def rectangle(name, left, top, right, bottom, kind=ROI_TYPE.RECT):
    roi = ImagejRoi()
    roi.roitype, roi.name, roi.version = kind, name, 227
    roi.left, roi.top, roi.right, roi.bottom = left, top, right, bottom
    return roi


def test_imagej_selections(tmp_path):
    polygon = ImagejRoi.frompoints(np.array([[1.5, 1.5], [9.5, 1.5], [9.5, 8.25]]), name="drawn")
    polygon.roitype = ROI_TYPE.POLYGON
    polygon.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    dots = ImagejRoi.frompoints(np.array([[1, 1]]), name="dots")
    dots.roitype = ROI_TYPE.POINT
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.roi", rectangle("box", 2, 3, 12, 8).tobytes())
        archive.writestr("2.roi", rectangle("round", 0, 0, 20, 10, ROI_TYPE.OVAL).tobytes())
        archive.writestr("3.roi", polygon.tobytes())
        archive.writestr("4.roi", dots.tobytes())
    found = read_regions(path)
    box, oval, drawn = found.of("a.png")[0]
    assert [box.name, oval.name, drawn.name] == ["box", "round", "drawn"]
    assert box.polygons[0][0].tolist() == [[2, 3], [12, 3], [12, 8], [2, 8]]
    x, y = oval.polygons[0][0].T
    area = abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
    assert area == pytest.approx(np.pi * 10 * 5, rel=2e-4)
    assert drawn.polygons[0][0].tolist() == [[1.5, 1.5], [9.5, 1.5], [9.5, 8.25]]
    assert found.left_out == ((1, "points, lines or labels, which are no regions"),)


def test_a_folder_has_a_file_for_each_image(tmp_path):
    write(tmp_path / "a.geojson", feature([SQUARE], name="of a"))
    write(tmp_path / "b.png.geojson", feature([SQUARE], name="of b"))
    found = read_regions(tmp_path)
    assert found.of("x/a.png")[0][0].name == "of a"
    assert found.of("b.png")[0][0].name == "of b"
    assert found.of("c.png") == ((), None)


def test_files_of_one_name_belong_to_the_images_in_folders_of_the_same_name(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.png.geojson", feature([SQUARE], name=f"of {folder}/a"))
    write(tmp_path / "x" / "b.geojson", feature([SQUARE], name="of b"))
    write(tmp_path / "y" / "b.geojson", feature([SQUARE], name="of another b"))
    found = read_regions(tmp_path)
    names = ["x/a.png", "y/a.png", "x/b.jpg", "y/b.jpg"]
    assert [found.of(name)[0][0].name for name in names] == ["of x/a", "of y/a", "of b", "of another b"]
    assert found.of("z/a.png") == ((), None)
    assert (found.missing(names), found.shared(names)) == ([], {})
    write(tmp_path / "x" / "a.png.json", feature([SQUARE], name="again"))
    with pytest.raises(DataError, match=r"two files are named after image x/a\.png"):
        read_regions(tmp_path)


def test_map_coordinates_that_the_file_names(tmp_path):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32611"}}
    ring = UTM.to_map([[10, 20], [60, 20], [60, 50]]).tolist()
    regions, system = read_regions(write(tmp_path / "a.geojson", feature([ring]), crs=crs)).of("a.tif")
    found, note = placed(regions, system, UTM, UTM.size)
    assert found[0].polygons[0][0] == pytest.approx(np.array([[10, 20], [60, 20], [60, 50]]), abs=1e-6)
    assert "EPSG::32611" in note
    with pytest.raises(DataError, match="not georeferenced"):
        placed(regions, system, None, UTM.size)


@pytest.mark.parametrize(("move", "words"), [(UTM.to_wgs84, "longitude"), (UTM.to_map, "system of the image")])
def test_map_coordinates_that_are_recognised(tmp_path, move, words):
    ring = move([[10, 20], [60, 20], [60, 50]]).tolist()
    regions, system = read_regions(write(tmp_path / "a.geojson", feature([ring]))).of("a.tif")
    found, note = placed(regions, system, UTM, UTM.size)
    assert found[0].polygons[0][0] == pytest.approx(np.array([[10, 20], [60, 20], [60, 50]]), abs=1e-3)
    assert words in note


def test_pixels_stay_pixels_on_a_map(tmp_path):
    regions, system = read_regions(write(tmp_path / "a.geojson", feature([SQUARE]))).of("a.tif")
    assert placed(regions, system, UTM, UTM.size) == (regions, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"features": []}', "no region is in it"),
        ("{", "not valid JSON"),
        ('{"features": [{"geometry": {"type": "Polygon", "coordinates": [[[1, 2]]]}}]}', "fewer"),
        ('{"features": [{"geometry": {"type": "Polygon", "coordinates": 7}}]}', "coordinates"),
        ('{"images": [], "annotations": [{"image_id": 3}]}', "no image has"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_named(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises((AnnotationError, DataError), match=words) as caught:
        read_regions(path)
    assert "a.json" in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(DataError, match="do not exist"):
        read_regions("nowhere.geojson")


def test_a_bare_polygon_is_a_region_and_one_without_area_is_named_with_its_file(tmp_path):
    path = tmp_path / "r.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [8, 0], [8, 8], [0, 0]]]}))
    assert [region.name for region in read_regions(path).of("a.png")[0]] == ["region 1"]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [8, 8], [16, 16], [0, 0]]]}))
    with pytest.raises(AnnotationError, match=r"r\.geojson: region 'region 1' encloses no area"):
        read_regions(path)
