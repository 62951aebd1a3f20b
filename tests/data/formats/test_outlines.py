"""An outline around several points is a region, which is told and not counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dotcount.data import open_collection

from ..layouts import picture

POINTS = [(20.0, 20.0), (60.0, 40.0), (150.0, 80.0)]
Box = tuple[float, float, float, float]


def labelme(folder: Path, box: Box, polygon: bool) -> None:
    left, top, right, bottom = box
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    shapes = [{"label": "cell", "points": [p], "shape_type": "point"} for p in POINTS]
    outline = ("polygon", corners) if polygon else ("rectangle", [corners[0], corners[2]])
    shapes.append({"label": "tissue", "points": outline[1], "shape_type": outline[0]})
    top_level = {"imagePath": "a.png", "imageWidth": 200, "imageHeight": 100, "shapes": shapes}
    (folder / "a.json").write_text(json.dumps(top_level))


def cvat(folder: Path, box: Box, polygon: bool) -> None:
    left, top, right, bottom = box
    points = "".join(f'<points label="cell" points="{x},{y}"/>' for x, y in POINTS)
    outline = f'<box label="tissue" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"/>'
    if polygon:
        corners = f"{left},{top};{right},{top};{right},{bottom};{left},{bottom}"
        outline = f'<polygon label="tissue" points="{corners}"/>'
    image = f'<image id="0" name="a.png" width="200" height="100">{points}{outline}</image>'
    (folder / "annotations.xml").write_text(f"<annotations><version>1.1</version>{image}</annotations>")


def via(folder: Path, box: Box, polygon: bool) -> None:
    left, top, right, bottom = box
    shapes: list[dict[str, object]] = [{"name": "point", "cx": x, "cy": y} for x, y in POINTS]
    xs, ys = [left, right, right, left], [top, top, bottom, bottom]
    rectangle = {"name": "rect", "x": left, "y": top, "width": right - left, "height": bottom - top}
    shapes.append({"name": "polygon", "all_points_x": xs, "all_points_y": ys} if polygon else rectangle)
    regions = [{"shape_attributes": shape, "region_attributes": {}} for shape in shapes]
    (folder / "via.json").write_text(json.dumps({"a.png1": {"filename": "a.png", "size": 1, "regions": regions}}))


def via_3(folder: Path, box: Box, polygon: bool) -> None:
    left, top, right, bottom = box
    outline = [7, left, top, right, top, right, bottom, left, bottom]
    shapes = [[1, *p] for p in POINTS] + [outline if polygon else [2, left, top, right - left, bottom - top]]
    regions = {f"1_{k}": {"vid": "1", "z": [], "xy": xy, "av": {}} for k, xy in enumerate(shapes)}
    project = {
        "project": {"pname": "p"},
        "attribute": {},
        "file": {"1": {"fid": "1", "fname": "a.png", "type": 2}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": regions,
    }
    (folder / "via.json").write_text(json.dumps(project))


def label_studio(folder: Path, box: Box, polygon: bool) -> None:
    left, top, right, bottom = (v / side * 100 for v, side in zip(box, (200, 100, 200, 100)))
    values = [("keypointlabels", {"x": x / 2, "y": y, "width": 0.5, "keypointlabels": ["cell"]}) for x, y in POINTS]
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    rectangle = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
    kind = "polygonlabels" if polygon else "rectanglelabels"
    values.append((kind, {**({"points": corners} if polygon else rectangle), kind: ["tissue"]}))
    result = [
        {"id": str(k), "type": t, "value": v, "original_width": 200, "original_height": 100}
        for k, (t, v) in enumerate(values)
    ]
    tasks = [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "result": result}]}]
    (folder / "tasks.json").write_text(json.dumps(tasks))


WRITERS = [labelme, cvat, via, via_3, label_studio]
TISSUE = (5.0, 5.0, 100.0, 60.0)  # around the first two points


@pytest.mark.parametrize("polygon", [True, False])
@pytest.mark.parametrize("writer", WRITERS)
def test_an_outline_around_points_is_told_and_not_counted(
    tmp_path: Path, writer: Callable[[Path, Box, bool], None], polygon: bool
) -> None:
    picture(tmp_path / "a.png", 200, 100)
    writer(tmp_path, TISSUE, polygon)
    found = open_collection(tmp_path)
    (record,) = found.records
    assert record.error is None
    assert record.points is not None
    assert record.points.xy.tolist() == [list(p) for p in POINTS]
    assert any("1 x region around objects" in each.reason for each in found.left_out)


@pytest.mark.parametrize("writer", WRITERS)
def test_an_outline_beside_points_is_an_object(tmp_path: Path, writer: Callable[[Path, Box, bool], None]) -> None:
    picture(tmp_path / "a.png", 200, 100)
    writer(tmp_path, (90.0, 5.0, 110.0, 25.0), True)
    found = open_collection(tmp_path)
    (record,) = found.records
    assert record.points is not None
    assert record.points.xy.tolist() == [*[list(p) for p in POINTS], [100.0, 15.0]]
    assert not found.left_out


@pytest.mark.parametrize("writer", WRITERS)
def test_an_outline_around_one_point_is_an_object(tmp_path: Path, writer: Callable[[Path, Box, bool], None]) -> None:
    picture(tmp_path / "a.png", 200, 100)
    writer(tmp_path, (10.0, 10.0, 30.0, 40.0), False)
    (record,) = open_collection(tmp_path).records
    assert record.points is not None
    assert record.points.xy.tolist() == [*[list(p) for p in POINTS], [20.0, 25.0]]
