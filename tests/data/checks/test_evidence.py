"""Pictures of findings: the dots at fault are marked, where they are and by colour."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dotcount.data import Record
from dotcount.data.checks.evidence import draw, evidence, faulty, overview
from dotcount.data.checks.finding import Finding
from dotcount.points import Points

from ..layouts import picture


def decoded(uri: str) -> np.ndarray:
    kind, data = uri.split(",", 1)
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
    grey = np.full((75, 100, 3), 128, dtype=np.uint8)
    xy = np.array([[20.0, 30.0], [50.0, 60.0]])
    marked = decoded(draw(grey, xy, np.array([False, True])))
    assert marked.shape == (270, 360, 3)
    assert reddest(marked) == pytest.approx((180, 216), abs=2)
    far = decoded(draw(grey, np.array([[5000.0, 3.0]]), np.array([True])))
    assert reddest(far) == pytest.approx((355, 11), abs=3)


def test_a_mistake_that_is_understood_is_shown_corrected(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.new("RGB", (90, 40), (128, 128, 128)).save(image)
    turned = Points(np.array([[10.0, 80.0], [20.0, 60.0], [30.0, 70.0], [35.0, 85.0]]), 90, 40)
    records = {"a.png": Record(image, "a.png", turned)}
    shown = evidence(Finding("swapped_axes", "error", "a.png", ""), records)
    assert [caption for caption, _ in shown] == ["a.png: 4 dots", "corrected"]
    records = {"a.png": Record(image, "a.png", Points(np.array([[9.0, 9.0], [9.0, 9.0]]), 90, 40))}
    shown = evidence(Finding("duplicate_dots", "error", "a.png", ""), records)
    assert [caption for caption, _ in shown] == ["a.png: 2 dots", "the first of them, enlarged"]
    assert reddest(decoded(shown[1][1])) == pytest.approx((9 * 360 / 48, 9 * 360 / 48), abs=4)


def test_what_can_not_be_drawn_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    records = {"a.png": Record(tmp_path / "a.png", "a.png", Points.empty(9, 9))}
    assert evidence(Finding("empty", "warning", "a.png", "", ("gone.png",)), records) == []
    assert evidence(Finding("totals", "info", "", ""), records) == []
    assert overview(records["a.png"]) == []
    bare = {"b.png": Record(picture(tmp_path / "b.png"), "b.png", None)}
    assert [caption for caption, _ in evidence(Finding("missing_annotation", "error", "b.png", ""), bare)] == ["b.png"]
