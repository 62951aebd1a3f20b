"""A csv that its owner wrote keeps its layout when dots are changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dotcount.data import open_collection
from dotcount.data.editing import Edit, open_annotations

PLAIN = "image,x,y\na.png,10.5,20.25\nb.png,3.5,4\n"


@pytest.fixture
def photos(tmp_path):
    for name in ("a", "b", "c"):
        Image.new("L", (200, 100)).save(tmp_path / f"{name}.png")
    return tmp_path


def changed(folder: Path, text: str, *edits: Edit, name: str = "dots.csv") -> list[str]:
    """Write a csv, change image a, and return the lines of the file; what is read agrees with what was done."""
    (folder / name).write_text(text, encoding="utf-8")
    with open_annotations(folder) as annotations:
        assert annotations.image("a.png").trouble == ""
        after = annotations.edit("a.png", annotations.marks("a.png").version, edits)
        wanted = {n: annotations.marks(n) for n in annotations.images}
    assert wanted["a.png"].dots == after.dots
    read = {r.name: r for r in open_collection(folder, strict=False).records}
    for image, marks in wanted.items():
        found = [] if read[image].points is None else sorted(map(tuple, read[image].points.xy.round(2).tolist()))
        assert found == sorted((mark.x, mark.y) for mark in marks.dots)
        assert (read[image].points is not None) == marks.annotated
    return (folder / name).read_text(encoding="utf-8").splitlines()


ADD = Edit("add", 9, 50.37, 60.0)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (PLAIN, ["image,x,y", "a.png,10.5,20.25", "a.png,50.37,60.0", "b.png,3.5,4.0"]),
        (
            "Y;X;Bild\n20,25;10,5;a.png\n4;3,5;b.png\n",
            ["Y;X;Bild", "20,25;10,5;a.png", "60,0;50,37;a.png", "4,0;3,5;b.png"],
        ),
        (
            "Image Name\tCentroid X\tCentroid Y\na.png\t10.5\t20.25\n",
            ["Image Name\tCentroid X\tCentroid Y", "a.png\t10.5\t20.25", "a.png\t50.37\t60.0"],
        ),
        (
            "x_px,y_px,file\n10,20,a.png\n",
            ["x_px,y_px,file", "10.0,20.0,a.png", "50.37,60.0,a.png"],
        ),
        (
            "image,x_share,y_share\na.png,0.25,0.5\n",
            ["image,x_share,y_share", "a.png,0.25,0.5", "a.png,0.25185,0.6"],
        ),
        (
            "image,x,y,image_width,image_height\na.png,10.5,20,200,100\n",
            ["image,x,y,image_width,image_height", "a.png,10.5,20.0,200,100", "a.png,50.37,60.0,200,100"],
        ),
        (
            "image,x,y\na.png,10.5,20.25\nc.png,,\n",
            ["image,x,y", "a.png,10.5,20.25", "a.png,50.37,60.0", "c.png,,"],
        ),
        (
            "name,class,x,y\na.png,old,10.5,20.25\n",
            ["name,class,x,y", "a.png,old,10.5,20.25", "a.png,,50.37,60.0"],
        ),
    ],
)
def test_names_order_separators_and_units_stay(photos, text, lines):
    assert changed(photos, text, ADD) == lines


def test_indices_of_pixels_stay_indices_until_a_dot_lies_elsewhere(photos):
    text = "image,X,Y\na.png,10,20\na.png,30,40\nb.png,3,4\n"
    removed = changed(photos, text, Edit("delete", 0))
    assert removed == ["image,X,Y", "a.png,30,40", "b.png,3,4"]
    assert changed(photos, text, ADD)[0] == "image,x_px,y_px"


def test_numbers_that_would_mean_something_else_are_said_to_be_px(photos):
    assert changed(photos, "image,x,y\na.png,10.5,20\na.png,30,40\n", Edit("delete", 0)) == [
        "image,x_px,y_px",
        "a.png,30.0,40.0",
    ]


def test_a_class_gets_a_column(photos):
    lines = changed(photos, PLAIN, Edit("add", 9, 50.5, 60.25, "cell"))
    assert lines[:3] == ["image,x,y,class", "a.png,10.5,20.25,", "a.png,50.5,60.25,cell"]


def test_a_file_for_each_image(photos):
    text = "id;y;x\n;20.25;10.5\n"
    (photos / "b.csv").write_text("y;x\n1.5;2.5\n", encoding="utf-8")
    assert changed(photos, text, ADD, name="a.csv") == ["id;y;x", ";20.25;10.5", ";60.0;50.37"]
    assert (photos / "b.csv").read_text() == "y;x\n1.5;2.5\n"
