"""Every shape of tools that write JSON is a dot in the right place, or an error naming file, image and shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotcount.data import open_collection
from dotcount.errors import AnnotationError, DataError

from ..layouts import picture
from .test_tools import dots_in, listed_in, write


def coco(path: Path, *annotations: dict[str, Any], **top: Any) -> Path:
    images = [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}, {"id": "2", "file_name": "b.jpg"}]
    rows = [{"id": k, "image_id": 1, "category_id": 1, **a} for k, a in enumerate(annotations)]
    return write(path / "c.json", {"images": images, "annotations": rows, "categories": [], **top})


RING = [[10, 10, 20, 10, 20, 20, 10, 20]]


@pytest.mark.parametrize(
    ("annotation", "xy"),
    [
        ({"segmentation": RING}, [[15, 15]]),
        ({"segmentation": [*RING, [30, 10, 40, 10, 40, 20]], "bbox": []}, [[25, 15]]),
        ({"bbox": ["10", 10.0, 4, 4]}, [[12, 12]]),
        ({"bbox": [0, 0, 0, 0], "segmentation": RING}, [[15, 15]]),
        ({"bbox": [10, 10, 4, 4], "keypoints": [0, 0, 0], "num_keypoints": 0}, [[12, 12]]),
        ({"keypoints": [0, 0, 0, 7, 8, 0.93], "bbox": [0, 0, 0, 0]}, [[7, 8]]),
        ({"image_id": "1", "bbox": [10, 10, 4, 4], "category_id": "1"}, [[12, 12]]),
        ({"image_id": 1.0, "bbox": [10, 10, 4, 4]}, [[12, 12]]),
        ({"bbox": [10, 10, 4, 4], "iscrowd": 1, "segmentation": {"counts": [5], "size": [1, 5]}}, [[12, 12]]),
    ],
)
def test_coco_places(tmp_path: Path, annotation: dict[str, Any], xy: list) -> None:
    assert listed_in("coco", coco(tmp_path, annotation))["a.jpg"].xy.tolist() == xy


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"segmentation": {"counts": "ab", "size": [4, 4]}}, r"image a\.jpg is a run-length mask without bbox"),
        ({"caption": "a cell"}, r"image a\.jpg has neither keypoints nor bbox nor polygon .*caption"),
        ({"segments_info": [{"id": 4}]}, "panoptic"),
        ({"bbox": [1, 2, 3, 4, 30]}, r"bbox of an annotation of image a\.jpg is not x, y, width, height"),
        ({"bbox": [1, 2, 3, float("nan")]}, "nan, not a finite number"),
        ({"bbox": [1, 2, 3, 10**400]}, "not a finite number"),
        ({"bbox": [1, 2, 3, True]}, "True, not a finite number"),
        ({"keypoints": [10, 20, 30, 40]}, "not x, y, visibility"),
        ({"keypoints": [10, 20, 30]}, "not x, y, visibility"),
        ({"segmentation": [[1, 2, 3]]}, "a polygon of an annotation"),
        ({"bbox": [1, 2, 3, 4], "category_id": [1]}, "category_id is missing, or neither a number nor text"),
    ],
)
def test_coco_that_is_not_understood(tmp_path: Path, annotation: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        listed_in("coco", coco(tmp_path, annotation))


def test_coco_annotations_by_their_ids(tmp_path: Path) -> None:
    """As LIVECell has them."""
    path = coco(tmp_path, annotations={"7": {"id": 7, "image_id": 1, "category_id": 1, "bbox": [10, 10, 4, 4]}})
    assert listed_in("coco", path)["a.jpg"].xy.tolist() == [[12, 12]]


def test_coco_crowds_are_left_out_and_told_or_refused(tmp_path: Path) -> None:
    crowd = {"bbox": [0, 0, 100, 50], "iscrowd": 1}
    dots = listed_in("coco", coco(tmp_path, {"bbox": [10, 10, 4, 4]}, crowd, crowd))["a.jpg"]
    assert (dots.xy.tolist(), dots.left_out) == ([[12, 12]], ("2 crowd regions (iscrowd 1)",))
    painted = {"bbox": [20, 10, 4, 4], "iscrowd": 1, "attributes": {"occluded": False}}
    assert len(listed_in("coco", coco(tmp_path, {"bbox": [10, 10, 4, 4]}, painted))["a.jpg"].xy) == 2
    with pytest.raises(AnnotationError, match=r"image b\.jpg has only crowd regions"):
        listed_in("coco", coco(tmp_path, {"bbox": [10, 10, 4, 4]}, {**crowd, "image_id": 2}))


def test_coco_annotations_marked_ignore_and_exact_repeats_are_left_out(tmp_path: Path) -> None:
    one, ignored = {"id": 3, "bbox": [10, 10, 4, 4]}, {"id": 4, "bbox": [30, 10, 4, 4], "ignore": 1}
    dots = listed_in("coco", coco(tmp_path, one, ignored, one, {**one, "id": 5}))["a.jpg"]
    assert dots.xy.tolist() == [[12, 12], [12, 12]]  # another id: another object
    assert dots.left_out == ("1 annotations marked ignore", "1 exact repeats of an annotation")


def test_coco_categories_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"image a\.jpg has the category_id 77, which no category has"):
        listed_in(
            "coco", coco(tmp_path, {"bbox": [10, 10, 4, 4], "category_id": 77}, categories=[{"id": 1, "name": "cell"}])
        )


@pytest.mark.parametrize("owner", [7, "x", None, [1], {"a": 1}, 1.5, True])
def test_coco_annotations_of_no_image_are_refused(tmp_path: Path, owner: object) -> None:
    with pytest.raises(AnnotationError, match=r"c\.json: .*image_id"):
        listed_in("coco", coco(tmp_path, {"bbox": [10, 10, 4, 4], "image_id": owner}))


def test_coco_images_that_share_an_id_are_refused(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": "1", "file_name": "b.jpg"}]
    with pytest.raises(AnnotationError, match=r"a\.jpg and b\.jpg share the id 1"):
        listed_in("coco", coco(tmp_path, images=images))


def task(*results: dict[str, Any], image: str = "a.jpg", **more: Any) -> dict[str, Any]:
    return {"data": {"image": image}, "annotations": [{"result": list(results), **more}]}


def result(kind: str, **value: Any) -> dict[str, Any]:
    return {"id": "q", "type": kind, "value": value}


SQUARE = [{"x": x, "y": y} for x, y in ((40, 40), (60, 40), (60, 60), (40, 60))]


@pytest.mark.parametrize(
    ("results", "xy", "classes"),
    [
        ([result("vectorlabels", closed=True, vertices=SQUARE, vectorlabels=["c"])], [[100, 50]], ("c",)),
        ([result("vector", closed=False, vertices=SQUARE[:2])], [[100, 40]], ()),
        ([result("ellipselabels", x=50, y=50, radiusX=1, radiusY=2, ellipselabels=["c"])], [[100, 50]], ("c",)),
        ([result("keypoint", x=50, y=50), result("labels", x=50, y=50, labels=["c"])], [[100, 50]], ("c",)),
        ([result("labels", x=1, labels=["c"]), result("keypoint", x=50, y=50)], [[100, 50]], ("c",)),
        (
            [result("choices", choices=["sharp"]), {"type": "relation", "from_id": "q", "to_id": "q"}]
            + [result("keypoint", x=50, y=50)],
            [[100, 50]],
            (),
        ),
    ],
)
def test_label_studio_places(tmp_path: Path, results: list, xy: list, classes: tuple) -> None:
    found = listed_in("label_studio", write(tmp_path / "e.json", [task(*results)]))["a.jpg"]
    np.testing.assert_allclose(found.xy, np.reshape(xy, (-1, 2)))
    assert found.classes == classes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [task(result("brushlabels", format="rle", rle=[1], brushlabels=["c"]))],
            r"a brush of image a\.jpg gives no dot",
        ),
        ([task(result("bitmask", imageDataURL="data:"))], r"a bitmask of image a\.jpg gives no dot"),
        ([task(result("videorectangle", sequence=[]))], "a videorectangle of image"),
        ([task({**result("keypoint", x=1, y=1), "image_rotation": 90})], "was turned while it was annotated"),
        (
            [task({**result("keypoint", x=1, y=1), "original_width": 100, "original_height": 200})],
            "states 100 x 200 px",
        ),
        ([task(result("labels", labels=["c"]))], "belong to no region"),
        ([task(result("choices", choices=["many"]))], r"answers about whole images \(choices\) and no place"),
        ([task(was_cancelled=True)], "none of its 1 tasks is annotated: they are open, skipped or cancelled"),
        ([{"data": {"image": "a.jpg"}, "annotations": [], "predictions": [{}]}], "1 have predictions alone"),
        (
            [
                {
                    "data": {"image": "a.jpg"},
                    "annotations": [
                        {"completed_by": 1, "result": [result("keypoint", x=1, y=1)]},
                        {"completed_by": 2, "result": [result("keypoint", x=k, y=1) for k in (1, 9)]},
                    ],
                }
            ],
            "2 people annotated image a.jpg and differ in the number of objects",
        ),
        ([{"data": {"site": "north", "crew": "b"}, "annotations": [{"result": []}]}], "names no|names more than one"),
        ([{"data": {"l": "a.jpg", "r": "b.jpg"}, "annotations": [{"result": []}]}], "more than one image"),
        ([{"data": {"image": "a.jpg"}, "annotations": [3]}], "an annotation is missing or of the wrong kind"),
    ],
)
def test_label_studio_that_is_not_understood(tmp_path: Path, content: list, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        listed_in("label_studio", write(tmp_path / "e.json", content))


def test_label_studio_several_annotations_of_one_task(tmp_path: Path) -> None:
    one, two = (task(*[result("keypoint", x=k, y=k) for k in range(n)])["annotations"][0] for n in (1, 2))
    both = {"data": {"image": "a.jpg"}, "annotations": [one, two]}
    found = listed_in("label_studio", write(tmp_path / "e.json", [both]))["a.jpg"]
    assert (len(found.xy), found.left_out) == (2, ("1 earlier annotations of the same image",))
    sure = {**both, "annotations": [{**one, "ground_truth": True}, two]}
    found = listed_in("label_studio", write(tmp_path / "e.json", [sure]))["a.jpg"]
    assert (len(found.xy), found.left_out) == (1, ())
    empty = {**both, "annotations": [one, {"result": []}]}
    with pytest.raises(AnnotationError, match=r"image a\.jpg the last is empty and another is not"):
        listed_in("label_studio", write(tmp_path / "e.json", [empty]))


def labelme(path: Path, *shapes: dict[str, Any], **top: Any) -> Path:
    rows = [{"label": "cell", "group_id": None, **s} for s in shapes]
    return write(path / "a.json", {"shapes": rows, "imagePath": "a.jpg", **top})


@pytest.mark.parametrize(
    ("shapes", "xy"),
    [
        ([{"shape_type": "linestrip", "points": [[0, 0], [10, 0], [10, 30]]}], [[8.75, 11.25]]),
        ([{"shape_type": "mask", "points": [[10, 10], [19, 29]], "mask": "iVBOR"}], [[15, 20]]),
        ([{"shape_type": "oriented_rectangle", "points": [[0, 0], [4, 4], [0, 8], [-4, 4]]}], [[0, 4]]),
        ([{"points": [[0, 0], [4, 0], [4, 4], [0, 4]]}], [[2, 2]]),
        (
            [
                {"shape_type": "polygon", "points": [[0, 0], [4, 0], [4, 4]], "group_id": 3},
                {"shape_type": "rectangle", "points": [[10, 0], [20, 8]], "group_id": 3},
                {"shape_type": "rectangle", "points": [[50, 0], [60, 8]], "group_id": 3, "label": "other"},
            ],
            [[10, 4], [55, 4]],
        ),
    ],
)
def test_labelme_places(tmp_path: Path, shapes: list, xy: list) -> None:
    np.testing.assert_allclose(dots_in("labelme", labelme(tmp_path, *shapes)).xy, xy)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([{"shape_type": "points", "points": [[1, 1], [2, 2]]}], "of type points with 2 points gives no dot"),
        ([{"shape_type": "cuboid", "points": [[1, 1]] * 8}], "of type cuboid with 8 points"),
        ([{"shape_type": "point", "points": [[k, k]], "group_id": 1} for k in (1, 2)], "may be one object or several"),
        ([{"shape_type": "point", "points": []}], "not a list of points"),
    ],
)
def test_labelme_that_is_not_understood(tmp_path: Path, shapes: list, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        dots_in("labelme", labelme(tmp_path, *shapes))


@pytest.mark.parametrize(("width", "height"), [(100, 50), (100, 200), (201, 100)])
def test_stated_sizes_are_compared(tmp_path: Path, width: int, height: int) -> None:
    shape = {"shape_type": "point", "points": [[1, 1]]}
    files = {
        "labelme/a.json": {"shapes": [{"label": "c", **shape}], "imageWidth": width, "imageHeight": height},
        "coco/c.json": {
            "images": [{"id": 1, "file_name": "a.png", "width": width, "height": height}],
            "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 1, 2, 2]}],
        },
        "cvat/c.xml": f'<annotations><image name="a.png" width="{width}" height="{height}"/></annotations>',
        "voc/a.xml": f"<annotation><size><width>{width}</width><height>{height}</height></size></annotation>",
        "jsonl/d.jsonl": f'{{"image": "a.png", "width": {width}, "height": {height}, "points": []}}',
    }
    for name, content in files.items():
        picture((tmp_path / name).parent / "a.png", 200, 100)
        write(tmp_path / name, content)
        with pytest.raises(AnnotationError, match=f"{width} x {height} px"):
            open_collection((tmp_path / name).parent)


def test_via_csv_and_version_3(tmp_path: Path) -> None:
    rows = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    point = '"{""name"":""point"",""cx"":10,""cy"":20}","{""type"":""cell""}"'
    path = write(tmp_path / "v.csv", f'{rows}a.jpg,12,"{{}}",1,0,{point}\nb.jpg,9,"{{}}",0,0,"{{}}","{{}}"\n')
    found = listed_in("via", path)
    assert {name: (d.xy.tolist(), d.classes) for name, d in found.items()} == {
        "a.jpg": ([[10, 20]], ("cell",)),
        "b.jpg": ([], ()),
    }
    write(path, f'{rows}a.jpg,12,"{{}}",2,0,{point}\n')
    with pytest.raises(AnnotationError, match=r"1 regions of a\.jpg and states 2"):
        listed_in("via", path)
    shapes = [
        [1, 10.5, 20.5],
        [2, 10, 20, 6, 8],
        [3, 5, 6, 2],
        [4, 7, 8, 2, 3],
        [5, 0, 0, 4, 0],
        [7, 0, 0, 4, 0, 4, 4, 0, 4],
    ]
    project = {
        "project": {"pname": "cells"},
        "attribute": {"1": {"aname": "class", "options": {"0": "cell"}}},
        "file": {"1": {"fid": "1", "fname": "a.jpg"}, "2": {"fid": 2, "fname": "b.jpg"}},
        "view": {"1": {"fid_list": [1]}, "2": {"fid_list": ["2"]}},
        "metadata": {f"1_{k}": {"vid": 1, "z": [], "xy": xy, "av": {"1": "0"}} for k, xy in enumerate(shapes)},
    }
    found = listed_in("via", write(tmp_path / "p.json", project))
    assert found["a.jpg"].xy.tolist() == [[10.5, 20.5], [13, 24], [5, 6], [7, 8], [2, 0], [2, 2]]
    assert found["a.jpg"].classes == ("cell",) * 6
    assert len(found["b.jpg"].xy) == 0
    project["metadata"] = {"1": {"vid": "1", "z": [], "xy": [8, 1, 2, 3, 4]}}
    with pytest.raises(AnnotationError, match=r"a region of a\.jpg of shape 8"):
        listed_in("via", write(tmp_path / "p.json", project))
    project["metadata"] = {"1": {"vid": "9", "z": [], "xy": [1, 1, 2]}}
    with pytest.raises(AnnotationError, match="belongs to 0 files"):
        listed_in("via", write(tmp_path / "p.json", project))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"shapes": [], "shapes": []}', "'shapes' stands twice"),
        ('{"shapes": [{"points": [[' + "9" * 5000 + ", 1]]}]}", "not valid JSON"),
        ('{"shapes": [{"points": [[1e999, 1]], "shape_type": "point"}]}', "inf, not a finite number"),
        ('{"shapes": [{"points": [[NaN, 1]], "shape_type": "point"}]}', "nan, not a finite number"),
        ('{"shapes": [{"points": [["1_0", 1]], "shape_type": "point"}]}', "not a finite number"),
        ('{"shapes": [{"points": [[1, 1]], "group_id": [2]}]}', "group_id of a shape"),
        ('{"shapes": [{"points": [[1, 1]], "shape_type": {"a": 1}}]}', "gives no dot"),
    ],
)
def test_json_of_hostile_values_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    from dotcount.data.formats.labelme import LabelMe

    with pytest.raises(AnnotationError, match=message) as caught:
        LabelMe().read(write(tmp_path / "a.json", text), 200, 100)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "content", ['{"image": "a.png", "points": [], "split": {"a": 1}}', '{"image": 3, "points": []}']
)
def test_jsonl_of_wrong_types(tmp_path: Path, content: str) -> None:
    picture(tmp_path / "a.png")
    write(tmp_path / "d.jsonl", f'\n{{"image": "b.png", "points": []}}\n{content}\n')
    with pytest.raises(DataError, match="line 3"):
        open_collection(tmp_path)
