"""Formats of data sets and tools that are only read: the right dots, or one line that says why not."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from dotcount.data import open_collection
from dotcount.data.tools import tool_of
from dotcount.errors import AnnotationError, DataError

from ..layouts import picture


def folder(root: Path, images: str, **files: Any) -> Path:
    for name in images.split():
        picture(root / name, 60, 40)
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def dots(root: Path) -> tuple[str, dict[str, list[list[float]]]]:
    found = open_collection(root)
    return found.format, {r.name: [] if r.points is None else r.points.xy.tolist() for r in found.records}


def region(*corners: tuple[float, float], kind: int = 0, negative: int = 0) -> str:
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in corners)
    return f'<Region Type="{kind}" NegativeROA="{negative}"><Vertices>{vertices}</Vertices></Region>'


def aperio(*regions: str, name: str = "") -> str:
    return (
        '<Annotations MicronsPerPixel="0.25"><Annotation Id="1" Name="' + name + '"><Regions>'
        "<RegionAttributeHeaders/>" + "".join(regions) + "</Regions></Annotation></Annotations>"
    )


SQUARE, FLAT = [(2, 2), (8, 2), (8, 8), (2, 8)], [(20, 10), (30, 10), (30, 14), (20, 14)]


def test_aperio(tmp_path: Path) -> None:
    text = aperio(region(*SQUARE), region((20, 10), (30, 14), kind=2), region((1, 1), (9, 9), kind=3))
    text = text.replace("</Regions>", region((3, 3), (4, 3), (4, 4), negative=1) + "</Regions>")
    root = folder(tmp_path, "a.tif", a_DOT_xml=text)
    assert dots(root) == ("aperio", {"a.tif": [[5, 5], [25, 12]]})
    told = {each.reason for each in open_collection(root).left_out}
    assert told == {"1 x arrow, ruler or text", "1 x negative region"}


def test_an_outline_of_aperio_around_others_is_a_region(tmp_path: Path) -> None:
    around = region((0, 0), (60, 0), (60, 40), (0, 40))
    root = folder(tmp_path, "a.tif", a_DOT_xml=aperio(around, region(*SQUARE), region(*FLAT)))
    assert dots(root)[1] == {"a.tif": [[5, 5], [25, 12]]}


def test_a_region_of_aperio_without_corners_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"a\.xml has a region without vertices"):
        open_collection(folder(tmp_path, "a.tif", a_DOT_xml=aperio(region())))


def test_wheat_of_2021(tmp_path: Path) -> None:
    text = "image_name,BoxesString,domain\na.png,2 2 8 8;20 10 30 14,x\nb.png,no_box,x\n"
    assert dots(folder(tmp_path, "a.png b.png", t_DOT_csv=text)) == (
        "gwhd",
        {"a.png": [[5, 5], [25, 12]], "b.png": []},
    )


def test_wheat_of_2020(tmp_path: Path) -> None:
    row = 'a,{},40,"[{}]",usask\n'
    text = "image_id,width,height,bbox,source\n" + row.format(60, "2.0, 2.0, 6, 6") + row.format(60, "20, 10, 10, 4")
    assert dots(folder(tmp_path, "a.png", t_DOT_csv=text)) == ("gwhd", {"a.png": [[5, 5], [25, 12]]})
    (tmp_path / "t.csv").write_text(text.replace(",60,", ",120,"))
    with pytest.raises(DataError, match="states 120 x 40 px, the image has 60 x 40"):
        open_collection(tmp_path)
    (tmp_path / "t.csv").write_text(text.replace("20, 10, 10, 4", "20, 30, 55, 38"))
    with pytest.raises(AnnotationError, match="can only be corners"):
        open_collection(tmp_path)


@pytest.mark.parametrize(
    ("cell", "why"), [("2 2 8", "no four corners"), ("8 8 2 2", "before its beginning"), ("2 2 8 x", "no.* number")]
)
def test_wheat_that_is_damaged_is_refused(tmp_path: Path, cell: str, why: str) -> None:
    text = f"image_name,BoxesString\na.png,2 2 8 8\nb.png,2 2 8 8;{cell}\n"
    with pytest.raises(AnnotationError, match=rf"line 3.*{why}|{why}"):
        open_collection(folder(tmp_path, "a.png b.png", t_DOT_csv=text))


OBJECTS = "ImageNumber,ObjectNumber,Location_Center_X,Location_Center_Y\n1,1,10,20\n1,2,30.5,4\n3,1,5,6\n"
IMAGES = "ImageNumber,FileName_DNA,Count_Nuclei\n1,a.png,2\n2,b.png,0\n3,c.png,1\n"


def test_cellprofiler(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png b.png c.png", My_Nuclei_DOT_csv=OBJECTS, My_Image_DOT_csv=IMAGES)
    assert dots(root) == (
        "cellprofiler",
        {"a.png": [[10.5, 20.5], [31, 4.5]], "b.png": [], "c.png": [[5.5, 6.5]]},
    )


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (
            IMAGES.replace("Count_Nuclei", "FileName_Actin"),
            "it has FileName_DNA, FileName_Actin",
        ),
        (IMAGES.replace("3,c.png,1\n", ""), "objects of image 3, which"),
    ],
)
def test_cellprofiler_that_is_unclear_is_refused(tmp_path: Path, images: str, why: str) -> None:
    with pytest.raises(AnnotationError, match=why):
        open_collection(folder(tmp_path, "a.png b.png", My_Nuclei_DOT_csv=OBJECTS, My_Image_DOT_csv=images))


def test_cellprofiler_without_its_images_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"My_Nuclei\.csv is nearly cellprofiler: .*_Image\.csv; put that one beside it"
    ):
        open_collection(folder(tmp_path, "a.png b.png", My_Nuclei_DOT_csv=OBJECTS))


def spots(*frames: int, side: float = 0.5, size: int = 60) -> str:
    found = "".join(
        f'<SpotsInFrame frame="{f}"><Spot POSITION_X="{5 + k}" POSITION_Y="10" FRAME="{f}" VISIBILITY="1"/>'
        "</SpotsInFrame>"
        for k, f in enumerate(frames)
    )
    return (
        f'<TrackMate version="7"><Model spatialunits="µm"><AllSpots>{found}<SpotsInFrame frame="0">'
        '<Spot POSITION_X="1" POSITION_Y="1" FRAME="0" VISIBILITY="0"/></SpotsInFrame></AllSpots></Model><Settings>'
        f'<ImageData filename="a.png" width="{size}" height="40" pixelwidth="{side}" pixelheight="{side}"/>'
        "</Settings></TrackMate>"
    )


def test_trackmate(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png", model_DOT_xml=spots(0, 0))
    assert dots(root) == ("trackmate", {"a.png": [[10.5, 20.5], [12.5, 20.5]]})
    assert [each.reason for each in open_collection(root).left_out] == ["1 x spot that is not visible"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (spots(0, 1), "spots in 2 frames"),
        (spots(0, side=0), "pixels of the side 0"),
        (spots(0, size=120), "states 120 x 40 px"),
    ],
)
def test_trackmate_that_is_not_of_one_image_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(AnnotationError, match=why):
        open_collection(folder(tmp_path, "a.png", model_DOT_xml=text))


TABLE = (
    "LABEL,ID,QUALITY,POSITION_X,POSITION_Y,FRAME\nLabel,Spot ID,Quality,X,Y,Frame\nLabel,Spot ID,Quality,X,Y,Frame\n"
    ",,(quality),({0}),({0}),\nID1,1,3.2,10,20.5,0\nID2,2,3.2,11,22.5,{1}\n"
)


def test_a_table_of_trackmate(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png", a_DOT_csv=TABLE.format("pixel", 0))
    assert dots(root) == ("trackmate_spots", {"a.png": [[10.5, 21], [11.5, 23]]})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TABLE.format("micron", 0), "are in micron"),
        (TABLE.format("pixel", 1), "spots in 2 frames"),
        ("LABEL,ID,QUALITY,POSITION_X,POSITION_Y\nID1,1,3.2,10,20.5\n", "may be in px or in µm"),
    ],
)
def test_a_table_of_trackmate_in_no_px_of_one_image_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(AnnotationError, match=why):
        open_collection(folder(tmp_path, "a.png", a_DOT_csv=text))


XY = [[10.5, 20.25], [30, 5]]
FSC = {
    "H": 80,
    "W": 120,
    "ratio_h": 0.5,
    "ratio_w": 0.5,
    "box_examples_coordinates": [[[1, 1], [2, 1], [2, 2], [1, 2]]],
}


@pytest.mark.parametrize(
    "content",
    [
        XY,
        {"points": XY},
        [{"x": x, "y": y} for x, y in XY],
        {"img_id": "a.jpg", "human_num": 2, "points": XY, "boxes": [[8, 18, 12, 22]] * 2},
    ],
)
def test_json_of_the_points_of_one_image(tmp_path: Path, content: Any) -> None:
    assert dots(folder(tmp_path, "images/a.jpg", jsons__a_DOT_json=content)) == (
        "json_points_per_image",
        {"images/a.jpg": XY},
    )


@pytest.mark.parametrize("wrap", [lambda xy: xy, lambda xy: {"points": xy}, lambda xy: {**FSC, "points": xy}])
def test_json_of_the_points_of_many_images(tmp_path: Path, wrap: Any) -> None:
    content = {"a.jpg": wrap(XY), "b.jpg": wrap([])}
    root = folder(tmp_path, "images/a.jpg images/b.jpg", annotation_DOT_json=content)
    assert dots(root) == ("json_points", {"images/a.jpg": XY, "images/b.jpg": []})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"a.jpg": {**FSC, "ratio_w": 0.25, "points": XY}}, "states 30 x 40 px, the image has 60 x 40"),
        ({"a.jpg": {"points": XY, "human_num": 3}}, "2 points, but human_num says 3"),
        ({"a.jpg": [[1, 2], [3]]}, "not a list of points"),
    ],
)
def test_json_of_points_that_is_not_of_the_images_is_refused(tmp_path: Path, content: Any, why: str) -> None:
    with pytest.raises(AnnotationError, match=why):
        open_collection(folder(tmp_path, "a.jpg", annotation_DOT_json=content))


def test_corners_of_a_shape_are_no_points(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no dots of a known format"):
        open_collection(folder(tmp_path, "a.jpg", a_DOT_json={"label": "leaf", "points": XY}))


def test_create_ml(tmp_path: Path) -> None:
    box = {"label": "c", "coordinates": {"x": 25, "y": 12, "width": 10, "height": 4}}
    content = [{"image": "a.jpg", "annotations": [box]}, {"image": "b.jpg", "annotations": []}]
    root = folder(tmp_path, "a.jpg b.jpg", _annotations_DOT_createml_DOT_json=content)
    assert dots(root) == ("createml", {"a.jpg": [[25, 12]], "b.jpg": []})
    box["coordinates"]["width"] = -10  # type: ignore[index]
    with pytest.raises(AnnotationError, match="a box of -10 x 4 px is none"):
        open_collection(folder(tmp_path, "", _annotations_DOT_createml_DOT_json=content))


def thing(kind: str, corners: Any) -> dict[str, Any]:
    return {"geometryType": kind, "classTitle": "c", "points": {"exterior": corners, "interior": []}}


def test_supervisely(tmp_path: Path) -> None:
    bits = np.zeros((6, 4, 4), np.uint8)
    bits[1:3, 1:3] = 255
    packed = io.BytesIO()
    Image.fromarray(bits).save(packed, "PNG")
    data = base64.b64encode(zlib.compress(packed.getvalue())).decode()
    items = [
        thing("point", [[45.5, 30.5]]),
        thing("rectangle", [[2, 2], [8, 8]]),
        thing("polygon", FLAT),
        {"geometryType": "bitmap", "bitmap": {"data": data, "origin": [50, 3]}},
    ]
    size = {"width": 60, "height": 40}
    root = folder(
        tmp_path,
        "ds/img/a.jpg ds/img/b.jpg",
        ds__ann__a_DOT_jpg_DOT_json={"size": size, "objects": items},
        ds__ann__b_DOT_jpg_DOT_json={"size": size, "objects": []},
        meta_DOT_json={"classes": []},
    )
    assert dots(root) == (
        "supervisely",
        {"ds/img/a.jpg": [[45.5, 30.5], [5, 5], [25, 12], [52, 5]], "ds/img/b.jpg": []},
    )


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"geometryType": "graph", "nodes": {}, "points": {}}, "type 'graph'"),
        ({"geometryType": "bitmap", "bitmap": {"data": "eA==", "origin": [1, 1]}}, "bitmap that can't be read"),
    ],
)
def test_supervisely_that_is_not_understood(tmp_path: Path, item: dict[str, Any], why: str) -> None:
    content = {"size": {"width": 60, "height": 40}, "objects": [item]}
    with pytest.raises(AnnotationError, match=why):
        open_collection(folder(tmp_path, "a.jpg", a_DOT_json=content))


def test_a_label_map_of_matlab(tmp_path: Path) -> None:
    """As CoNSeP and Lizard have it; the centroids beside it are counted from the centre of the first pixel."""
    labels = np.zeros((40, 60))
    labels[2:8, 2:8], labels[10:14, 20:30] = 1, 7
    picture(tmp_path / "Images/a.png", 60, 40)
    (tmp_path / "Labels").mkdir()
    content = {"inst_map": labels, "type_map": labels, "inst_centroid": np.array([[4.5, 4.5], [24.5, 11.5]])}
    scipy.io.savemat(tmp_path / "Labels/a.mat", content)
    assert dots(tmp_path) == ("mat", {"Images/a.png": [[5, 5], [25, 12]]})
    scipy.io.savemat(tmp_path / "Labels/a.mat", {"inst_map": labels[:20]})
    with pytest.raises(AnnotationError, match="states 60 x 20 px"):
        open_collection(tmp_path)


def test_classes_that_say_ignore_are_left_out_and_told(tmp_path: Path) -> None:
    text = "image,x,y,class\na.png,5.5,6,car\na.png,30,20,Ignored regions\nb.png,5.5,6,car\n"
    root = folder(tmp_path, "a.png b.png", d_DOT_csv=text)
    found = open_collection(root)
    assert [r.count for r in found.records] == [1, 1]
    assert [(each.path, each.reason.partition(";")[0]) for each in found.left_out] == [
        ("a.png", "objects of the class Ignored regions")
    ]
    assert open_collection(root, classes=["Ignored regions"]).n_dots == 1
    (root / "d.csv").write_text(text.replace("a.png,5.5,6,car\n", ""))
    with pytest.raises(AnnotationError, match=r"a\.png has nothing but objects of the class Ignored regions"):
        open_collection(root)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", {"version": "2.0", "item": {"name": "a.jpg"}, "annotations": []}, "Darwin"),
        ("a.json", {"metadata": {"name": "a.jpg"}, "instances": []}, "SuperAnnotate"),
        ("x.ndjson", {"data_row": {"external_id": "a.jpg"}, "projects": {}}, "Labelbox"),
        ("x.json", [{"externalId": "a.jpg", "labels": []}], "Kili"),
        ("x.json", [{"data_title": "a.jpg", "data_units": {}}], "Encord"),
        ("x.json", {"info": {}, "categories": {}, "items": []}, "Datumaro"),
        ("x.manifest", {"source-ref": "s3://b/a.jpg", "boxes": {}}, "SageMaker"),
        ("x.odgt", {"ID": "a", "gtboxes": []}, "CrowdHuman"),
        ("a.xml", "<annotations><ndpviewstate id='1'/></annotations>", "NDP.view"),
        ("a.xml", "<ASAP_Annotations><Annotations/></ASAP_Annotations>", "ASAP"),
        ("train.csv", "ImageId,EncodedPixels\na,1 2 3 4\n", "run lengths"),
        ("a.txt", "imagesource:GoogleEarth\ngsd:0.14\n", "DOTA"),
        ("a.txt", "2,2,6,6,1,4,0,0\n", "VisDrone"),
        ("a.txt", "Car 0.00 0 -1.57 2.0 2.0 8.0 8.0 1.57 1.73 4.15 1.00 1.75 13.22 1.62\n", "KITTI"),
        ("gt.txt", "p/a.jpg\n2\n2 2 6 6 0 0 0 0 0 0\n", "WIDER FACE"),
        ("a_cp_outlines.txt", "2,2,8,2,8,8,2,8\n", "Cellpose"),
        ("counts.csv", "image,count\na.jpg,12\n", "counts of images"),
        ("a.csv", "PK\x03\x04" + "\x00" * 60, "another name"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "Git LFS"),
    ],
)
def test_formats_that_are_not_read_are_named(tmp_path: Path, name: str, content: Any, words: str) -> None:
    root = folder(tmp_path, "a.jpg")
    (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=words) as caught:
        open_collection(root)
    assert name in str(caught.value)
    assert tool_of(root / "gone.json") is None
