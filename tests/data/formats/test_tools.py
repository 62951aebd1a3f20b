"""Files as the tools themselves write them; the structure is from each tool's documentation, cited in its reader."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from dotcount.data import open_collection
from dotcount.data.formats import FORMATS, Sidecar, Table
from dotcount.data.layout import Dots
from dotcount.errors import AnnotationError, DataError

from ..layouts import picture


def dots_in(format: str, path: Path, width: int = 200, height: int = 100) -> Dots:
    reader = FORMATS.create(format)
    assert isinstance(reader, Sidecar)
    assert reader.recognises(path)
    return reader.read(path, width, height)


def listed_in(format: str, path: Path, width: int = 200, height: int = 100) -> dict[str, Dots]:
    reader = FORMATS.create(format)
    assert isinstance(reader, Table)
    assert reader.recognises(path)
    return {name: listed.read(width, height) for name, listed in reader.read(path)}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_coco_instances_and_person_keypoints(tmp_path: Path) -> None:
    content = {
        "info": {"year": 2017},
        "images": [{"id": 7, "file_name": "a.jpg", "width": 200, "height": 100}, {"id": 9, "file_name": "b.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [0, 0, 0, 5, 6, 2]},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 200, 100], "iscrowd": 1, "segmentation": {}},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
    }
    found = listed_in("coco", write(tmp_path / "instances.json", content))
    assert found["a.jpg"].xy.tolist() == [[25.0, 40.0], [5.0, 6.0]]
    assert found["a.jpg"].classes == ("dog", "person")
    assert len(found["b.jpg"].xy) == 0


def test_cvat_for_images(tmp_path: Path) -> None:
    text = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><name>trees</name><size>2</size></task></meta>
  <image id="0" name="a/b 1.jpg" width="200" height="100">
    <points label="tree" source="manual" occluded="0" points="10.50,20.25;30.00,40.75" z_order="0"></points>
    <box label="car" occluded="0" source="manual" xtl="100.00" ytl="10.00" xbr="120.00" ybr="30.00" z_order="0"></box>
    <polygon label="roof" source="manual" occluded="0" points="0,0;10,0;10,10;0,10" z_order="0"></polygon>
    <tag label="sunny" source="manual"></tag>
  </image>
  <image id="1" name="c.jpg" width="200" height="100"></image>
</annotations>"""
    found = listed_in("cvat", write(tmp_path / "annotations.xml", text))
    assert found["a/b 1.jpg"].xy.tolist() == [[10.5, 20.25], [30.0, 40.75], [110.0, 20.0], [5.0, 5.0]]
    assert found["a/b 1.jpg"].classes == ("tree", "tree", "car", "roof")
    assert len(found["c.jpg"].xy) == 0
    video = write(tmp_path / "video.xml", "<annotations><track id='0' label='car'></track></annotations>")
    with pytest.raises(AnnotationError, match="export it as CVAT for images"):
        FORMATS.create("cvat").read(video)  # type: ignore[attr-defined]


def test_label_studio(tmp_path: Path) -> None:
    def result(kind: str, **value: object) -> dict:
        return {"type": kind, "from_name": "l", "to_name": "i", "original_width": 200, "value": value}

    tasks = [
        {
            "id": 1,
            "data": {"image": "/data/upload/3/8f2a-a.jpg"},
            "annotations": [
                {"was_cancelled": True, "result": []},
                {
                    "was_cancelled": False,
                    "result": [
                        result("keypointlabels", x=50, y=25.0, width=0.3, keypointlabels=["bee"]),
                        result("rectanglelabels", x=10, y=10, width=20, height=40, rotation=0, rectanglelabels=["fly"]),
                        result("rectanglelabels", x=50, y=0, width=10, height=40, rotation=90, rectanglelabels=["fly"]),
                        result("choices", choices=["sharp"]),
                    ],
                },
            ],
            "predictions": [{"result": [result("keypointlabels", x=1, y=1, keypointlabels=["bee"])]}],
        },
        {"id": 2, "data": {"image": "/data/local-files/?d=set/b.jpg"}, "annotations": [{"result": []}]},
        {"id": 3, "data": {"image": "https://example.com/x/c%20d.jpg"}, "annotations": []},
    ]
    found = listed_in("label_studio", write(tmp_path / "export.json", tasks))
    assert list(found) == ["/data/upload/3/8f2a-a.jpg", "set/b.jpg"]
    # Turned by 90 degrees about (100, 0) px, the 20 x 40 px box has its centre at (100 - 20, 10).
    np.testing.assert_allclose(found["/data/upload/3/8f2a-a.jpg"].xy, [[100, 25], [40, 30], [80, 10]], atol=1e-9)
    assert found["/data/upload/3/8f2a-a.jpg"].classes == ("bee", "fly", "fly")
    assert len(found["set/b.jpg"].xy) == 0


