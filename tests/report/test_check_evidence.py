"""Pictures of findings: the dots at fault are marked, where they are and by colour."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data import Record
from dotcount.data.checks import Finding
from dotcount.points import Points
from dotcount.report.check_evidence import Album, draw, evidence, faulty, overview
from dotcount.report.page import Panel
from tests.data.layouts import picture


def decoded(picture: Image.Image | Panel) -> np.ndarray:
    if isinstance(picture, Image.Image):
        return np.asarray(picture).astype(int)
    kind, data = picture.source.split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def reddest(image: np.ndarray) -> tuple[float, float]:
    """The middle (x, y) of what is red."""
    red = (image[..., 0] > 200) & (image[..., 1] < 110) & (image[..., 2] < 110)
    rows, columns = np.nonzero(red)
    return float(columns.mean()), float(rows.mean())


@pytest.mark.parametrize(
    ("kind", "xy", "expected"),
    [
        ("outside", [[5, 5], [700, 5], [5, 40]], [False, True, True]),
        ("swapped_axes", [[5, 5], [5, 40]], [False, True]),
        ("duplicate_dots", [[5, 5], [9, 9], [5, 5]], [True, False, True]),
        ("near_dots", [[5, 5], [5.5, 5.5], [9, 9]], [True, True, False]),
        ("near_dots", [[5, 5], [5, 5]], [False, False]),
        ("empty", [], []),
    ],
)
def test_dots_at_fault(kind: str, xy: list[list[float]], expected: list[bool]) -> None:
    points = Points(np.array(xy, dtype=float).reshape(-1, 2), 40, 30)
    assert faulty(kind, points).tolist() == expected


def test_marked_dots_are_red_and_stay_in_the_picture() -> None:
    grey = np.full((75, 100, 3), 0.5, dtype=np.float32)
    xy = np.array([[20.0, 30.0], [50.0, 60.0]])
    marked = decoded(draw(grey, xy, np.array([False, True])))
    assert marked.shape == (315, 420, 3)
    assert reddest(marked) == pytest.approx((210, 252), abs=2)
    far = decoded(draw(grey, np.array([[5000.0, 3.0]]), np.array([True])))
    assert reddest(far) == pytest.approx((415, 12.6), abs=3)


def test_a_mistake_that_is_understood_is_shown_corrected(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.new("RGB", (90, 40), (128, 128, 128)).save(image)
    turned = Points(np.array([[10.0, 80.0], [20.0, 60.0], [30.0, 70.0], [35.0, 85.0]]), 90, 40)
    records = {"a.png": Record(image, "a.png", turned)}
    shown = evidence(Finding("swapped_axes", "error", "a.png", ""), Album(records))
    assert [panel.caption for panel in shown] == ["a.png: 4 dots", "corrected"]
    records = {"a.png": Record(image, "a.png", Points(np.array([[9.0, 9.0], [9.0, 9.0]]), 90, 40))}
    shown = evidence(Finding("duplicate_dots", "error", "a.png", ""), Album(records))
    assert [panel.caption for panel in shown] == ["a.png: 2 dots", "the first of them, enlarged"]
    assert reddest(decoded(shown[1])) == pytest.approx((9 * 420 / 48, 9 * 420 / 48), abs=4)


def test_what_can_not_be_drawn_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    records = {"a.png": Record(tmp_path / "a.png", "a.png", Points.empty(9, 9))}
    assert evidence(Finding("empty", "warning", "a.png", "", ("gone.png",)), Album(records)) == []
    assert evidence(Finding("totals", "info", "", ""), Album(records)) == []
    assert overview(records["a.png"], Album(records)) == []
    bare = {"b.png": Record(picture(tmp_path / "b.png"), "b.png", None)}
    assert [panel.caption for panel in evidence(Finding("missing_annotation", "error", "b.png", ""), Album(bare))] == [
        "b.png"
    ]


def test_deep_images_are_bright_and_share_one_range(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = {}
    for k, top in enumerate((4000, 1000)):
        values = (100 + top * rng.random((60, 80))).astype(np.uint16)
        values[::2] = 100
        tifffile.imwrite(tmp_path / f"{k}.tif", values)
        records[f"{k}.tif"] = Record(tmp_path / f"{k}.tif", f"{k}.tif", Points.empty(80, 60))
    album = Album(records)
    bright, dim = (decoded(overview(record, album)[0]).max() for record in records.values())
    assert bright > 235
    assert 40 < dim < 140
