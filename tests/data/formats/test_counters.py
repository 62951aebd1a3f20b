"""Formats of counting tools: Cell Counter, DotDotGoose, QuPath, napari, ImageJ; and GeoJSON of maps."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile

from dotcount.data import open_collection
from dotcount.data.formats import FORMATS, Sidecar, Table
from dotcount.data.layout import Dots
from dotcount.errors import AnnotationError, DataError

from ..layouts import picture


def listed(format: str, path: Path) -> dict[str, Dots]:
    reader = FORMATS.create(format)
    assert isinstance(reader, Table)
    assert reader.recognises(path)
    return {name: mention.read(200, 100) for name, mention in reader.read(path)}


def dots_in(format: str, path: Path) -> Dots:
    reader = FORMATS.create(format)
    assert isinstance(reader, Sidecar)
    assert reader.recognises(path)
    return reader.read(path, 200, 100)


def markers(*places: tuple[int, int, int, int]) -> str:
    kinds = "".join(
        f"<Marker_Type><Type>{kind}</Type>"
        + "".join(
            f"<Marker><MarkerX>{x}</MarkerX><MarkerY>{y}</MarkerY><MarkerZ>{z}</MarkerZ></Marker>"
            for k, x, y, z in places
            if k == kind
        )
        + "</Marker_Type>"
        for kind in (1, 2)
    )
    head = "<Image_Properties><Image_Filename>a.png</Image_Filename></Image_Properties>"
    return f"<CellCounter_Marker_File>{head}<Marker_Data>{kinds}</Marker_Data></CellCounter_Marker_File>"


def test_cell_counter(tmp_path: Path) -> None:
    path = tmp_path / "CellCounter_a.xml"
    path.write_text(markers((1, 10, 20, 1), (2, 30, 40, 1)))
    assert listed("cell_counter", path)["a.png"].xy.tolist() == [[10.5, 20.5], [30.5, 40.5]]
    assert listed("cell_counter", path)["a.png"].classes == ("type 1", "type 2")
    path.write_text(markers((1, 10, 20, 1), (1, 30, 40, 2)))
    with pytest.raises(AnnotationError, match="markers in 2 slices"):
        listed("cell_counter", path)
    path.write_text(markers())
    assert len(listed("cell_counter", path)["a.png"].xy) == 0


def test_dotdotgoose(tmp_path: Path) -> None:
    points = {"a.png": {"bird": [{"x": 10.5, "y": 20.25}], "nest": [{"x": 1, "y": 2}]}, "b.png": {}}
    path = tmp_path / "survey.pnt"
    path.write_text(json.dumps({"classes": ["bird", "nest"], "points": points}))
    found = listed("dotdotgoose", path)
    assert found["a.png"].xy.tolist() == [[10.5, 20.25], [1, 2]]
    assert found["a.png"].classes == ("bird", "nest")
    assert len(found["b.png"].xy) == 0
    path.write_text(json.dumps({"classes": [], "points": {"a.png": {"bird": [[1, 2]]}}}))
    with pytest.raises(AnnotationError, match=r"a point of a\.png"):
        listed("dotdotgoose", path)


def test_qupath_measurements(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    rows = "a.png\tAnnotation\t\t50\t50\na.png\tCell\tTumor\t10.5\t20.25\na.png\tCell\tStroma\t3\t4\n"
    path.write_text("Image\tObject type\tClassification\tCentroid X px\tCentroid Y px\n" + rows)
    found = listed("qupath", path)["a.png"]
    assert found.xy.tolist() == [[10.5, 20.25], [3, 4]]
    assert found.classes == ("Tumor", "Stroma")
    assert found.left_out == ("1 x region among detections",)
    picture(tmp_path / "a.png")
    path.write_text(path.read_text().replace(" px", " µm"))
    with pytest.raises(DataError, match=r"centroids are in µm.*export them in px"):
        open_collection(tmp_path)


def test_napari_shapes_and_stacks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    corners = [(10, 10), (10, 20), (20, 20), (20, 10)]
    rows = [f"{k}.0,rectangle,{v},{y + 20 * k},{x}" for k in range(2) for v, (y, x) in enumerate(corners)]
    path.write_text("index,shape-type,vertex-index,axis-0,axis-1\n" + "\n".join(rows) + "\n")
    assert dots_in("napari", path).xy.tolist() == [[15.5, 15.5], [15.5, 35.5]]
    path.write_text("index,axis-0,axis-1,axis-2\n0,0,10,20\n1,3,10,20\n")
    with pytest.raises(AnnotationError, match=r"a\.csv has points in 2 planes"):
        dots_in("napari", path)


def polygon(*corners: tuple[float, float], kind: str = "annotation") -> dict:
    ring = [list(c) for c in (*corners, corners[0])]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": kind}}


def square(x: float, y: float, side: float, kind: str = "annotation") -> dict:
    return polygon((x, y), (x + side, y), (x + side, y + side), (x, y + side), kind=kind)


def geojson(path: Path, features: list[dict], **more: object) -> Dots:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return dots_in("geojson", path)


def test_regions_around_objects_are_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    region = square(0, 0, 90)
    cells = [square(10, 10, 4, "cell"), square(40, 40, 4, "cell")]
    found = geojson(path, [region, *cells])
    assert found.xy.tolist() == [[12, 12], [42, 42]]
    assert found.left_out == ("1 x region around objects",)
    outside = square(150, 50, 20)
    assert (
        len(geojson(path, [region, *cells, outside]).xy) == 2
    )  # annotations among detections are regions, all of them
    assert len(geojson(path, [region, *[square(10 * k, 5, 4) for k in range(5)]]).xy) == 5
    overlapping = [square(0, 0, 10), square(2, 2, 10)]
    assert len(geojson(path, overlapping).xy) == 2
    with pytest.raises(AnnotationError, match="holds another object"):
        geojson(path, [square(0, 0, 10), square(3, 3, 4)])


def test_tiles_are_no_objects(tmp_path: Path) -> None:
    """QuPath divides regions into tiles to measure in them."""
    path = tmp_path / "a.geojson"
    tiles = [square(20 * k, 0, 20, "tile") for k in range(3)]
    found = geojson(path, [*tiles, square(5, 5, 4, "cell")])
    assert (found.xy.tolist(), found.left_out) == ([[7, 7]], ("3 x tile",))
    with pytest.raises(AnnotationError, match="nothing but tiles, which are no objects"):
        geojson(path, tiles)


def test_maps_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    points = [(21.5755, 38.1374), (21.5761, 38.1379)]
    features = [{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": p}} for p in points]
    with pytest.raises(AnnotationError, match="names a crs"):
        geojson(path, features, crs={"type": "name"})
    with pytest.raises(AnnotationError, match="looks like longitude and latitude"):
        geojson(path, features)
    collection = {"type": "GeometryCollection", "geometries": [], "coordinates": []}
    with pytest.raises(AnnotationError, match="'GeometryCollection' is unknown"):
        geojson(path, [{"type": "Feature", "properties": {}, "geometry": collection}])


def selection(xy: list[tuple[float, float]], **more: object) -> bytes:
    roi = roifile.ImagejRoi.frompoints(np.array(xy, dtype=np.float32))
    roi.roitype = roifile.ROI_TYPE.POINT
    for key, value in more.items():
        setattr(roi, key, value)
    return roi.tobytes()


def test_imagej_labels_counters_and_slices(tmp_path: Path) -> None:
    label = roifile.ImagejRoi()
    label.roitype, label.subtype, label.text = roifile.ROI_TYPE.RECT, roifile.ROI_SUBTYPE.TEXT, "cells"
    label.left, label.top, label.right, label.bottom = 5, 5, 50, 20
    path = tmp_path / "a.roi"
    path.write_bytes(label.tobytes())
    found = dots_in("imagej", path)
    assert len(found.xy) == 0
    assert found.left_out == ("1 x text label",)
    counters = {"counters": np.array([0, 2], np.uint8), "counter_positions": np.zeros(2, np.uint32)}
    path.write_bytes(selection([(1.5, 2), (3, 4)], **counters))
    assert dots_in("imagej", path).classes == ("counter 0", "counter 2")
    counters["counter_positions"] = np.array([1, 2], np.uint32)
    path.write_bytes(selection([(1.5, 2), (3, 4)], **counters))
    with pytest.raises(AnnotationError, match="selections in 2 slices"):
        dots_in("imagej", path)


def test_imagej_numbers_that_promise_more_than_the_file_holds(tmp_path: Path) -> None:
    data = bytearray(selection([(1.5, 2)]))
    data[16:18], data[18:22] = b"\0\0", (49_000_000).to_bytes(4, "big")
    (tmp_path / "a.roi").write_bytes(data)
    with pytest.raises(AnnotationError, match="not a readable ImageJ selection"):
        dots_in("imagej", tmp_path / "a.roi")


def test_a_damaged_name_of_a_selection_prints_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The package that reads selections logs it, which would end up on the terminal."""
    data = bytearray(selection([(1.5, 2)]))
    second = int.from_bytes(data[60:64], "big")
    data[second + 20 : second + 24] = (5000).to_bytes(4, "big")  # the length of the name
    roifile.ImagejRoi.frombytes(bytes(data))
    assert "name exceeds" in caplog.text
    caplog.clear()
    (tmp_path / "a.roi").write_bytes(data)
    assert dots_in("imagej", tmp_path / "a.roi").xy.tolist() == [[1.5, 2]]
    assert caplog.text == ""


def test_imagej_regions_around_points_are_no_objects(tmp_path: Path) -> None:
    region = roifile.ImagejRoi()
    region.roitype, region.left, region.top, region.right, region.bottom = roifile.ROI_TYPE.RECT, 0, 0, 100, 80
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("region.roi", region.tobytes())
        archive.writestr("dots.roi", selection([(1.5, 2), (3, 4)]))
        archive.writestr("__MACOSX/._dots.roi", b"\0\5\26\7Mac OS X")
    found = dots_in("imagej", tmp_path / "a.zip")
    assert (found.xy.tolist(), found.left_out) == ([[1.5, 2], [3, 4]], ("1 x region around objects",))
