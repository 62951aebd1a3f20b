"""Mass is conserved under rendering, cropping, padding and tiling; a dot lies in the cell that carries it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.density import Tile, cell_centres, crop_cells, grid_shape, render, tiles
from dotcount.errors import InputError
from dotcount.points import Points

strides = st.sampled_from([1, 2, 3, 4, 8, 16])


@st.composite
def dotted(draw: st.DrawFn) -> Points:
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    inside = st.tuples(
        st.floats(0, width, exclude_max=True, allow_subnormal=False),
        st.floats(0, height, exclude_max=True, allow_subnormal=False),
    )
    return Points(np.array(draw(st.lists(inside, max_size=15))), width, height)


@given(dotted(), strides)
def test_rendering_conserves_mass_and_keeps_a_dot_under_its_coordinate(points: Points, stride: int) -> None:
    density = render(points, stride)
    assert density.shape == grid_shape(points.height, points.width, stride)
    assert density.sum() == len(points)
    centres = cell_centres(*density.shape, stride)
    for index in range(len(points)):
        alone = render(points.select([index]), stride)
        row, column = np.argwhere(alone)[0]
        assert alone[row, column] == 1
        offset = points.xy[index] - centres[row, column]
        assert (offset >= -stride / 2).all()
        assert (offset < stride / 2).all()


@given(dotted(), strides)
def test_padding_conserves_mass_in_place(points: Points, stride: int) -> None:
    density = render(points, stride)
    padded = render(points.pad(right=5, bottom=9), stride)
    np.testing.assert_array_equal(padded[: density.shape[0], : density.shape[1]], density)
    assert padded.sum() == density.sum()


@given(dotted(), strides, st.integers(1, 4), st.integers(1, 4))
def test_windows_that_tile_have_the_mass_of_the_whole(points: Points, stride: int, across: int, down: int) -> None:
    density = render(points, stride)
    step_x, step_y = across * stride, down * stride
    total = 0.0
    for top in range(0, points.height, step_y):
        for left in range(0, points.width, step_x):
            width, height = min(step_x, points.width - left), min(step_y, points.height - top)
            window = crop_cells(density, left, top, width, height, stride)
            np.testing.assert_array_equal(window, render(points.crop(left, top, width, height), stride))
            total += float(window.sum())
    assert total == len(points)


@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(1, 90) | st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(0, 50),
    st.sampled_from([1, 4, 8, 32]),
)
def test_tile_cores_partition_the_image_on_the_grid(
    height: int, width: int, size: int | tuple[int, int], overlap: int, multiple: int
) -> None:
    seen = np.zeros((height, width), dtype=int)
    for tile in tiles(height, width, size=size, overlap=overlap, multiple=multiple):
        seen[tile.core_top : tile.core_bottom, tile.core_left : tile.core_right] += 1
        assert tile.left % multiple == tile.top % multiple == 0
        assert tile.core_left % multiple == tile.core_top % multiple == 0
        # The context asked for is there, unless the image ends before.
        assert tile.left == 0 or tile.core_left - tile.left >= overlap
        assert tile.top == 0 or tile.core_top - tile.top >= overlap
        assert tile.right == width or tile.right - tile.core_right >= overlap
        assert tile.bottom == height or tile.bottom - tile.core_bottom >= overlap
        assert tile.left <= tile.core_left < tile.core_right <= tile.right <= width
        assert tile.top <= tile.core_top < tile.core_bottom <= tile.bottom <= height
    assert (seen == 1).all()


def test_one_tile_covers_a_small_image() -> None:
    assert list(tiles(50, 60, size=64, overlap=16, multiple=8)) == [Tile(0, 0, 60, 50, 0, 0, 60, 50)]


def test_cell_centres_lie_half_a_stride_inside() -> None:
    centres = cell_centres(2, 3, 8)
    assert centres.shape == (2, 3, 2)
    assert centres[0, 0].tolist() == [4.0, 4.0]
    assert centres[1, 2].tolist() == [20.0, 12.0]


@pytest.mark.parametrize(
    ("height", "width", "stride", "shape"), [(1, 1, 8, (1, 1)), (16, 17, 8, (2, 3)), (5, 4, 1, (5, 4))]
)
def test_grid_shape(height: int, width: int, stride: int, shape: tuple[int, int]) -> None:
    assert grid_shape(height, width, stride) == shape


def test_a_dot_outside_is_an_error_not_a_loss() -> None:
    with pytest.raises(InputError, match=r"1 of 2 points lie outside the 10 x 10 px image.*\(10, 3\)"):
        render(Points(np.array([[1.0, 1.0], [10.0, 3.0]]), 10, 10))


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((4, 0, 8, 8), "multiple of the stride"),
        ((0, 0, 12, 8), "multiple of the stride"),
        ((0, 8, 16, 16), "outside"),
        ((-8, 0, 16, 8), "outside"),
    ],
)
def test_windows_off_the_grid_are_refused(window: tuple[int, int, int, int], message: str) -> None:
    density = np.ones((2, 4))
    with pytest.raises(InputError, match=message):
        crop_cells(density, *window, stride=8)


def test_wrong_strides_and_tiles_are_refused() -> None:
    with pytest.raises(InputError, match="stride"):
        grid_shape(5, 5, 0)
    with pytest.raises(InputError, match="positive"):
        list(tiles(10, 10, size=0, overlap=0, multiple=1))
