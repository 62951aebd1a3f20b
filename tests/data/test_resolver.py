"""From names as annotation files write them to images."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from dotcount.data.resolver import Resolver
from dotcount.errors import DataError


def find(name: str, images: list[str], table: str = "dots.csv") -> str:
    return Resolver(map(Path, images)).find(name, Path(table)).as_posix()


@pytest.mark.parametrize(
    ("name", "images", "table", "image"),
    [
        ("a.jpg", ["a.jpg", "sub/a.jpg"], "dots.csv", "a.jpg"),
        ("a.jpg", ["a.jpg", "sub/a.jpg"], "sub/dots.csv", "sub/a.jpg"),
        ("sub/a.jpg", ["a.jpg", "sub/a.jpg"], "labels/dots.csv", "sub/a.jpg"),
        ("../images/a.jpg", ["images/a.jpg", "b/a.jpg"], "labels/dots.csv", "images/a.jpg"),
        ("./images/../images/a.jpg", ["images/a.jpg"], "dots.csv", "images/a.jpg"),
        ("images\\a.jpg", ["images/a.jpg"], "dots.csv", "images/a.jpg"),
        ("C:\\Users\\me\\set\\train\\a.jpg", ["train/a.jpg", "test/a.jpg"], "dots.csv", "train/a.jpg"),
        ("/home/me/set/test/a.jpg", ["train/a.jpg", "test/a.jpg"], "dots.csv", "test/a.jpg"),
        ("file:///home/me/a%20b.jpg", ["a b.jpg"], "dots.csv", "a b.jpg"),
        ("file:///C:/me/a.jpg", ["a.jpg"], "dots.csv", "a.jpg"),
        ("s3://bucket/train/a.jpg?X-Amz-Expires=3600", ["train/a.jpg"], "dots.csv", "train/a.jpg"),
        ("/data/local-files/?d=set/a%20b.jpg", ["a b.jpg"], "export.json", "a b.jpg"),
        ("https://host/data/local-files/?d=set%2Fa.jpg", ["a.jpg"], "export.json", "a.jpg"),
        ("/data/upload/1/ab12cd34-IMG_1.jpg", ["IMG_1.jpg"], "export.json", "IMG_1.jpg"),
        ("/data/upload/1/ab12cd34-my_photo_1.jpg", ["my photo (1).jpg"], "export.json", "my photo (1).jpg"),
        ("ab12cd34-x.jpg", ["ab12cd34-x.jpg", "x.jpg"], "export.json", "ab12cd34-x.jpg"),
        ("100%.jpg", ["100%.jpg"], "dots.csv", "100%.jpg"),
        ("a?b#c.jpg", ["a?b#c.jpg"], "dots.csv", "a?b#c.jpg"),
        ("img_1.JPEG", ["IMG_1.jpg"], "dots.csv", "IMG_1.jpg"),
        ("STRASSE.png", ["straße.png"], "dots.csv", "straße.png"),
        ("a", ["images/a.tif"], "dots.csv", "images/a.tif"),
        ("scan_1.2", ["scan_1.2.png", "scan_1.3.png"], "dots.csv", "scan_1.2.png"),
        ("a.tiff", ["a.tif"], "dots.csv", "a.tif"),
        (" a.jpg ", ["a.jpg"], "dots.csv", "a.jpg"),
        ("1.jpg", ["images/train/1.jpg", "images/val/1.jpg"], "annotations/instances_val.json", "images/val/1.jpg"),
        ("1.jpg", ["train2017/1.jpg", "val2017/1.jpg"], "annotations/instances_val2017.json", "val2017/1.jpg"),
        ("1.jpg", ["Training/1.jpg", "Validation/1.jpg"], "annotations/val.json", "Validation/1.jpg"),
        ("1.jpg", ["train/images/1.jpg", "test/images/1.jpg"], "train/labels/x.json", "train/images/1.jpg"),
        ("IMG.JPG", ["IMG.JPG", "img.jpg"], "x/dots.csv", "IMG.JPG"),
    ],
)
def test_names_that_are_found(name: str, images: list[str], table: str, image: str) -> None:
    assert find(name, images, table) == image


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_of_another_system(form: str) -> None:
    on_disk = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "Zellé ö.jpg")
    assert find(unicodedata.normalize(form, "Zellé ö.jpg"), [on_disk]) == on_disk


@pytest.mark.parametrize(
    ("name", "images", "message"),
    [
        ("a.jpg", ["x/a.jpg", "y/a.jpg"], "may be x/a.jpg, y/a.jpg; write its path in full"),
        ("Img.jpg", ["IMG.jpg", "img.jpg"], r"may be IMG\.jpg, img\.jpg"),
        ("a", ["a.jpg", "a.png"], r"may be a\.jpg, a\.png"),
        ("train/a.jpg", ["train/b.jpg", "test/a.jpg"], "which is not there"),
        ("a.jpg", ["a.png"], r"not there \(a\.png is\)"),
        ("imgae.jpg", ["image.jpg"], r"did you mean image\.jpg\?"),
        ("../../../etc/passwd", ["a.jpg"], "not there"),
        ("", ["a.jpg"], "not there"),
        ("/", ["a.jpg"], "not there"),
        ("a\x00.jpg", ["b.jpg"], "not there"),
        ("http://[bad", ["b.jpg"], "not there"),
    ],
)
def test_nothing_is_guessed(name: str, images: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find(name, images)


def test_names_without_the_ending_of_ome() -> None:
    resolver = Resolver([Path("a.ome.tif"), Path("b.tif"), Path("b.ome.tif")])
    assert resolver.find("a") == Path("a.ome.tif")
    assert resolver.find("b.ome") == Path("b.ome.tif")
    with pytest.raises(DataError, match=r"may be b\.tif, b\.ome\.tif"):
        resolver.find("b")


def test_a_kind_that_can_not_be_read_is_named() -> None:
    with pytest.raises(DataError, match=r"'b\.heic', which is a phone's format; export it as JPEG"):
        Resolver([Path("a.jpg")]).find("photos/b.heic".rpartition("/")[2])
