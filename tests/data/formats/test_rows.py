"""Rows of a table that are not one object of one image each, and sums below them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dotcount.data import open_collection
from dotcount.errors import AnnotationError, DataError

from ..layouts import picture


def table(root: Path, name: str, text: str) -> Path:
    for image in ("a.png", "b.png"):
        picture(root / image, 60, 40)
    (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image,annotator,x,y\na.png,Ann,5.5,6\na.png,Bo,5.7,6\n", "'annotator' has 'Ann' and 'Bo' in one image"),
        ("filename,user_name,x,y\na.png,,5.5,6\na.png,Bo,5.7,6\n", "'user_name' has '' and 'Bo' in one image"),
        ("classification_id,image,x,y\n71,a.png,5.5,6\n72,a.png,5.7,6\n", "once for each person"),
        ("image,tile_x,tile_y,x,y\na.png,0,0,5.5,6\na.png,1,0,5.5,6\n", "'tile_x' has '0' and '1' .* within the whole"),
        ("image,x,y,valid\na.png,5.5,6,1\na.png,7.5,6,0\n", "line 3: '0' in the column 'valid' may say"),
        ("image,x,y,Deleted\na.png,5.5,6,True\na.png,7.5,6,False\n", "line 2: 'True' in the column 'Deleted'"),
        ("image,x,y,count\na.png,5.5,6,3\nb.png,7.5,6,1\n", "line 2: 3 in the column 'count', while .* 1 rows"),
        ("image,x,y,number_of_objects\na.png,5.5,6,9\na.png,7.5,6,2\n", "9 in the column 'number_of_objects'"),
        ("image,cell_id,x,y\na.png,4,5.5,6\na.png,4,5.7,6\n", "two rows have cell_id 4"),
        ("image,x,y,time_s\na.png,5.5,6,0\na.png,5.7,6,10\n", "points in 2 planes of a stack or frames"),
        ("image,x [px],y [px],t [sec]\na.png,5.5,6,0\na.png,5.7,6,10\n", "points in 2 planes of a stack or frames"),
        ("image,Slice n°,X,Y\na.png,1,5.5,6\na.png,2,5.7,6\n", "points in 2 planes of a stack or frames"),
        ("image,xmin,ymin,xmax,ymax,IsGroupOf\na.png,2,2,8,8,1\n", "'IsGroupOf'"),
    ],
)
def test_rows_that_are_no_objects_of_their_own_are_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(AnnotationError, match=why) as caught:
        open_collection(table(tmp_path, "dots.csv", text))
    assert "dots.csv" in str(caught.value)


def test_a_table_of_several_images_by_number_is_not_of_the_one_it_is_called_as(tmp_path: Path) -> None:
    text = "ImageNumber,ObjectNumber,Location_Center_X,Location_Center_Y\n1,1,10,20\n2,1,3,4.25\n"
    with pytest.raises(AnnotationError, match=r"'ImageNumber' has '1' and '2' .* several images"):
        open_collection(table(tmp_path, "a.csv", text))


@pytest.mark.parametrize(
    "text",
    [
        "image,annotator,x,y\na.png,Ann,5.5,6\nb.png,Bo,5.75,6\n",
        "image,x,y,count\na.png,5.5,6,1\nb.png,5.75,6,1\n",
        "number,image,x,y\n1,a.png,5.5,6\n2,b.png,5.75,6\n",
        "image,cell_id,x,y\na.png,4,5.5,6\nb.png,4,5.75,6\n",
        "image,tile,x,y\na.png,3,5.5,6\nb.png,4,5.75,6\n",
        "image,x,y,valid,excluded\na.png,5.5,6,1,0\nb.png,5.75,6,yes,no\n",
    ],
)
def test_one_of_each_is_fine(tmp_path: Path, text: str) -> None:
    found = open_collection(table(tmp_path, "dots.csv", text))
    assert [r.points.xy.tolist() for r in found.records if r.points] == [[[5.5, 6]], [[5.75, 6]]]


def test_rows_may_be_numbered_in_each_image(tmp_path: Path) -> None:
    text = "image,number,x,y\na.png,1,5.5,6\na.png,2,8.5,6\nb.png,1,5,6\nb.png,2,9,6\n"
    assert open_collection(table(tmp_path, "dots.csv", text)).n_dots == 4


def test_corners_of_outlines_in_columns_are_no_boxes(tmp_path: Path) -> None:
    text = "image,x1,y1,x2,y2,x3,y3,x4,y4\na.png,2,2,8,2,8,8,2,8\n"
    with pytest.raises(DataError, match="its columns are the corners of outlines"):
        open_collection(table(tmp_path, "dots.csv", text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dots.csv", "image,x,y\na.png,5.5,6\nb.png,7.5,6\nTotal,2,\n"),
        ("dots.csv", "id,image,x,y\n1,a.png,5.5,6\n2,b.png,7.5,6\nmean,,6.5,6\nSD,,1,0\n"),
    ],
)
def test_sums_below_a_table_are_left_out_and_told(tmp_path: Path, name: str, text: str) -> None:
    found = open_collection(table(tmp_path, name, text))
    assert found.n_dots == 2
    assert ["sums at the end" in each.reason for each in found.left_out] == [True]


def test_a_class_that_is_called_like_a_sum_stays(tmp_path: Path) -> None:
    found = open_collection(table(tmp_path, "dots.csv", "class,image,x,y\nleaf,a.png,5.5,6\ntotal,b.png,7.5,6\n"))
    assert (found.n_dots, found.left_out) == (2, ())