def test_label_studio_uploads_are_found_by_name(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    task = {"data": {"image": "https://host/data/images/a.jpg"}, "annotations": [{"result": []}]}
    write(tmp_path / "export.json", [task])
    assert [r.count for r in open_collection(tmp_path).records] == [0]


@pytest.mark.parametrize("project", [False, True])
def test_via(tmp_path: Path, project: bool) -> None:
    def region(kind: str, name: object, **shape: object) -> dict:
        return {"shape_attributes": {"name": kind, **shape}, "region_attributes": {"type": name}}

    entries = {
        "a.jpg123": {
            "filename": "a.jpg",
            "size": 123,
            "regions": [
                region("point", "cell", cx=10, cy=20),
                region("circle", {"round": True, "flat": False}, cx=30, cy=40, r=5),
                region("rect", "cell", x=10, y=10, width=20, height=10),
                region("polygon", "cell", all_points_x=[0, 6, 6, 0], all_points_y=[0, 0, 4, 4]),
            ],
            "file_attributes": {},
        },
        "b.jpg9": {"filename": "b.jpg", "size": 9, "regions": {"0": region("point", "cell", cx=1.5, cy=2)}},
    }
    content = {"_via_settings": {}, "_via_img_metadata": entries, "_via_attributes": {}} if project else entries
    found = listed_in("via", write(tmp_path / "via.json", content))
    assert found["a.jpg"].xy.tolist() == [[10, 20], [30, 40], [20, 15], [3, 2]]
    assert found["a.jpg"].classes == ("cell", "round", "cell", "cell")
    assert found["b.jpg"].xy.tolist() == [[1.5, 2]]


def test_labelme(tmp_path: Path) -> None:
    def shape(kind: str, points: list, label: str = "cell") -> dict:
        return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, "mask": None}

    shapes = [
        shape("point", [[10.25, 20.5]]),
        shape("rectangle", [[10, 10], [30, 20]], "box"),
        shape("circle", [[50, 50], [55, 50]]),
        shape("polygon", [[0, 0], [9, 0], [0, 9]]),
    ]
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "a.jpg", "imageData": None}
    dots = dots_in("labelme", write(tmp_path / "a.json", content))
    np.testing.assert_allclose(dots.xy, [[10.25, 20.5], [20, 15], [50, 50], [3, 3]])
    assert dots.classes == ("cell", "box", "cell", "cell")


def test_voc(tmp_path: Path) -> None:
    text = """<annotation>
	<folder>VOC2007</folder><filename>000005.jpg</filename>
	<size><width>200</width><height>100</height><depth>3</depth></size>
	<object><name>chair</name><pose>Rear</pose><truncated>0</truncated><difficult>0</difficult>
		<bndbox><xmin>1</xmin><ymin>11</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object>
</annotation>"""
    dots = dots_in("voc", write(tmp_path / "000005.xml", text))
    assert dots.xy.tolist() == [[5.0, 15.0]]  # the first ten pixels span [0, 10)
    assert dots.classes == ("chair",)
    write(tmp_path / "bad.xml", "<annotation><object><name>x</name></object></annotation>")
    with pytest.raises(AnnotationError, match="bndbox of an object is missing"):
        dots_in("voc", tmp_path / "bad.xml")


def test_yolo_boxes_polygons_and_names(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / f"images/{split}/a.jpg", 200, 100)
        picture(tmp_path / f"images/{split}/background.jpg", 200, 100)
        (tmp_path / f"labels/{split}").mkdir(parents=True)
        text = "1 0.5 0.5 0.1 0.2\n0 0.1 0.2 0.3 0.2 0.3 0.4 0.1 0.4\n"
        write(tmp_path / f"labels/{split}/a.txt", text)
    write(tmp_path / "data.yaml", "train: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n")
    collection = open_collection(tmp_path)
    assert collection.format == "yolo"
    assert {r.name: (r.split, r.count) for r in collection.records} == {
        "images/train/a.jpg": ("train", 2),
        "images/train/background.jpg": ("train", 0),
        "images/val/a.jpg": ("val", 2),
        "images/val/background.jpg": ("val", 0),
    }
    first = collection.records[0]
    assert first.points is not None
    np.testing.assert_allclose(first.points.xy, [[100, 50], [40, 30]])
    assert first.classes == ("dog", "cat")
    assert open_collection(tmp_path, classes=["cat"]).n_dots == 2
    write(tmp_path / "labels/val/a.txt", "0 0.5 0.5 0.1\n")
    with pytest.raises(DataError, match=r"a\.txt, line 1: .* is not a class and a box"):
        open_collection(tmp_path)


