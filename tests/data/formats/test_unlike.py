"""Numbers that are not what their format says: corners for sides, counts for places, corners of outlines for dots."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dotcount.data import open_collection
from dotcount.data.formats.boxes import areas_of_corners, written_as_corners
from dotcount.errors import AnnotationError, DataError

from ..layouts import picture

SIZE = (64, 48)


def opened(path: Path) -> dict[str, list]:
    return {r.name: r.points.xy.tolist() for r in open_collection(path).records if r.points is not None}


def coco(path: Path, *boxes: list[float], **more: object) -> None:
    picture(path / "a.png", *SIZE)
    rows = [{"id": k, "image_id": 1, "category_id": 1, "bbox": box, **more} for k, box in enumerate(boxes)]
    images = [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}]
    (path / "c.json").write_text(
        json.dumps({"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cell", "keypoints": []}]})
    )


def yolo(path: Path, *lines: str) -> None:
    picture(path / "images" / "a.png", *SIZE)
    (path / "labels").mkdir()
    (path / "labels" / "a.txt").write_text("".join(f"{line}\n" for line in lines))


def table(path: Path, text: str) -> None:
    for name in "ab":
        picture(path / f"{name}.png", *SIZE)
    (path / "dots.csv").write_text(text)


def test_boxes_that_can_only_be_corners() -> None:
    corners = np.array([[30, 20, 40, 30], [10, 10, 20, 20]])
    assert written_as_corners(corners, np.array(SIZE))
    assert not written_as_corners(corners, np.array([200, 200]))  # inside as they stand: nothing can be told
    assert not written_as_corners(np.array([[30, 20, 40, 30], [10, 10, 5, 5]]), np.array(SIZE))
    assert not written_as_corners(np.array([[60, 40, 8, 8]]), np.array(SIZE))  # one that reaches over the border
    assert written_as_corners(np.array([[40, 30, 60, 44]]), np.array(SIZE), centred=True)
    assert not written_as_corners(np.zeros((0, 4)), np.array(SIZE))
    assert areas_of_corners(np.array([[30, 20, 40, 30]]), np.array([100]))
    assert not areas_of_corners(np.array([[30, 20, 40, 30]]), np.array([1200]))
    assert not areas_of_corners(np.array([[30, 20, 40, 30]]), np.array([np.nan]))


def test_coco_corners_are_refused(tmp_path: Path) -> None:
    coco(tmp_path, [30, 20, 40, 30], [10, 10, 20, 20])
    with pytest.raises(DataError, match=r"c\.json: bbox is x, y, width, height in COCO; here .* two corners"):
        opened(tmp_path)


def test_coco_areas_tell_corners(tmp_path: Path) -> None:
    coco(tmp_path, [10, 10, 15, 15], [20, 20, 25, 25], area=25)
    with pytest.raises(DataError, match="can only be two corners"):
        opened(tmp_path)


def test_coco_boxes_over_the_border_are_boxes(tmp_path: Path) -> None:
    coco(tmp_path, [50, 30, 20, 8], [10, 10, 20, 20])
    assert opened(tmp_path) == {"a.png": [[60, 34], [20, 20]]}


def test_coco_box_of_zeros_is_no_place(tmp_path: Path) -> None:
    coco(tmp_path, [0, 0, 0, 0])
    with pytest.raises(AnnotationError, match=r"bbox of an annotation of image a\.png is 0, 0, 0, 0"):
        opened(tmp_path)


def test_coco_keypoints_that_may_be_several_objects(tmp_path: Path) -> None:
    coco(tmp_path, [10, 10, 20, 20], keypoints=[12, 12, 2, 18, 18, 2])
    with pytest.raises(AnnotationError, match="has 2 keypoints, its category 0; they may be so many objects or one"):
        opened(tmp_path)


def test_coco_without_annotations_is_named(tmp_path: Path) -> None:
    coco(tmp_path)
    content = json.loads((tmp_path / "c.json").read_text())
    del content["annotations"]
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="nearly coco: it lists images without annotations"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("0 0.4 0.4 0.6 0.9", "0 0.7 0.7 0.9 0.95"), "such as 0.4 0.4 0.6 0.9 can only be two corners"),
        (("0 0 0 0 0",), "a box of zeros"),
    ],
)
def test_yolo_boxes_that_are_none(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    yolo(tmp_path, *lines)
    with pytest.raises(AnnotationError, match=message):
        opened(tmp_path)


def test_yolo_boxes_over_the_border_are_boxes(tmp_path: Path) -> None:
    yolo(tmp_path, "0 0.95 0.5 0.2 0.1", "0 0.25 0.25 0.1 0.1")
    assert len(opened(tmp_path)["images/a.png"]) == 2


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.csv", "image,xmin,ymin,xmax,ymax\na.png,30,30,10,10\n"),
        (
            "a.xml",
            "<annotation><filename>a.png</filename><object><name>c</name><bndbox><xmin>30</xmin><ymin>10</ymin>"
            "<xmax>10</xmax><ymax>20</ymax></bndbox></object></annotation>",
        ),
        (
            "c.xml",
            '<annotations><image id="0" name="a.png" width="64" height="48"><box label="c" xtl="30" ytl="10" xbr="10" '
            'ybr="20"/></image></annotations>',
        ),
    ],
)
def test_corners_out_of_order_are_refused(tmp_path: Path, file: str, text: str) -> None:
    picture(tmp_path / "a.png", *SIZE)
    (tmp_path / file).write_text(text)
    with pytest.raises(AnnotationError, match="corners are swapped, or two of its numbers are width and height"):
        opened(tmp_path)


def test_csv_sides_that_are_corners_are_refused(tmp_path: Path) -> None:
    table(tmp_path, "image,bbox_x,bbox_y,bbox_width,bbox_height\na.png,30,20,40,30\nb.png,10,10,5,5\n")
    with pytest.raises(AnnotationError, match="can only be two corners, not a corner, a width and a height"):
        opened(tmp_path)


def test_a_box_of_zeros_alone_says_that_the_image_holds_nothing(tmp_path: Path) -> None:
    text = "image_path,xmin,ymin,xmax,ymax,label\na.png,8,10,13,15,Tree\nb.png,0,0,0,0,Tree\n"
    table(tmp_path, text)
    assert opened(tmp_path) == {"a.png": [[10.5, 12.5]], "b.png": []}
    table(tmp_path, text + "b.png,8,10,13,15,Tree\n")
    with pytest.raises(AnnotationError, match="a row without a place for an image that has dots in other rows"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x,y\na.png,10,12\na.png,,\n", "a row without a place for an image that has dots"),
        (
            "survey id,image,cell,dead,x,y\ns,a.png,10,2,,\n",
            "no place in any row, and numbers such as 10 in the column",
        ),
        ("image,x,y,polygon_id\na.png,1,1,7\na.png,5,1,7\n", "lines 2 and 3: two rows have polygon_id 7"),
        ("image,x,y,Track ID\na.png,1,1,7\na.png,2,1,7\n", "two rows have Track ID 7"),
        ("image,x,y,vertex\na.png,1,1,0\na.png,5,1,1\n", "a column 'vertex': its rows are corners of outlines"),
    ],
)
def test_rows_that_are_no_objects_are_refused(tmp_path: Path, text: str, message: str) -> None:
    table(tmp_path, text)
    with pytest.raises(AnnotationError, match=message):
        opened(tmp_path)


def test_numbers_of_outlines_that_do_not_repeat_are_fine(tmp_path: Path) -> None:
    table(tmp_path, "image,x,y,shape_id\na.png,1,1,1\na.png,5,1,2\nb.png,1,1,1\n")
    assert {name: len(xy) for name, xy in opened(tmp_path).items()} == {"a.png": 2, "b.png": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("before", ["", "# made by hand\n", "# made by hand\n# in 2024\n"])
def test_comments_and_encodings_of_a_table(tmp_path: Path, encoding: str, before: str) -> None:
    table(tmp_path, "")
    (tmp_path / "dots.csv").write_bytes(f"{before}image,x,y\na.png,10,12\nb.png,1,2\n".encode(encoding))
    assert opened(tmp_path) == {"a.png": [[10.5, 12.5]], "b.png": [[1.5, 2.5]]}


def test_a_header_behind_a_hash_is_no_comment(tmp_path: Path) -> None:
    table(tmp_path, "# image,x,y\na.png,10,12\nb.png,1,2\n")
    assert opened(tmp_path) == {"a.png": [[10.5, 12.5]], "b.png": [[1.5, 2.5]]}


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        ("a.png,9.00012,48.70015\na.png,9.00032,48.70025\n", True),
        ("a.png,9.00012,48.70015\nb.png,9.00032,48.70025\n", True),
        ("a.png,9.1,48.7\na.png,9.3,48.2\n", False),  # clicks of one object
        ("a.png,9.00012,48.70015\na.png,39.00032,48.70025\n", False),
    ],
)
def test_degrees_in_columns_called_x_and_y(tmp_path: Path, rows: str, refused: bool) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png", 640, 480)
    listed = "b.png,,\n" if "b.png" not in rows else ""
    (tmp_path / "dots.csv").write_text(f"image,x,y\n{rows}{listed}")
    if refused:
        with pytest.raises(AnnotationError, match="they look like longitude and latitude; convert them to px"):
            opened(tmp_path)
    else:
        assert sum(map(len, opened(tmp_path).values())) == 2


def test_counts_in_images_csv_that_contradict_the_dots_are_told(tmp_path: Path) -> None:
    table(tmp_path, "image,x,y\na.png,10,12\nb.png,1,2\n")
    (tmp_path / "images.csv").write_text("image,count\na.png,1\nb.png,7\n")
    found = open_collection(tmp_path)
    assert [(each.path, each.reason) for each in found.left_out] == [
        ("b.png", "another number of dots is stated in images.csv")
    ]


def test_via_rect_of_zeros_is_no_place(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", *SIZE)
    shape = {"name": "rect", "x": 0, "y": 0, "width": 0, "height": 0}
    regions = [{"shape_attributes": shape, "region_attributes": {}}]
    (tmp_path / "via.json").write_text(json.dumps({"a": {"filename": "a.png", "size": 1, "regions": regions}}))
    with pytest.raises(AnnotationError, match=r"a rect of a\.png is 0, 0, 0, 0"):
        opened(tmp_path)
