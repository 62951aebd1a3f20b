"""Small data sets as people bring them: each is read right, or refused in one line that names the file and a remedy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from dotcount.cli.main import main
from dotcount.data import Collection, open_collection
from dotcount.data.checks import check
from dotcount.data.images import load_image, read_image
from dotcount.errors import AnnotationError, DataError, ImageReadError

from .layouts import picture

SIZE = (60, 40)


def folder(root: Path, images: str, files: Mapping[str, str | bytes | dict[str, Any] | list[Any]]) -> Path:
    """Write noise images and annotation files."""
    for name in images.split():
        picture(root / name, *SIZE)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, (str, bytes)) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def dots(collection: Collection) -> dict[str, list[list[float]]]:
    return {r.name: [] if r.points is None else r.points.xy.tolist() for r in collection.records}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dots.csv", "Bild;X;Y\nb.png;10,5;20,5\nc.png;1,5;2,25\n"),
        ("a.csv", "Fichier;X;Y\nb.png;10,5;20,5\nc.png;1,5;2,25\n"),
        ("cells.csv", "ImageNumber,FileName_DNA,Location_Center_X,Location_Center_Y\n1,b.png,10,20\n2,c.png,1,1.75\n"),
        ("r.csv", " ,Label,Area,XM,YM\n1,b.png,7,10.5,20.5\n2,c.png,7,1.5,2.25\n"),
    ],
)
def test_a_column_of_image_names_counts_whatever_it_is_called(tmp_path: Path, name: str, text: str) -> None:
    """Else the rows of a file called as an image would be taken for dots of that image."""
    found = open_collection(folder(tmp_path, "a.png b.png c.png", {name: text}), strict=False)
    assert dots(found) == {"a.png": [], "b.png": [[10.5, 20.5]], "c.png": [[1.5, 2.25]]}


def test_a_column_that_names_the_one_image_leaves_the_file_its_own(tmp_path: Path) -> None:
    found = open_collection(folder(tmp_path, "a.png", {"a.csv": "Aufnahme,x,y\na.png,1.5,2\na.png,3,4\n"}))
    assert (found.format, dots(found)) == ("csv_per_image", {"a.png": [[1.5, 2], [3, 4]]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image;x;y\na.png;1.010;20,5\n", r"a comma and with a point, such as 20,5 and 1\.010"),
        ("image,x,y,x,y\na.png,1.5,2.5,9,9\n", r"columns of x and y are there twice"),
        ("image,x,y,unit\na.png,1.5,2.5,\u00b5m\n", r"states the unit '\u00b5m'; convert"),
        ("image,x,y,x_center,y_center\na.png,1.5,2.5,9,9\n", r"in x, y and in x_center, y_center, .* line 2"),
    ],
)
def test_numbers_of_two_meanings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_collection(folder(tmp_path, "a.png", {"dots.csv": text}))
    assert "dots.csv" in str(caught.value)


def test_two_names_of_one_place_are_fine(tmp_path: Path) -> None:
    text = "image,x,y,col,row,Unit\na.png,10.5,20.25,10,20,px\n"
    assert dots(open_collection(folder(tmp_path, "a.png", {"dots.csv": text}))) == {"a.png": [[10.5, 20.25]]}


def test_an_empty_known_variable_beside_others_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", *SIZE)
    scipy.io.savemat(tmp_path / "a.mat", {"points": np.zeros((0, 2)), "cells": np.array([[1.5, 2.5], [3, 4]])})
    with pytest.raises(AnnotationError, match=r"points \(0 x 2\), cells \(2 x 2\)"):
        open_collection(tmp_path)
    scipy.io.savemat(tmp_path / "a.mat", {"points": np.zeros((0, 2)), "resolution": np.array([[72, 72]])})
    assert open_collection(tmp_path).n_dots == 0


def test_two_dots_in_columns_x_and_y_are_two(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", *SIZE)
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.array([10.0, 20.0]), "y": np.array([30.0, 35.0])})
    assert dots(open_collection(tmp_path)) == {"a.png": [[10, 30], [20, 35]]}


def shapes(image: str) -> dict[str, Any]:
    return {
        "shapes": [{"label": "c", "points": [[1, 2]], "shape_type": "point"}],
        "imagePath": image,
        "imageWidth": SIZE[0],
        "imageHeight": SIZE[1],
    }


VOC = "<annotation><filename>{}</filename><object><name>c</name><point><x>1</x><y>2</y></point></object></annotation>"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"a.json": shapes("b.png"), "b.json": shapes("b.png")},
            {"a.json": shapes("..\\old\\x.png"), "b.json": shapes("")},
        ),
        (
            {"a.xml": VOC.format("b.png"), "b.xml": VOC.format("b.png")},
            {"a.xml": VOC.format("x.png"), "b.xml": VOC.format("")},
        ),
    ],
    ids=["labelme", "voc"],
)
def test_a_file_that_states_another_image_that_is_there_is_refused(tmp_path: Path, one: dict, other: dict) -> None:
    with pytest.raises(AnnotationError, match=r"a\.(json|xml) goes with image a\.png .* states that it is of b\.png"):
        open_collection(folder(tmp_path, "a.png b.png", one))
    assert open_collection(folder(tmp_path, "a.png b.png", other)).n_dots == 2  # an old name says nothing


def test_names_that_differ_by_case_alone_pair_with_their_own(tmp_path: Path) -> None:
    files = {"a.csv": "x,y\n1.5,2\n", "A.csv": "x,y\n3.5,4\n"}
    root = folder(tmp_path, "a.png A.png", files)
    if len(list(root.iterdir())) < 4:
        pytest.skip("the file system does not tell case apart")
    assert dots(open_collection(root)) == {"a.png": [[1.5, 2]], "A.png": [[3.5, 4]]}


@pytest.mark.parametrize("blank", [b"", b"\n", b"\xef\xbb\xbf\r\n"])
def test_a_blank_text_file_is_one_of_no_dots(tmp_path: Path, blank: bytes) -> None:
    found = open_collection(folder(tmp_path, "a.png b.png", {"a.txt": "1.5 2\n", "b.txt": blank}))
    assert dots(found) == {"a.png": [[1.5, 2]], "b.png": []}


def test_links_in_a_circle_are_left_out(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png", {"dots.csv": "image,x,y\na.png,1.5,2\n"})
    (root / "self").symlink_to("self")
    found = open_collection(root)
    assert found.n_dots == 1
    assert [(each.path, each.reason) for each in found.left_out] == [("self", "a link that leads nowhere")]


def test_dots_on_the_picture_before_its_turn_are_told_as_such(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "dots.csv").write_text("image,x,y\na.jpg,55.5,10.5\n")
    with pytest.raises(AnnotationError, match="before its EXIF orientation turns it"):
        open_collection(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels/a.txt", "0 30 20 4 4\n", "nearly yolo: its numbers are no shares"),
        ("labels/a.txt", "0,0.5,0.5,0.1,0.1\n", "nearly yolo: its numbers are not parted by blanks"),
        ("labels/a.txt", "cell 0.5 0.5 0.1 0.1\n", "nearly yolo: its lines begin with 'cell'"),
        ("p.json", [{"image": "a.png", "id": 1, "kp": [], "annotator": 1, "annotation_id": 1}], "JSON-MIN"),
        ("r.json", [{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}], "a list of COCO results"),
        ("a.mat", b"\x00" * 200, "nearly mat: it is neither of version 5 nor of 7.3"),
        ("masks/a.npy", b"\x93NUMPY", r"left out: .*a\.npy \(an array"),
    ],
)
def test_what_comes_near_is_named(tmp_path: Path, name: str, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_collection(folder(tmp_path, "images/a.png" if "/" in name else "a.png", {name: content}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "text, not an image"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a drawing or document"),
        (b"%PDF-1.4\n", "a drawing or document"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a phone's format"),
        (b"\0\1\2\3", "its header is damaged"),
    ],
)
def test_what_is_called_an_image_and_is_none_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageReadError, match=message):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("opaque", "told"), [(40, ()), (20, ("part",)), (0, ("all",))])
def test_transparent_pixels_are_told(tmp_path: Path, opaque: int, told: tuple[str, ...]) -> None:
    pixels = np.full((40, 60, 4), 90, np.uint8)
    pixels[..., 3] = np.where(np.arange(40)[:, None] < opaque, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    notes = load_image(tmp_path / "a.png").notes
    assert len(notes) == len(told)
    assert all(note.startswith(word) and "transparent" in note for note, word in zip(notes, told))


def masked(root: Path, masks: Mapping[str, np.ndarray], ending: str = "png") -> Path:
    for name, mask in masks.items():
        picture(root / f"images/{name}.png", mask.shape[-1], mask.shape[-2])
        path = root / f"masks/{name}.{ending}"
        path.parent.mkdir(exist_ok=True, parents=True)
        tifffile.imwrite(path, mask, photometric="minisblack") if ending == "tif" else Image.fromarray(mask).save(path)
    return root


def blocks(*values: int) -> np.ndarray:
    mask = np.zeros((40, 60), np.uint8)
    for k, value in enumerate(values):
        mask[4:14, 4 + 14 * k : 14 + 14 * k] = value
    return mask


def test_a_label_mask_without_background_is_full_of_objects(tmp_path: Path) -> None:
    """As in tiles cut from a dense picture: 0 is the background of the set, and there is none in the tile."""
    halves = np.where(np.arange(60) < 35, 3, 4)[None].repeat(40, 0).astype(np.uint8)
    masks = {"a": blocks(1, 2, 3), "b": blocks(4, 5), "one": np.full((40, 60), 7, np.uint8), "two": halves}
    found = open_collection(masked(tmp_path, masks))
    assert {r.image.stem: r.count for r in found.records} == {"a": 3, "b": 2, "one": 1, "two": 2}


@pytest.mark.parametrize("values", [(255,), (255, 255), (1,)])
def test_a_mask_of_one_value_throughout_is_refused(tmp_path: Path, values: tuple[int, ...]) -> None:
    """All of it may be an object, or the ground of dark marks that are not there."""
    masks = {str(k): np.full((40, 60), value, np.uint8) for k, value in enumerate(values)}
    with pytest.raises(AnnotationError, match=r"0\.png has one value throughout"):
        open_collection(masked(tmp_path, masks))


def test_a_white_mask_among_binary_ones_is_refused(tmp_path: Path) -> None:
    masks = {"a": blocks(255, 255), "b": blocks(255), "full": np.full((40, 60), 255, np.uint8)}
    with pytest.raises(AnnotationError, match=r"full\.png has one value throughout, 255"):
        open_collection(masked(tmp_path, masks))


def test_masks_of_several_pages_are_refused(tmp_path: Path) -> None:
    masks = {"a": np.stack([blocks(1, 2), blocks(3, 4)])}
    with pytest.raises(AnnotationError, match=r"a\.tif: page 1 of 2 pages was read, the other one was not; save one"):
        open_collection(masked(tmp_path, masks, "tif"))


@pytest.mark.parametrize("palette", [[0, 0, 0] * 256, [0, 0, 0] + [255, 0, 0] * 255], ids=["black", "red"])
def test_a_palette_that_hides_labels_is_refused(tmp_path: Path, palette: list[int]) -> None:
    masked(tmp_path, {"a": blocks(1, 2)})
    image = Image.fromarray(blocks(1, 2))
    image.putpalette(palette)
    image.save(tmp_path / "masks/a.png")
    with pytest.raises(AnnotationError, match=r"a\.png shows several of its values in one colour"):
        open_collection(tmp_path)


def test_two_masks_of_one_image_are_refused(tmp_path: Path) -> None:
    masked(tmp_path, {"a": blocks(1, 2)})
    (tmp_path / "masks/a.png").rename(tmp_path / "masks/a_mask.png")
    Image.fromarray(blocks()).save(tmp_path / "masks/a_seg.png")
    with pytest.raises(DataError, match=r"a_seg\.png is of an image that masks/a_mask\.png is of as well"):
        open_collection(tmp_path)


@pytest.mark.parametrize(("name", "format"), [("a.csv", "csv_per_image"), ("Results.csv", "csv")])
def test_the_summary_of_imagej_is_no_object(tmp_path: Path, name: str, format: str) -> None:
    rows = "1,a.png,3,1.5,2\n2,a.png,3,3.5,4\n3,Mean,3,2.5,3\n4,SD,0,1,1\n5,Min,3,1.5,2\n6,Max,3,3.5,4\n"
    found = open_collection(folder(tmp_path, "a.png", {name: f" ,Label,Area,X,Y\n{rows}"}))
    assert (found.format, dots(found)) == (format, {"a.png": [[1.5, 2], [3.5, 4]]})
    assert [each.reason for each in found.left_out] == ["4 rows of ImageJ's summary (Mean, SD, ...)"]


def test_a_folder_without_any_yolo_label_was_not_looked_at(tmp_path: Path) -> None:
    """As the test part of a set, published without its labels."""
    root = folder(
        tmp_path, "x/images/a.png x/images/none.png y/images/b.png", {"x/labels/a.txt": "0 0.5 0.5 0.1 0.1\n"}
    )
    with pytest.raises(AnnotationError, match=r"b\.png has no YOLO file, nor has any other image of its folder"):
        open_collection(root)
    folder(root, "", {"y/labels/b.txt": ""})
    assert {r.image.name: r.count for r in open_collection(root).records} == {"a.png": 1, "none.png": 0, "b.png": 0}


def test_a_subset_parts_images_of_one_name(tmp_path: Path) -> None:
    image = '<image id="{}" name="a.png" subset="{}" width="60" height="40"><points label="c" points="{},2"/></image>'
    listed = image.format(0, "Train", 1.5) + image.format(1, "Validation", 5.5)
    root = folder(
        tmp_path, "images/Train/a.png images/Validation/a.png", {"c.xml": f"<annotations>{listed}</annotations>"}
    )
    assert dots(open_collection(root)) == {"images/Train/a.png": [[1.5, 2]], "images/Validation/a.png": [[5.5, 2]]}


def test_coco_names_images_by_their_address_alone(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "coco_url": "http://images.cocodataset.org/val2017/a.png", "width": 60, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 4, 4]}],
    }
    assert dots(open_collection(folder(tmp_path, "val2017/a.png", {"lvis.json": content}))) == {
        "val2017/a.png": [[3, 4]]
    }


def test_pages_that_are_not_read_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = np.random.default_rng(0).integers(0, 255, (3, 40, 60), dtype=np.uint8)
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, pages, photometric="minisblack")
    (tmp_path / "dots.csv").write_text("image,x,y\na.tif,1.5,2\nb.tif,3.5,4\n")
    told = "page 1 of 3 pages was read, the other 2 were not"
    findings = [f for f in check(open_collection(tmp_path)).findings if f.kind == "partly_read"]
    assert [(f.name, f.related, f.message) for f in findings] == [("a.tif", ("b.tif",), f"a.tif and 1 more: {told}")]
    assert main(["data", "info", str(tmp_path)]) == 0
    assert f"note: {told}: 2 images (such as a.tif)" in capsys.readouterr().out