@pytest.mark.parametrize("wrapped", [True, False])
def test_qupath_geojson(tmp_path: Path, wrapped: bool) -> None:
    def feature(kind: str, coordinates: list, name: str | None) -> dict:
        properties: dict = {"objectType": "annotation"}
        if name:
            properties["classification"] = {"name": name, "color": [200, 0, 0]}
        geometry = {"type": kind, "coordinates": coordinates}
        return {"type": "Feature", "id": "d8c0", "geometry": geometry, "properties": properties}

    features = [
        feature("MultiPoint", [[10.5, 20.25], [30, 40]], "Tumor"),
        feature("Point", [21, 2], None),
        feature("Polygon", [[[0, 0], [10, 0], [10, 4], [0, 4], [0, 0]]], "Stroma"),
    ]
    content = {"type": "FeatureCollection", "features": features} if wrapped else features
    dots = dots_in("geojson", write(tmp_path / "a.geojson", content))
    assert dots.xy.tolist() == [[10.5, 20.25], [30, 40], [21, 2], [5, 2]]
    assert dots.classes == ("Tumor", "Tumor", "", "Stroma")


def test_napari_counts_from_pixel_centres(tmp_path: Path) -> None:
    dots = dots_in("napari", write(tmp_path / "a.csv", "index,axis-0,axis-1\n0.0,20.0,10.0\n1.0,40.5,30.25\n"))
    assert dots.xy.tolist() == [[10.5, 20.5], [30.75, 41.0]]
    stack = dots_in("napari", write(tmp_path / "b.csv", "index,axis-0,axis-1,axis-2\n0,7,20,10\n"))
    assert stack.xy.tolist() == [[10.5, 20.5]]


def test_imagej_results_table(tmp_path: Path) -> None:
    text = " ,Label,Area,Mean,Min,Max,X,Y\n1,a.tif,0,83,83,83,10.50,20.25\n2,a.tif,0,75,75,75,30.00,40.75\n"
    dots = dots_in("csv_per_image", write(tmp_path / "a.csv", text))
    assert dots.xy.tolist() == [[10.5, 20.25], [30.0, 40.75]]
    assert dots.classes == ()


def roi(kind: int, bounds: tuple[int, int, int, int], whole: list, fine: list | None = None, large: int = 0) -> bytes:
    """A selection as ImageJ's RoiEncoder lays it out; ``bounds`` are top, left, bottom, right."""
    n = len(whole)
    data = bytearray(128 + 4 * n + (8 * n if fine else 0))
    data[:4] = b"Iout"
    struct.pack_into(">hBB4hH", data, 4, 228, kind, 0, *bounds, n)
    struct.pack_into(">h", data, 50, 128 if fine else 0)
    struct.pack_into(">i", data, 60, len(data) - 64)
    for k, (x, y) in enumerate(whole):
        struct.pack_into(">h", data, 64 + 2 * k, x - bounds[1])
        struct.pack_into(">h", data, 64 + 2 * (n + k), y - bounds[0])
    for k, (x, y) in enumerate(fine or []):
        struct.pack_into(">f", data, 64 + 4 * n + 4 * k, x)
        struct.pack_into(">f", data, 64 + 8 * n + 4 * k, y)
    return bytes(data)


def test_imagej_selections(tmp_path: Path) -> None:
    (tmp_path / "fine.roi").write_bytes(roi(10, (20, 10, 41, 31), [(10, 20), (30, 40)], [(10.5, 20.25), (30.75, 40)]))
    assert dots_in("imagej", tmp_path / "fine.roi").xy.tolist() == [[10.5, 20.25], [30.75, 40.0]]
    (tmp_path / "whole.roi").write_bytes(roi(10, (20, 10, 41, 31), [(10, 20), (30, 40)]))
    assert dots_in("imagej", tmp_path / "whole.roi").xy.tolist() == [[10.5, 20.5], [30.5, 40.5]]
    (tmp_path / "oval.roi").write_bytes(roi(2, (10, 20, 30, 60), []))
    assert dots_in("imagej", tmp_path / "oval.roi").xy.tolist() == [[40.0, 20.0]]
    (tmp_path / "free.roi").write_bytes(roi(7, (0, 0, 10, 10), [(0, 0), (10, 0), (10, 10), (0, 10)]))
    assert dots_in("imagej", tmp_path / "free.roi").xy.tolist() == [[5.0, 5.0]]


