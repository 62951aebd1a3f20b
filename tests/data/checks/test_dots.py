from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.data import Record
from dotcount.data.checks.dots import as_shown, border_share, check_dots, explain
from dotcount.data.checks.pictures import ImageFacts
from dotcount.points import Points

SEED = st.integers(0, 10_000)


def spread(width: int, height: int, n: int = 60, seed: int = 0) -> Points:
    return Points(np.random.default_rng(seed).random((n, 2)) * (width, height), width, height)


@given(SEED)
def test_each_mistake_is_explained_and_undone(seed: int) -> None:
    truth = spread(200, 100, seed=seed)
    for kind, wrong in [("swapped_axes", truth.xy[:, ::-1]), ("scaled", truth.xy * 4), ("scaled", truth.xy / 4)]:
        found = explain(Points(wrong, 200, 100))
        assert found is not None
        assert found.kind == kind
        np.testing.assert_allclose(found.corrected.xy, truth.xy, atol=1e-9)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_dots_of_the_picture_as_stored_are_turned(orientation: int) -> None:
    stored = spread(200, 100)
    found = explain(Points(stored.xy, 100, 200), orientation)
    assert found is not None
    assert found.kind == "exif_rotated"
    assert (found.corrected.width, found.corrected.height) == (100, 200)
    assert found.corrected.inside().all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_dots_follow_the_pixels_of_the_picture_as_shown(tmp_path: Path, orientation: int) -> None:
    from PIL import Image

    from dotcount.data import read_pixels

    pixels = np.zeros((5, 7, 3), dtype=np.uint8)
    pixels[1, 5] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    shown = read_pixels(tmp_path / "a.png")
    row, column = np.argwhere(shown[..., 0])[0]
    moved = as_shown(Points(np.array([[5.5, 1.5]]), 7, 5), orientation)
    assert moved.xy.tolist() == [[column + 0.5, row + 0.5]]


def test_counting_from_one_is_recognised() -> None:
    indices = np.array([[1.5, 1.5], [20.5, 30.5], [100.5, 50.5]])  # 1, 20, 100 of 100 columns, taken as counted from 0
    found = explain(Points(indices, 100, 60))
    assert found is not None
    assert found.kind == "off_by_one"
    np.testing.assert_allclose(found.corrected.xy, indices - 1)


@given(SEED)
def test_ordinary_dots_are_not_accused(seed: int) -> None:
    record = Record(Path("a"), "a", spread(150, 150, seed=seed))
    assert [f for f in check_dots(record, ImageFacts()) if f.severity != "info"] == []


def test_a_few_dots_in_a_corner_are_no_mistake() -> None:
    assert explain(Points(np.full((9, 2), 3.0), 100, 100)) is None
    assert explain(Points.empty(10, 10)) is None


def test_repeated_and_near_dots() -> None:
    xy = np.vstack([spread(200, 100).xy, [[3.0, 3.0]] * 2, [[50.0, 50.0], [50.4, 50.0]]])
    kinds = {f.kind: f for f in check_dots(Record(Path("a"), "a", Points(xy, 200, 100)), ImageFacts())}
    assert kinds["duplicate_dots"].severity == "warning"
    assert kinds["duplicate_dots"].message.startswith("1 of 64 dots")
    assert kinds["near_dots"].severity == "info"
    doubled = Points(np.vstack([xy, xy]), 200, 100)
    worse = next(f for f in check_dots(Record(Path("a"), "a", doubled), ImageFacts()) if f.kind == "duplicate_dots")
    assert worse.severity == "error"


def test_dots_on_the_border_are_counted() -> None:
    points = Points(np.array([[0.0, 5.0], [5.0, 9.7], [5.0, 5.0], [0.6, 5.0]]), 10, 10)
    assert border_share(points) == 0.5
    assert border_share(Points.empty(5, 5)) == 0.0
