"""Opening data: what is recognised, and every kind of bad input with its one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dotcount.data import open_collection
from dotcount.errors import AnnotationError, DataError, DotcountError, UnknownNameError

from .layouts import picture, spots, write_csv


def folder_with_list(root: Path, n: int = 4) -> Path:
    rows = ""
    for k in range(n):
        picture(root / f"images/{k}.png", seed=k)
        rows += "".join(f"images/{k}.png,{x},{y}\n" for x, y in spots(k + 1, seed=k))
    (root / "dots.csv").write_text("image,x,y\n" + rows)
    return root


def folder_with_files(root: Path, n: int = 4) -> Path:
    for k in range(n):
        picture(root / f"{k}.png", seed=k)
        write_csv(root / f"{k}.csv", spots(k, seed=k))
    return root


def test_one_csv_for_all(tmp_path: Path) -> None:
    collection = open_collection(folder_with_list(tmp_path))
    assert collection.format == "csv"
    assert [r.name for r in collection.records] == [f"images/{k}.png" for k in range(4)]
    assert [r.count for r in collection.records] == [1, 2, 3, 4]
    assert collection.n_dots == 10
    assert collection.note == "csv: 4 images, 10 dots"
    points = collection.records[2].points
    assert points is not None
    np.testing.assert_array_equal(points.xy, spots(3, seed=2))
    assert (points.width, points.height) == (40, 30)


def test_the_csv_itself_can_be_given(tmp_path: Path) -> None:
    folder_with_list(tmp_path)
    picture(tmp_path / "unlisted.png")
    collection = open_collection(tmp_path / "dots.csv")
    assert [r.count for r in collection.records] == [1, 2, 3, 4]


def test_one_csv_for_each_image(tmp_path: Path) -> None:
    collection = open_collection(folder_with_files(tmp_path))
    assert collection.format == "csv_per_image"
    assert [r.count for r in collection.records] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("image", "dots"),
    [
        ("images/a b.png", "points/a b.csv"),
        ("images/ü.PNG", "points_csv/ü.CSV"),
        ("a.jpeg", "a.jpeg.csv"),
        ("train/images/x.png", "train/labels/x.csv"),
        ("images/train/x.png", "labels/train/x.csv"),
        ("imgs/001cell.png", "dots/001dots.csv"),
        ("IMG_1.jpg", "GT_IMG_1.csv"),
    ],
)
def test_names_that_pair(tmp_path: Path, image: str, dots: str) -> None:
    picture(tmp_path / image)
    write_csv(tmp_path / dots, spots(3))
    collection = open_collection(tmp_path)
    assert [r.count for r in collection.records] == [3]
    assert collection.records[0].name == image
    assert collection.records[0].split == ("train" if "train" in image else None)


def test_same_names_in_different_folders_stay_apart(tmp_path: Path) -> None:
    for split, n in (("train", 1), ("Test", 2), ("valid", 3)):
        picture(tmp_path / split / "images/0.png")
        write_csv(tmp_path / split / "points/0.csv", spots(n))
    collection = open_collection(tmp_path)
    assert {r.split: r.count for r in collection.records} == {"train": 1, "test": 2, "val": 3}
    assert len({r.name for r in collection.records}) == 3
    assert collection.split("val").n_dots == 3
    with pytest.raises(DataError, match=r"no split 'tests'. Did you mean 'test'\?"):
        collection.split("tests")


def test_numbered_folders_stay_apart(tmp_path: Path) -> None:
    for k in (1, 2):
        picture(tmp_path / f"images_{k}/0.png")
        write_csv(tmp_path / f"points_{k}/0.csv", spots(k))
    assert {r.name: r.count for r in open_collection(tmp_path).records} == {"images_1/0.png": 1, "images_2/0.png": 2}


def test_one_file_for_two_images_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "a.jpg")
    write_csv(tmp_path / "a.csv", spots(2))
    with pytest.raises(DataError, match=r"a\.csv fits a\.jpg and a\.png; name it a\.png\.csv"):
        open_collection(tmp_path)
    (tmp_path / "a.csv").rename(tmp_path / "a.png.csv")
    write_csv(tmp_path / "a.jpg.csv", spots(3))
    assert [r.count for r in open_collection(tmp_path).records] == [3, 2]


def test_exif_size_bounds_the_dots(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "a.jpg", 40, 30, exif=exif)
    write_csv(tmp_path / "a.csv", np.array([[29.5, 39.5]]))
    points = open_collection(tmp_path).records[0].points
    assert points is not None
    assert (points.width, points.height) == (30, 40)


def test_images_alone(tmp_path: Path) -> None:
    folder_with_list(tmp_path)
    collection = open_collection(tmp_path, images_only=True)
    assert [r.points for r in collection.records] == [None] * 4
    assert len(collection.annotated()) == 0
    assert "no dots" in collection.note
    single = open_collection(tmp_path / "images/0.png", images_only=True)
    assert [r.name for r in single.records] == ["0.png"]


def test_classes_are_kept_and_chosen(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    (tmp_path / "d.csv").write_text("image,x,y,class\na.png,1.5,2,car\na.png,3,4,bus\nb.png,5,6,bus\n")
    everything = open_collection(tmp_path)
    assert [r.classes for r in everything.records] == [("car", "bus"), ("bus",)]
    with pytest.raises(UnknownNameError, match=r"no dots of class 'cra'. Did you mean 'car'\?.* Classes: bus, car"):
        open_collection(tmp_path, classes=["cra"])
    cars = open_collection(tmp_path, classes=["car"])
    assert [r.count for r in cars.records] == [1, 0]
    assert cars.records[0].classes == ("car",)


def test_a_manifest_makes_images_without_rows_empty(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    (tmp_path / "dots.csv").write_text("image,x,y\na.png,1.5,2\n")
    with pytest.raises(DataError, match=r"b\.png has no dots"):
        open_collection(tmp_path)
    (tmp_path / "images.csv").write_text("image,count\na.png,1\nb.png,0\n")
    assert [r.count for r in open_collection(tmp_path).records] == [1, 0]


def break_missing_folder(root: Path) -> str:
    (root / "dots.csv").unlink()
    for path in (root / "images").iterdir():
        path.unlink()
    (root / "images").rmdir()
    root.rmdir()
    return "does not exist; check the path"


def break_empty_folder(root: Path) -> str:
    (root / "dots.csv").unlink()
    for path in (root / "images").iterdir():
        path.unlink()
    return "is empty"


def break_no_images(root: Path) -> str:
    for path in (root / "images").iterdir():
        path.unlink()
    return "no image"


def break_no_dots(root: Path) -> str:
    (root / "dots.csv").unlink()
    return "no dots of a known format"


def break_dots_without_image(root: Path) -> str:
    (root / "images/2.png").unlink()
    return r"dots\.csv names image 'images/2\.png', which is not there"


def break_image_without_dots(root: Path) -> str:
    picture(root / "images/new.png")
    return r"new\.png has no dots; annotate it"


def break_nan(root: Path) -> str:
    with (root / "dots.csv").open("a") as file:
        file.write("images/1.png,nan,4\n")
    return r"dot 3 of image .*1\.png is not finite: \(nan, 4\)"


def break_outside(root: Path) -> str:
    with (root / "dots.csv").open("a") as file:
        file.write("images/1.png,40.5,4\n")
    return r"1 of 3 dots of image .*1\.png \(40 x 30 px\) lie outside it, the first at \(40.5, 4\)"


def break_row(root: Path) -> str:
    with (root / "dots.csv").open("a") as file:
        file.write("images/1.png,here,4\n")
    return r"dots\.csv, line 12: .* holds no numbers"


def break_every_image(root: Path) -> str:
    for path in (root / "images").iterdir():
        path.write_bytes(b"broken")
    return "no image can be used"


@pytest.mark.parametrize(
    "damage",
    [
        break_missing_folder,
        break_empty_folder,
        break_no_images,
        break_no_dots,
        break_dots_without_image,
        break_image_without_dots,
        break_nan,
        break_outside,
        break_row,
        break_every_image,
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    root = folder_with_list(tmp_path / "data")
    message = damage(root)
    with pytest.raises(DataError, match=message) as caught:
        open_collection(root)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_one_broken_image_among_many_is_one_record(tmp_path: Path) -> None:
    root = folder_with_list(tmp_path, 10)
    (root / "images/3.png").write_bytes(b"broken")
    collection = open_collection(root)
    assert len(collection.records) == 10
    assert [r.name for r in collection.errors()] == ["images/3.png"]
    assert len(collection.annotated()) == 9
    assert "1 can't be used, the first: image" in collection.note


def test_without_strictness_every_problem_is_listed(tmp_path: Path) -> None:
    root = folder_with_list(tmp_path)
    break_outside(root)
    break_image_without_dots(root)
    break_dots_without_image(root)
    collection = open_collection(root, strict=False)
    assert sorted(p.kind for p in collection.problems) == ["missing_annotation", "missing_image", "outside"]
    outside = next(r for r in collection.records if r.name == "images/1.png")
    assert outside.error is not None
    assert outside.count == 3
    assert len(collection.annotated()) == 2
    with pytest.raises(DataError, match="and 2 more problems"):
        open_collection(root)


def test_dots_without_image_beside_each_other(tmp_path: Path) -> None:
    root = folder_with_files(tmp_path)
    (root / "2.png").unlink()
    with pytest.raises(DataError, match=r"annotation .*2\.csv has no image"):
        open_collection(root)
    (root / "2.csv").unlink()
    (root / "1.csv").unlink()
    with pytest.raises(DataError, match=r"1\.png has no dots"):
        open_collection(root)


def test_errors_about_dots_are_annotation_errors(tmp_path: Path) -> None:
    root = folder_with_list(tmp_path)
    break_nan(root)
    with pytest.raises(AnnotationError):
        open_collection(root)


def test_unknown_names_are_usage_errors(tmp_path: Path) -> None:
    folder_with_list(tmp_path)
    with pytest.raises(UnknownNameError, match=r"unknown format 'cvs'. Did you mean 'csv'\?") as caught:
        open_collection(tmp_path, format="cvs")
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownNameError, match=r"Did you mean 'shanghaitech_[ab]'\?"):
        open_collection(f"shanghaitech_c:{tmp_path}")
    with pytest.raises(DotcountError, match="does not exist"):
        open_collection("shanghaitech_b:/nowhere/at/all")


def test_a_list_is_not_a_folder_of_files(tmp_path: Path) -> None:
    folder_with_list(tmp_path)
    with pytest.raises(DataError, match=r"no dots of the format 'csv_per_image'|has no image"):
        open_collection(tmp_path, format="csv_per_image")
    with pytest.raises(DataError, match="not a known list"):
        open_collection(tmp_path / "images/0.png")