def test_imagej_roi_manager_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "RoiSet.zip", "w") as archive:
        for x, y in [(3, 4), (30, 40)]:
            archive.writestr(f"0001-{y:04d}-{x:04d}.roi", roi(10, (y, x, y + 1, x + 1), [(x, y)]))
        archive.writestr("../../evil.roi", roi(10, (7, 6, 8, 7), [(6, 7)]))
        archive.writestr("notes.txt", "not a selection")
    dots = dots_in("imagej", tmp_path / "RoiSet.zip")
    assert dots.xy.tolist() == [[3.5, 4.5], [30.5, 40.5], [6.5, 7.5]]
    assert sorted(p.name for p in tmp_path.parent.glob("**/evil*")) == []  # nothing is ever unpacked


def test_mat_as_the_crowd_sets_write_it(tmp_path: Path) -> None:
    xy = np.array([[1.5, 2.5], [3.0, 4.0], [5.0, 6.0]])
    scipy.io.savemat(tmp_path / "qnrf.mat", {"annPoints": xy})
    info = np.empty((1, 1), dtype=object)
    info[0, 0] = {"location": xy, "number": 3}
    scipy.io.savemat(tmp_path / "sht.mat", {"image_info": info})
    scipy.io.savemat(tmp_path / "own.mat", {"note": "by hand", "my_dots": xy.astype(np.int32)})
    scipy.io.savemat(tmp_path / "none.mat", {"annPoints": np.zeros((0, 0))})
    assert dots_in("mat", tmp_path / "qnrf.mat").xy.tolist() == xy.tolist()
    assert dots_in("mat", tmp_path / "sht.mat").xy.tolist() == xy.tolist()
    assert dots_in("mat", tmp_path / "own.mat").xy.tolist() == xy.astype(int).tolist()
    assert len(dots_in("mat", tmp_path / "none.mat").xy) == 0


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_mat_v73(tmp_path: Path, n: int) -> None:
    """HDF5 with columns first, cells as references and empty arrays as their size, as MATLAB writes them."""
    xy = np.arange(2.0 * n).reshape(n, 2) + 0.5
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        stored = file.create_dataset("#refs#/a/location", data=xy.T if n else np.array([0, 2], dtype=np.uint64))
        if not n:
            stored.attrs["MATLAB_empty"] = np.uint8(1)
        file["#refs#/a/number"] = np.array([[float(n)]])
        file.create_dataset("image_info", data=np.array([[file["#refs#/a"].ref]], dtype=h5py.ref_dtype))
    with (tmp_path / "a.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .")
    assert dots_in("mat", tmp_path / "a.mat").xy.tolist() == xy.tolist()


def test_mat_v73_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("annPoints", (2, 10**9), dtype="f8", chunks=(2, 10**4), compression="gzip")  # 16 GB in 2 kB
    assert (tmp_path / "a.mat").stat().st_size < 10_000
    with pytest.raises(AnnotationError, match=r"a\.mat is not a readable .*unpacks to more than 256 MB"):
        FORMATS.create("mat").read(tmp_path / "a.mat", 200, 100)  # type: ignore[attr-defined]


def test_mat_without_dots_names_its_variables(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"table": np.eye(3), "word": "x"})
    with pytest.raises(AnnotationError, match=r"holds no \(n, 2\) array of dots \(variables: table \(3 x 3\), word\)"):
        dots_in("mat", tmp_path / "a.mat")


def mask_of(
    cells: list[tuple[int, int]], colour: tuple[int, int, int], background: tuple[int, int, int]
) -> Image.Image:
    pixels = np.full((100, 200, 3), background, dtype=np.uint8)
    for x, y in cells:
        pixels[y, x] = colour
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("colour", "background"),
    [((255, 0, 0), (0, 0, 0)), ((255, 0, 255), (0, 0, 255)), ((0, 0, 0), (255, 255, 255))],
    ids=["red on black", "red where blue is saturated", "black on white"],
)
def test_single_pixel_masks_count_touching_pixels_apart(tmp_path: Path, colour: tuple, background: tuple) -> None:
    mask_of([(10, 20), (11, 20), (50, 60), (70, 80)], colour, background).save(tmp_path / "a.png")
    dots = dots_in("dot_mask", tmp_path / "a.png")
    assert dots.xy.tolist() == [[10.5, 20.5], [11.5, 20.5], [50.5, 60.5], [70.5, 80.5]]


