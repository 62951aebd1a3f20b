from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.config import AugmentConfig
from dotcount.data.transforms import random_colour, random_crop, random_turns, training_sample
from dotcount.points import Points

ALL = AugmentConfig(True, True, True, (0.5, 2.0), 1.0, 0.2, 0.2, 0.5)


def marked(width: int, height: int, n: int, seed: int) -> tuple[np.ndarray, Points]:
    """An image that is black but for one white pixel under each dot; dots sit at pixel centres."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(width * height, n, replace=False)
    rows, columns = np.divmod(cells, width)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[rows, columns] = 255
    return pixels, Points(np.stack([columns + 0.5, rows + 0.5], axis=1), width, height)


@given(st.integers(20, 60), st.integers(20, 60), st.integers(1, 20), st.integers(0, 10), st.integers(0, 999))
def test_crops_and_turns_keep_dots_on_their_pixels(width: int, height: int, side: int, n: int, seed: int) -> None:
    pixels, points = marked(width, height, n, seed)
    augment = AugmentConfig(flip_vertical=True, rotate90=True)
    image, inside = training_sample(pixels, points, side, augment, np.random.default_rng(seed))
    assert image.shape == (side, side, 3)
    assert image.dtype == np.float32
    assert (inside.width, inside.height) == (side, side)
    column, row = np.floor(inside.xy).astype(int).T
    assert (image[row, column] == 1).all()
    assert image[..., 0].sum() == len(inside)
    np.testing.assert_array_equal(np.isin(inside.ids, points.ids), True)


@given(st.floats(0.5, 2.0), st.integers(0, 999))
def test_scaled_crops_move_dots_with_the_picture(scale: float, seed: int) -> None:
    """A single bright blob and its dot: after magnification the blob's centre of mass lies at the dot."""
    pixels = np.zeros((80, 80, 3), dtype=np.uint8)
    pixels[38:43, 38:43] = 200
    points = Points(np.array([[40.5, 40.5]]), 80, 80)
    image, moved = random_crop(pixels, points, 64, (scale, scale), np.random.default_rng(seed))
    assert image.shape == (64, 64, 3)
    weight = image[..., 0].astype(float)
    full = 25 * 200 * (64 / min(80, round(64 / scale))) ** 2
    if len(moved) and abs(weight.sum() / full - 1) < 0.02:  # the blob lies wholly inside
        x = (weight.sum(0) * (np.arange(64) + 0.5)).sum() / weight.sum()
        y = (weight.sum(1) * (np.arange(64) + 0.5)).sum() / weight.sum()
        np.testing.assert_allclose((x, y), moved.xy[0], atol=0.1)


def test_the_magnification_is_the_one_asked_for() -> None:
    points = Points(np.array([[90.0, 90.0], [110.0, 110.0]]), 200, 200)
    for seed in range(40):
        _, crop = random_crop(np.zeros((200, 200, 3), np.uint8), points, 100, (2.0, 2.0), np.random.default_rng(seed))
        if len(crop) == 2:
            np.testing.assert_allclose(np.diff(crop.xy, axis=0), [[40.0, 40.0]])
            return
    raise AssertionError("no crop held both dots")


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_the_other_crops_keep_the_pixels_of_the_file(chance: float) -> None:
    """Alternating columns stay black and white unless they are resampled."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::2] = 255
    augment, rng = AugmentConfig(scale=(1.1, 1.3), scale_chance=chance), np.random.default_rng(0)
    images = [training_sample(pixels, Points.empty(64, 64), 32, augment, rng)[0] for _ in range(400)]
    resampled = np.mean([bool(((image > 0) & (image < 1)).any()) for image in images])
    assert abs(resampled - chance) < 0.07


def test_crop_places_are_uniform() -> None:
    pixels = np.arange(5, dtype=np.uint8)[None, :, None].repeat(3, axis=2).repeat(2, axis=0)
    rng = np.random.default_rng(0)
    lefts = [int(random_crop(pixels, Points.empty(5, 2), 2, None, rng)[0][0, 0, 0]) for _ in range(4000)]
    share = np.bincount(lefts, minlength=4) / 4000
    np.testing.assert_allclose(share, 0.25, atol=0.03)


@pytest.mark.parametrize("crowded", [0.0, 0.5, 1.0])
def test_of_two_places_the_fuller_one_is_taken(crowded: float) -> None:
    """One dot that half of the four places hold: one of two drawn places holds it with chance 3/4."""
    pixels, dot = np.zeros((2, 5, 3), np.uint8), Points(np.array([[1.5, 0.5]]), 5, 2)
    augment, rng = AugmentConfig(crowded=crowded), np.random.default_rng(0)
    found = [len(training_sample(pixels, dot, 2, augment, rng)[1]) for _ in range(4000)]
    np.testing.assert_allclose(np.mean(found), 0.5 + 0.25 * crowded, atol=0.03)


def test_crops_without_dots_are_drawn_as_before_where_places_are_equal() -> None:
    pixels, nothing = np.arange(300).astype(np.uint8).reshape(10, 10, 3), Points.empty(10, 10)
    one, two = (random_crop(pixels, nothing, 4, None, np.random.default_rng(7), places)[0] for places in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_each_turn_has_its_share() -> None:
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)
    rng = np.random.default_rng(0)
    seen: dict[tuple, int] = {}
    for _ in range(4000):
        image, _ = random_turns(pixels, Points.empty(2, 2), AugmentConfig(True, False, True), rng)
        key = tuple(image[..., 0].ravel())
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 8  # the symmetries of the square
    assert min(seen.values()) > 400


def test_nothing_happens_when_all_is_off() -> None:
    pixels, points = marked(16, 16, 5, 0)
    off = AugmentConfig(flip_horizontal=False)
    image, same = training_sample(pixels, points, 16, off, np.random.default_rng(0))
    np.testing.assert_array_equal(image, pixels / np.float32(255))
    np.testing.assert_array_equal(same.xy, points.xy)


def test_colour_stays_in_range_and_leaves_its_input() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((8, 8, 3), dtype=np.float32)
    before = image.copy()
    for _ in range(20):
        changed = random_colour(image, ALL, rng)
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 1
    np.testing.assert_array_equal(image, before)
    grey = random_colour(image, AugmentConfig(grey=1.0), rng)
    assert (grey == grey[..., :1]).all()


def test_contrast_keeps_the_mean_and_brightness_scales_it() -> None:
    rng = np.random.default_rng(1)
    image = (0.4 + 0.2 * rng.random((16, 16, 3))).astype(np.float32)
    steeper = random_colour(image, AugmentConfig(contrast=0.3), rng)
    assert steeper.mean() == pytest.approx(image.mean(), abs=1e-5)
    assert steeper.std() != pytest.approx(image.std(), rel=1e-3)
    brighter = random_colour(image, AugmentConfig(brightness=0.3), rng)
    np.testing.assert_allclose(brighter / image, np.full_like(image, brighter.mean() / image.mean()), rtol=1e-4)


@given(st.integers(0, 99))
def test_samples_are_pure_functions_of_the_generator(seed: int) -> None:
    pixels, points = marked(50, 40, 8, 3)
    one = training_sample(pixels, points, 20, ALL, np.random.default_rng(seed))
    two = training_sample(pixels, points, 20, ALL, np.random.default_rng(seed))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1].xy, two[1].xy)
