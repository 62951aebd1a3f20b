"""What is looked at below a folder, and what is left out and told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dotcount.data import open_collection
from dotcount.data.listing import list_files
from dotcount.errors import AnnotationError, DataError
from dotcount.files import mark_output

from .layouts import picture, spots, write_csv


def csv_set(root: Path, names: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    for name in names:
        picture(root / name)
    (root / "dots.csv").write_text("image,x,y\n" + "".join(f"{name},10.5,20\n" for name in names))
    return root


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    picture(tmp_path / "photos/a.png")
    root = tmp_path / "set"
    root.mkdir()
    (root / "images").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/back").symlink_to(root)
    (root / "again").symlink_to(tmp_path / "photos")
    (root / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "pipe.png")
    listing = list_files(root)
    assert len(listing.files) == 1
    assert listing.files[0].name == "a.png"
    told = {each.path: each.reason for each in listing.left_out}
    assert sorted(told.values()) == [
        "a link that leads nowhere",
        "a link to a folder that is read already",
        "a link to a folder that is read already",
        "not a regular file",
    ]


def test_own_results_are_neither_images_nor_dots(tmp_path: Path) -> None:
    root = csv_set(tmp_path)
    picture(root / "counts/overlays/a.png")
    (root / "counts/points.csv").write_text("image,x,y,score\na.png,1.5,1,0.9\n")
    mark_output(root / "counts", "predictions", "dotcount predict")
    (root / "points.csv").write_text("image,x,y,score\na.png,1.5,1,0.9\n")
    mark_output(root, "predictions", "dotcount predict", ["points.csv"])
    collection = open_collection(root)
    assert [(r.name, r.count) for r in collection.records] == [("a.png", 1), ("b.png", 1)]
    assert {each.path: each.reason for each in collection.left_out} == {
        "counts": "results of `dotcount predict`",
        "points.csv": "written by `dotcount predict`",
    }
    assert "left out: counts (results of `dotcount predict`)" in collection.note
    with pytest.raises(DataError, match="`dotcount predict` wrote, no data"):
        open_collection(root / "counts")
    with pytest.raises(DataError, match="not complete; left out: counts"):
        open_collection(root, complete=True)


def test_pictures_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    root = csv_set(tmp_path)
    for name in ("c.heic", "d.oib", "e.oib", "f.mp4"):
        (root / name).write_bytes(b"x")
    assert {each.path for each in open_collection(root).left_out} == {"c.heic", "d.oib", "e.oib", "f.mp4"}
    (root / "only").mkdir()
    (root / "only/x.vsi").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no image.*x\.vsi \(a microscope's own format"):
        open_collection(root / "only")


def test_annotations_of_another_format_are_told(tmp_path: Path) -> None:
    root = csv_set(tmp_path)
    (root / "other.jsonl").write_text('{"image": "a.png", "points": []}\n')
    collection = open_collection(root, format="csv")
    assert [each.path for each in collection.left_out] == ["other.jsonl"]
    assert "name the format to read it" in collection.left_out[0].reason


def mentions(root: Path, *rows: dict[str, object]) -> Path:
    picture(root / "a.png")
    (root / "dots.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def test_an_image_listed_twice_alike_counts_once(tmp_path: Path) -> None:
    one, same = [[1.5, 2], [3, 4]], [[3, 4], [1.5, 2]]
    root = mentions(tmp_path, {"image": "a.png", "points": one}, {"image": "./A.PNG", "points": same})
    assert open_collection(root).n_dots == 2


@pytest.mark.parametrize("second", [[], [[1.5, 2]], [[1.5, 2], [3, 5]]])
def test_an_image_listed_twice_differently_is_refused(tmp_path: Path, second: list[list[float]]) -> None:
    root = mentions(tmp_path, {"image": "a.png", "points": [[1.5, 2], [3, 4]]}, {"image": "a.png", "points": second})
    with pytest.raises(AnnotationError, match=r"dots\.jsonl: image a\.png is listed 2 times"):
        open_collection(root)


def test_an_image_in_two_splits_of_one_table_is_refused(tmp_path: Path) -> None:
    rows = [{"image": "a.png", "points": [[1.5, 2]], "split": s} for s in ("train", "test")]
    with pytest.raises(AnnotationError, match="in the splits test, train"):
        open_collection(mentions(tmp_path, *rows))


def test_a_list_without_any_of_its_images_is_one_problem(tmp_path: Path) -> None:
    root = mentions(tmp_path, *({"image": f"gone{k}.png", "points": []} for k in range(5)))
    with pytest.raises(DataError, match=r"names 5 images, none of which is there: .*and 1 more problem"):
        open_collection(root)


@pytest.mark.parametrize("place", ["annotations", "labels", "other"])
def test_the_list_itself_is_given_and_its_images_lie_in_the_folder_above(tmp_path: Path, place: str) -> None:
    picture(tmp_path / "images/default/a.png")
    (tmp_path / place).mkdir()
    (tmp_path / place / "dots.csv").write_text("image,x,y\na.png,1.5,2\n")
    collection = open_collection(tmp_path / place / "dots.csv")
    assert [(r.name, r.count) for r in collection.records] == [("images/default/a.png", 1)]
    assert collection.root == tmp_path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.xlsx", b"PK", r"labels\.xlsx is a spreadsheet: save it as csv"),
        ("labels.json", b'{"frames": [], "meta": {}}', r"labels\.json is JSON with the keys 'frames', 'meta'"),
        ("labels.csv", b"id;px;py\n1;2;3\n", r"labels\.csv begins with 'id', 'px', 'py'"),
        ("labels.xml", b"<?xml version='1.0'?>\n<tracks>\n</tracks>\n", r"XML that begins with <tracks>"),
        ("other.csv", b"x,y\n1,2\n", r"other\.csv is nearly csv_per_image: none goes with an image by its name"),
    ],
)
def test_what_is_not_understood_is_said(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        open_collection(tmp_path)
    assert "\n" not in str(caught.value)


def test_two_files_for_one_image_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    for folder, n in (("points", 2), ("labels", 3)):
        write_csv(tmp_path / folder / "a.csv", spots(n))
    with pytest.raises(DataError, match=r"points/a\.csv is of an image that labels/a\.csv is of as well"):
        open_collection(tmp_path)


def test_a_file_goes_with_an_image_of_two_endings(tmp_path: Path) -> None:
    picture(tmp_path / "a.ome.tif", 64, 48)
    (tmp_path / "a.csv").write_text("x,y\n10,12\n")
    assert open_collection(tmp_path).n_dots == 1