def test_blobs_give_their_centres_even_through_jpeg(tmp_path: Path) -> None:
    cells = [(x + i, y + j) for x, y in ((20, 30), (100, 50), (150, 80)) for i in range(5) for j in range(5)]
    mask_of(cells, (255, 255, 255), (0, 0, 0)).save(tmp_path / "a.jpg", quality=90)
    dots = dots_in("dot_mask", tmp_path / "a.jpg")
    np.testing.assert_allclose(dots.xy, [[22.5, 32.5], [102.5, 52.5], [152.5, 82.5]], atol=0.3)


def test_empty_masks_hold_nothing(tmp_path: Path) -> None:
    Image.new("L", (200, 100)).save(tmp_path / "a.png")
    assert len(dots_in("dot_mask", tmp_path / "a.png").xy) == 0


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_instance_masks(tmp_path: Path, depth: type) -> None:
    labels = np.zeros((100, 200), dtype=depth)
    labels[10:20, 30:50] = 1
    labels[10:20, 50:60] = 2  # touches the first
    labels[60:90, 100:101] = 200 if depth is np.uint8 else 40_000
    Image.fromarray(labels).save(tmp_path / "a.png")
    dots = dots_in("instance_mask", tmp_path / "a.png")
    assert dots.xy.tolist() == [[40.0, 15.0], [55.0, 15.0], [100.5, 75.0]]


@pytest.mark.parametrize(
    ("image", "mask"),
    [("a1cell.png", "a1dots.png"), ("images/a.jpg", "masks/a.png"), ("plate 1.png", "plate 1_mask.png")],
)
def test_masks_beside_their_images(tmp_path: Path, image: str, mask: str) -> None:
    picture(tmp_path / image, 200, 100)
    (tmp_path / mask).parent.mkdir(exist_ok=True)
    mask_of([(10, 20), (30, 40), (50, 60)], (255, 0, 0), (0, 0, 0)).save(tmp_path / mask)
    collection = open_collection(tmp_path)
    assert collection.format == "dot_mask"
    assert {r.name: r.count for r in collection.records} == {image: 3}
    Image.new("RGB", (50, 50)).save(tmp_path / mask)
    with pytest.raises(DataError, match="50 x 50 px, its image 200 x 100"):
        open_collection(tmp_path, format="dot_mask")


def test_masks_next_to_csv_are_not_taken_for_images(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", 200, 100)
    (tmp_path / "points").mkdir()
    mask_of([(10, 20)], (255, 0, 0), (0, 0, 0)).save(tmp_path / "points/a.png")
    (tmp_path / "points_csv").mkdir()
    (tmp_path / "points_csv/a.csv").write_text("x,y\n10,20\n")
    collection = open_collection(tmp_path)
    assert (collection.format, [r.name for r in collection.records]) == ("csv_per_image", ["images/a.png"])


@pytest.mark.parametrize("format", ["cvat", "voc"])
def test_entities_in_xml_are_refused(tmp_path: Path, format: str) -> None:
    root = "annotations" if format == "cvat" else "annotation"
    text = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n<{root}>&b;</{root}>'
    path = write(tmp_path / "a.xml", text)
    with pytest.raises(AnnotationError, match="document type or entities"):
        dots_in(format, path) if format == "voc" else listed_in(format, path)


def test_archives_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dotcount.data.formats import imagej

    with zipfile.ZipFile(tmp_path / "RoiSet.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", bytes(100_000))
    monkeypatch.setattr(imagej, "_MAX_BYTES", 10_000)
    with pytest.raises(AnnotationError, match="may be a trap"):
        dots_in("imagej", tmp_path / "RoiSet.zip")


def test_deep_json_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", "[" * 100_000)
    with pytest.raises(AnnotationError, match=r"nested too deeply|not valid JSON"):
        FORMATS.create("labelme").read(path, 1, 1)  # type: ignore[attr-defined]


def test_a_damaged_file_among_good_ones_is_named(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path / f"{k}.png")
        shapes = [{"label": "a", "points": [[1.5, 2]], "shape_type": "point"}]
        write(tmp_path / f"{k}.json", {"shapes": shapes, "imagePath": f"{k}.png"})
    write(tmp_path / "1.json", '{"shapes": [')
    with pytest.raises(DataError, match=r"1\.json is not valid JSON"):
        open_collection(tmp_path)
    assert [r.error is None for r in open_collection(tmp_path, strict=False).records] == [True, False, True]
