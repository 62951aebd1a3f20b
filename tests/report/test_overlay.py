import numpy as np
import pytest
from PIL import Image

from dotcount.errors import OutputError
from dotcount.report.overlay import (
    EXTRA,
    FOUND,
    MISSED,
    View,
    draw_matches,
    draw_points,
    heat_layer,
    match_points,
    overlay,
    save_overlay,
)

from .conftest import prediction

GREY = np.full((80, 120, 3), 0.3, np.float32)


def near(image, xy, scale, colour, reach=12):
    """Whether a pixel close to ``colour`` is within ``reach`` display px of a place in the image."""
    x, y = (np.asarray(xy) * scale).astype(int)
    pixels = np.asarray(image, dtype=int)[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return bool((np.abs(pixels - colour).sum(axis=-1) < 60).any())


def test_marks_lie_on_their_points_and_differ():
    view = View.fit(GREY, 360)
    matches = match_points(np.array([[20.0, 20], [100, 60]]), np.array([[21.0, 20], [60, 60]]), 4)
    assert (matches.found.tolist(), matches.missed.tolist(), matches.extra.tolist()) == (
        [[20, 20]], [[60, 60]], [[100, 60]]
    )  # fmt: skip
    picture = draw_matches(view, matches)
    places = {(20, 20): FOUND, (60, 60): MISSED, (100, 60): EXTRA}
    for place in places:
        for other, colour in places.items():
            assert near(picture, place, view.scale, colour) == (place == other)


def test_matching_distance_follows_the_spacing():
    dots = np.array([[10.0, 10], [50, 10], [90, 10]])
    assert match_points(dots + (15, 0), dots, 4).radius == 20
    assert len(match_points(dots + (15, 0), dots, 4).found) == 3
    close = np.array([[10.0, 10], [12, 10]])
    assert match_points(close, close, 4).radius == 4
    assert len(match_points(np.zeros((0, 2)), close, 4).missed) == 2
    assert len(match_points(close, np.zeros((0, 2)), 4).extra) == 2


@pytest.mark.parametrize(("width", "height"), [(120, 80), (118, 78), (117, 81)])
def test_heat_is_where_the_density_is(width, height):
    xy = (width - 6, height - 6)
    rows, columns = -(-height // 4), -(-width // 4)
    found = prediction([], width, height)
    density = np.zeros((rows, columns), np.float32)
    density[int(xy[1] // 4), int(xy[0] // 4)] = 1
    found = type(found)(1.0, None, found.points, found.scores, density, (4, 4), width, height)
    view = View.fit(np.zeros((height, width, 3), np.float32), 360)
    layer = np.asarray(heat_layer(view, found), dtype=float).sum(axis=-1)
    row, column = np.argwhere(layer == layer.max()).mean(axis=0) + 0.5
    np.testing.assert_allclose((column / view.scale, row / view.scale), np.floor(np.array(xy) / 4) * 4 + 2, atol=2.5)


def test_an_empty_scene_stays_dark():
    found = prediction([])
    faint = np.random.default_rng(0).random(found.density.shape).astype(np.float32) * 1e-4
    found = type(found)(float(faint.sum()), None, found.points, found.scores, faint, (4, 4), 120, 80)
    view = View.fit(np.zeros((80, 120, 3), np.float32), 240)
    full = heat_layer(view, prediction([(60, 40)]))
    assert np.asarray(heat_layer(view, found)).max() < 0.5 * np.asarray(full).max()


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (80, 120)])
def test_any_size_and_no_points(shape):
    pixels = np.zeros((*shape, 3), np.float32)
    found = prediction([], max(4, shape[1]), max(4, shape[0]))
    found = type(found)(0.0, None, found.points, found.scores, found.density, (4, 4), shape[1], shape[0])
    picture = overlay(pixels, found, side=300)
    assert max(picture.size) == 300
    assert min(picture.size) >= 1


def test_overlay_keeps_large_images_within_the_side_and_rings_the_points():
    picture = overlay(np.zeros((200, 900, 3), np.float32), prediction([(450, 100)], 900, 200), side=600)
    assert picture.size == (600, 133)
    assert near(picture, (450, 100), 600 / 900, FOUND, reach=14)
    view = View.fit(GREY, 60, enlarge=False)
    assert draw_points(view, view.image, np.zeros((0, 2))).size == (60, 40)


def test_save_is_a_jpeg_or_a_clear_error(tmp_path):
    save_overlay(tmp_path / "deep" / "a.png.jpg", GREY, prediction([(60, 40)]))
    with Image.open(tmp_path / "deep" / "a.png.jpg") as picture:
        assert picture.format == "JPEG"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save_overlay(tmp_path / "file" / "a.jpg", GREY, prediction([]))
