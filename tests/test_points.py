"""Image and dots go through the same geometry; each property is checked against the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.errors import InputError
from dotcount.points import Points, concatenate


@st.composite
def marked_images(draw: st.DrawFn) -> tuple[np.ndarray, Points]:
    """An image in which pixel value k > 0 marks the pixel that dot k - 1 lies in; one dot a pixel at most."""
    width, height = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    cells = draw(st.lists(st.integers(0, width * height - 1), unique=True, max_size=12))
    # Inside its pixel, not on its border: there a dot belongs to a pixel by convention, and a flip turns that round.
    offsets = draw(
        st.lists(st.tuples(*[st.floats(0.01, 0.99)] * 2), min_size=len(cells), max_size=len(cells)),
    )
    image = np.zeros((height, width), dtype=int)
    xy = np.zeros((len(cells), 2))
    for k, (cell, (u, v)) in enumerate(zip(cells, offsets)):
        row, column = divmod(cell, width)
        image[row, column] = k + 1
        xy[k] = column + u, row + v
    return image, Points(xy, width, height)


def assert_marked(image: np.ndarray, points: Points) -> None:
    """Each dot lies in the pixel that carries its identity, and no mark is without its dot."""
    assert image.shape == (points.height, points.width)
    assert points.inside().all()
    column, row = np.floor(points.xy).astype(int).T
    np.testing.assert_array_equal(image[row, column], points.ids + 1)
    assert np.count_nonzero(image) == len(points)


@given(marked_images())
def test_flips_keep_dots_on_their_pixels(scene: tuple[np.ndarray, Points]) -> None:
    image, points = scene
    assert_marked(image[:, ::-1], points.flip_horizontal())
    assert_marked(image[::-1], points.flip_vertical())


@given(marked_images(), st.integers(-5, 5))
def test_turns_keep_dots_on_their_pixels(scene: tuple[np.ndarray, Points], turns: int) -> None:
    image, points = scene
    assert_marked(np.rot90(image, turns), points.rotate90(turns))


@given(marked_images(), st.data())
def test_crop_keeps_exactly_the_dots_of_the_window(scene: tuple[np.ndarray, Points], data: st.DataObject) -> None:
    image, points = scene
    left, top = data.draw(st.integers(0, points.width - 1)), data.draw(st.integers(0, points.height - 1))
    width = data.draw(st.integers(1, points.width - left))
    height = data.draw(st.integers(1, points.height - top))
    assert_marked(image[top : top + height, left : left + width], points.crop(left, top, width, height))


@given(marked_images(), st.tuples(*[st.integers(0, 5)] * 4))
def test_pad_keeps_dots_on_their_pixels_and_crop_undoes_it(
    scene: tuple[np.ndarray, Points], borders: tuple[int, int, int, int]
) -> None:
    image, points = scene
    left, top, right, bottom = borders
    padded = points.pad(left, top, right, bottom)
    assert_marked(np.pad(image, ((top, bottom), (left, right))), padded)
    back = padded.crop(left, top, points.width, points.height)
    np.testing.assert_allclose(back.xy, points.xy, rtol=0, atol=1e-12)


@given(marked_images(), st.integers(1, 4), st.integers(1, 4))
def test_resize_by_a_factor_keeps_dots_in_their_enlarged_pixels(
    scene: tuple[np.ndarray, Points], across: int, down: int
) -> None:
    image, points = scene
    larger = np.repeat(np.repeat(image, down, axis=0), across, axis=1)
    resized = points.resize(points.width * across, points.height * down)
    column, row = np.floor(resized.xy).astype(int).T
    np.testing.assert_array_equal(larger[row, column], points.ids + 1)


@given(
    st.lists(st.tuples(*[st.floats(-10, 110)] * 2), max_size=20),
    st.integers(9, 60),
    st.integers(9, 60),
)
def test_crops_that_tile_the_image_share_no_dot_and_lose_none(
    xy: list[tuple[float, float]], step_x: int, step_y: int
) -> None:
    points = Points(np.array(xy), 100, 100)
    found: list[int] = []
    for top in range(0, 100, step_y):
        for left in range(0, 100, step_x):
            crop = points.crop(left, top, min(step_x, 100 - left), min(step_y, 100 - top))
            found += crop.ids.tolist()
    assert sorted(found) == np.flatnonzero(points.inside()).tolist()


@given(marked_images(), st.integers(1, 60), st.integers(1, 60))
def test_flip_and_resize_commute_and_flips_undo_themselves(
    scene: tuple[np.ndarray, Points], width: int, height: int
) -> None:
    _, points = scene
    one = points.flip_horizontal().resize(width, height)
    other = points.resize(width, height).flip_horizontal()
    np.testing.assert_allclose(one.xy, other.xy, atol=1e-9)
    np.testing.assert_allclose(points.flip_vertical().flip_vertical().xy, points.xy, atol=1e-12)
    np.testing.assert_allclose(points.rotate90(1).rotate90(3).xy, points.xy, atol=1e-12)


def test_geometry_in_numbers() -> None:
    points = Points(np.array([[1.0, 2.0]]), width=10, height=8)
    assert points.flip_horizontal().xy.tolist() == [[9.0, 2.0]]
    assert points.flip_vertical().xy.tolist() == [[1.0, 6.0]]
    assert points.resize(20, 4).xy.tolist() == [[2.0, 1.0]]
    turned = points.rotate90()
    assert (turned.width, turned.height) == (8, 10)
    assert turned.xy.tolist() == [[2.0, 9.0]]


@pytest.mark.parametrize(("first", "expected"), [(0, 3.5), (1, 2.5)])
def test_pixel_centres_of_other_software(first: int, expected: float) -> None:
    points = Points.from_pixel_centres([[3, 3]], 10, 10, first=first)
    assert points.xy.tolist() == [[expected, expected]]


def test_identities_survive_selection_and_joining() -> None:
    points = Points(np.array([[1.0, 1.0], [5.0, 5.0], [8.0, 1.0]]), 10, 10)
    right = points.crop(4, 0, 6, 10)
    assert right.ids.tolist() == [1, 2]
    joined = concatenate([points.select([2]), points.select(points.xy[:, 0] < 6)])
    assert joined.ids.tolist() == [2, 0, 1]
    with pytest.raises(InputError, match="one image size"):
        concatenate([points, points.resize(5, 5)])
    with pytest.raises(InputError, match="at least one"):
        concatenate([])


def test_no_dots_go_through_everything() -> None:
    none = Points.empty(7, 5)
    for changed in (none.flip_horizontal(), none.rotate90(), none.resize(3, 3), none.pad(1), none.crop(0, 0, 2, 2)):
        assert len(changed) == 0
        assert changed.xy.shape == (0, 2)


@pytest.mark.parametrize(
    ("xy", "width", "height", "ids", "message"),
    [
        ([[1, 2, 3]], 5, 5, None, r"shape \(n, 2\)"),
        ([1.0, 2.0, 3.0], 5, 5, None, r"shape \(n, 2\)"),
        ([[1.0, np.nan]], 5, 5, None, "point 0 is not finite"),
        ([[0.0, 0.0], [np.inf, 0.0]], 5, 5, None, "point 1 is not finite"),
        ([], 0, 5, None, "at least 1 x 1"),
        ([[1.0, 1.0]], 5, 5, [1, 2], "one per point"),
    ],
)
def test_wrong_arguments_are_named(xy: list, width: int, height: int, ids: list | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Points(np.array(xy), width, height, ids)  # type: ignore[arg-type]


def test_pad_refuses_negative_borders() -> None:
    with pytest.raises(InputError, match="use crop"):
        Points.empty(5, 5).pad(left=-1)
