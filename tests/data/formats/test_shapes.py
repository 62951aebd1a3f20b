"""Every shape that annotation tools write is a dot in the right place, or an error that names file, image and shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from dotcount.errors import AnnotationError

from .test_tools import dots_in, listed_in, write


@pytest.mark.parametrize(
    ("shape", "xy"),
    [
        ('<mask rle="1,2,2,2,1" left="10" top="20" width="4" height="2"/>', [[12, 21]]),
        ('<polyline points="0,0;10,0;10,30"/>', [[8.75, 11.25]]),
        ('<ellipse cx="30.5" cy="20" rx="4" ry="2" rotation="30"/>', [[30.5, 20]]),
        ('<skeleton label="f"><points outside="1" points="9,9"/><points points="1,2"/></skeleton>', [[1, 2]]),
        ('<tag label="sunny"/>', []),
        ('<points outside="1" points="9,9"/><points points="1,2"/>', [[1, 2]]),
    ],
)
def test_cvat_places(tmp_path: Path, shape: str, xy: list) -> None:
    text = f'<annotations><image id="0" name="a.jpg" width="200" height="100">{shape}</image></annotations>'
    assert listed_in("cvat", write(tmp_path / "a.xml", text))["a.jpg"].xy.tolist() == xy


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<tag points="1,2"/>', "a tag of image"),
        ('<blob points="1,2"/>', r"a blob of image a\.jpg is a shape that gives no dots"),
        (
            '<mask rle="1,2" left="0" top="0" width="4" height="2"/>',
            r"rle of a mask of image a\.jpg is not that of 4 x 2",
        ),
        ('<mask rle="8" left="0" top="0" width="4" height="2"/>', r"a mask of image a\.jpg marks no pixel"),
        ('<skeleton label="f"><points outside="1" points="9,9"/></skeleton>', "no point inside the image"),
        ('<cuboid xtl1="1"/>', "ytl1 of a cuboid"),
        ('<points points="1,2;;3"/>', "are not x,y;x,y"),
        ('<ellipse cx="inf" cy="2"/>', "not a finite number"),
    ],
)
def test_cvat_that_is_not_understood(tmp_path: Path, shape: str, message: str) -> None:
    text = f'<annotations><image id="0" name="a.jpg" width="200" height="100">{shape}</image></annotations>'
    with pytest.raises(AnnotationError, match=message):
        listed_in("cvat", write(tmp_path / "a.xml", text))


def test_voc_in_other_encodings_and_shapes(tmp_path: Path) -> None:
    boxes = "<bndbox><xmin>1</xmin><ymin>11</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>"
    part = f"<part><name>head</name>{boxes}</part>"
    text = f"<annotation><object><name>Käfer</name>{boxes}{part}</object></annotation>"
    for encoding in ("iso-8859-1", "utf-8", "windows-1252", "utf-16"):
        path = tmp_path / "a.xml"
        path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>\n{text}'.encode(encoding))
        dots = dots_in("voc", path)
        assert (dots.xy.tolist(), dots.classes) == ([[5.0, 15.0]], ("Käfer",))
    write(
        path,
        "\n<?xml version='1.0'?><annotation><object><robndbox><cx>4</cx><cy>5</cy></robndbox></object></annotation>",
    )
    assert dots_in("voc", path).xy.tolist() == [[4, 5]]
    write(path, "<annotation><object><name>x</name><polygon><pt/></polygon></object></annotation>")
    with pytest.raises(AnnotationError, match=r"bndbox of an object is missing \(it has name, polygon\)"):
        dots_in("voc", path)
    for odd in ("<objects><object>{}</object></objects>", "<object>{0}</object><animal>{0}</animal>"):
        write(path, f"<annotation>{odd.format(boxes)}</annotation>")
        with pytest.raises(AnnotationError, match="objects elsewhere than right below annotation"):
            dots_in("voc", path)


POSE = "0 0.5 0.5 0.2 0.4 0.45 0.4 0.55 0.6"
OUTLINE = "0 0.1 0.1 0.3 0.1 0.35 0.2 0.3 0.3 0.1 0.3"


@pytest.mark.parametrize(
    ("text", "shape", "xy"),
    [
        ("\n\n0.0 0.5 0.5 0.2 0.2\n", None, [[100, 50]]),
        ("0 0.5 0.5 0.2 0.2 0.93", None, [[100, 50]]),
        (POSE, [2, 2], [[100, 50]]),
        (f"{POSE} 0.9", [2, 2], [[100, 50]]),
        ("0 0.5 0.5 0.2 0.4 0.45 0.4 2 0 0 0", [2, 3], [[100, 50]]),
        ("0 0.5 0.5 0.2 0.4 0.45 0.4 2 0.55 0.6 2", None, [[100, 50]]),
        ("0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3", None, [[40, 20]]),
        ("0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3 0.93", None, [[40, 20]]),
        (OUTLINE + " 0.8", None, None),
    ],
)
def test_yolo_places(tmp_path: Path, text: str, shape: list | None, xy: list | None) -> None:
    if shape is not None:
        write(tmp_path / "data.yaml", f"names: [fish]\nkpt_shape: {shape}\n")
    dots = dots_in("yolo", write(tmp_path / "a.txt", text))
    assert len(dots.xy) == 1
    if xy is not None:
        np.testing.assert_allclose(dots.xy, xy)


@pytest.mark.parametrize(
    ("text", "yaml", "message"),
    [
        (POSE, "", "may be a polygon or a box with keypoints"),
        (POSE + " 0.5", "names: [a]\nkpt_shape: [3, 3]\n", "line 1: .* is not a class and a box"),
        ("0 0.5 0.5 0.2 0.4 0.45", "names: [a]\nkpt_shape: two\n", "kpt_shape is not"),
        ("0 0.5 0.5 0.2 0.2 7", "", "line 1"),
        ("0 0.5 0.5 -0.2 0.2", "", "line 1"),
        ("0.5 0.5 0.5 0.2 0.2", "", "line 1"),
        ("-1 0.5 0.5 0.2 0.2", "", "line 1"),
        ("cell 0.5 0.5 0.2 0.2", "", "line 1"),
        ("0 120 40 20 20", "", "line 1"),
        ("0 nan 0.5 0.2 0.2", "", "line 1"),
    ],
)
def test_yolo_that_is_not_understood(tmp_path: Path, text: str, yaml: str, message: str) -> None:
    from dotcount.data.formats.yolo import Yolo

    if yaml:
        write(tmp_path / "data.yaml", yaml)
    with pytest.raises(AnnotationError, match=message):
        Yolo().read(write(tmp_path / "a.txt", text), 200, 100)


XY = np.array([[1.5, 2.5], [3.0, 4.0], [5.0, 6.0]])


def cell(*items: Any) -> np.ndarray:
    array = np.empty((1, len(items)), dtype=object)
    for k, item in enumerate(items):
        array[0, k] = item
    return array


@pytest.mark.parametrize(
    ("variables", "xy"),
    [
        ({"comments": np.zeros((0, 0)), "mine": XY}, XY),
        ({"area_range": np.array([[10.0, 50.0]]), "gt": XY}, XY),
        ({"area_range": np.array([[10.0, 50.0]]), "annPoints": np.zeros((0, 2))}, np.zeros((0, 2))),
        ({"points": cell(*XY[:, None])}, XY),
        ({"mine": cell(*[{"location": p[None]} for p in XY])}, XY),
        ({"s": {"x": XY[:, :1], "y": XY[:, 1:]}}, XY),
        ({"mine": np.zeros((0, 0))}, np.zeros((0, 2))),
        ({"mine": XY[:1]}, XY[:1]),
        ({"flags": np.ones((4, 2), dtype=bool), "mine": XY}, XY),
    ],
)
def test_mat_places(tmp_path: Path, variables: dict[str, Any], xy: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "a.mat", variables)
    assert dots_in("mat", tmp_path / "a.mat").xy.tolist() == xy.tolist()


@pytest.mark.parametrize(("size", "fits"), [((200, 100), True), ((100, 200), True), ((100, 50), False)])
def test_the_size_in_a_mat_is_compared(tmp_path: Path, size: tuple[int, int], fits: bool) -> None:
    """Whether rows or columns come first is not known of files of others."""
    scipy.io.savemat(tmp_path / "a.mat", {"annPoints": XY, "imageSize": np.array([size])})
    if fits:
        assert len(dots_in("mat", tmp_path / "a.mat").xy) == 3
    else:
        with pytest.raises(AnnotationError, match="states 100 x 50 px"):
            dots_in("mat", tmp_path / "a.mat")


@pytest.mark.parametrize(
    "variables",
    [
        {"area_range": np.array([[10.0, 50.0]]), "mine": XY},
        {"area_range": np.array([[10.0, 50.0]]), "mine": np.zeros((0, 0))},
        {"comments": np.zeros((0, 0)), "mine": np.zeros((0, 2))},
        {"annPoints": XY, "gt": XY[:2]},
        {"points": cell(XY, XY[:2])},
    ],
)
def test_mat_with_several_candidates_is_refused(tmp_path: Path, variables: dict[str, Any]) -> None:
    scipy.io.savemat(tmp_path / "a.mat", variables)
    with pytest.raises(AnnotationError, match=r"several arrays that could be the dots: .*save the dots as annPoints"):
        dots_in("mat", tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"x": np.array([[10.0, 20.0]]), "y": np.array([[1.0, 2.0, 3.0]])}, "x holds 2 numbers and y 3"),
        ({"x": np.array([[10.0, 20.0]])}, r"no \(n, 2\) array of dots \(variables: x \(1 x 2\)\)"),
        ({"annPoints": XY.T}, r"variables: annPoints \(2 x 3\)\); save one as annPoints, a row x, y"),
    ],
)
def test_mat_that_holds_no_pairs_is_refused(tmp_path: Path, variables: dict[str, Any], message: str) -> None:
    scipy.io.savemat(tmp_path / "a.mat", variables)
    with pytest.raises(AnnotationError, match=message):
        dots_in("mat", tmp_path / "a.mat")


def test_mat_dots_that_are_not_finite_are_passed_on(tmp_path: Path) -> None:
    """So that the image is named, not another array suspected."""
    scipy.io.savemat(tmp_path / "a.mat", {"annPoints": np.array([[1.0, 2.0], [np.nan, np.nan]])})
    assert len(dots_in("mat", tmp_path / "a.mat").xy) == 2
