import numpy as np
import pytest
from PIL import Image

from dotcount.errors import OutputError
from dotcount.report.heat import HeatScale, heat_layer
from dotcount.report.marks import EXTRA, FOUND, MISSED, draw_points, mark_radii
from dotcount.report.overlay import Matches, draw_matches, match_points, overlay, save_overlay, worst_window
from dotcount.report.view import View

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


@pytest.mark.parametrize("side", [360, 1500])
def test_marks_lie_within_half_a_pixel_and_are_cut_at_borders(side):
    view = View.fit(np.zeros((80, 120, 3), np.uint8), side)
    for place in [(0.0, 0.0), (120.0, 80.0), (33.37, 41.81), (60.02, 12.5)]:
        alone = np.asarray(draw_points(view, view.image, np.array([place])), dtype=float).sum(axis=-1)
        assert alone.any()
        if 10 < place[0] < 110:
            centre = np.average(np.argwhere(alone > 0), axis=0, weights=alone[alone > 0])[::-1] + 0.5
            np.testing.assert_allclose(centre, np.array(place) * view.scale, atol=0.5)
    assert not np.asarray(draw_points(view, view.image, np.zeros((0, 2)))).any()


def test_eight_bits_are_shown_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(View.fit(pixels, 60).image), pixels)
    np.testing.assert_array_equal(np.asarray(View.fit(pixels / np.float32(255), 60).image), pixels)


def test_points_and_dots_are_matched_within_the_radius():
    dots = np.array([[10.0, 10], [50, 10], [90, 10]])
    assert len(match_points(dots + (15, 0), dots, 20).found) == 3
    assert len(match_points(dots + (15, 0), dots, 10).found) == 0
    assert len(match_points(np.zeros((0, 2)), dots, 4).missed) == 3
    assert len(match_points(dots, np.zeros((0, 2)), 4).extra) == 3


def test_a_crowded_image_is_shown_where_most_is_wrong():
    grid = np.stack(np.meshgrid(np.arange(5, 1000, 10.0), np.arange(5, 800, 10.0)), axis=-1).reshape(-1, 2)
    wrong = (np.abs(grid - (700, 300)) < 40).all(axis=1)
    matches = Matches(grid[~wrong], grid[wrong], np.zeros((0, 2)), 5.0)
    left, top, right, bottom = worst_window(matches, 1000, 800, 520)
    assert (right - left, bottom - top) == (260, 208)
    assert left < 660
    assert right > 740
    assert top < 260
    assert bottom > 340
    window = (left, top, right, bottom)
    view = View.fit(np.zeros((800, 1000, 3), np.float32), 520, window=window)
    assert view.image.size == (520, 416)
    assert near(draw_matches(view, matches), (700 - left, 300 - top), view.scale, MISSED)
    assert worst_window(Matches(grid[:40], grid[:0], grid[:0], 5.0), 100, 100, 520) is None
    assert worst_window(Matches(grid[:1], grid[:0], grid[:0], 5.0), 1000, 1000, 520) is None


def test_marks_shrink_where_points_are_close_and_leave_room():
    far, close = np.array([[0.0, 0], [200, 0], [400, 0]]), np.array([[700.0, 0], [704, 0], [708, 0]])
    radii = mark_radii(np.concatenate([far, close]), 1000)
    assert radii[:3].tolist() == [12, 12, 12]
    assert (radii[3:] < 30).all()
    assert mark_radii(close, 1000).max() < 3
    assert mark_radii(np.array([[5.0, 5], [5, 5], [5, 5]]), 1000).tolist() == [12, 12, 12]
    assert len(mark_radii(np.zeros((0, 2)), 1000)) == 0


@pytest.mark.parametrize("density", [1e-9, 3e-4, 0.02, 1.0, 40.0])
def test_the_scale_is_in_numbers_one_can_imagine(density):
    scale = HeatScale.of(density)
    assert scale.top == pytest.approx(density * scale.side**2)
    assert 1 <= scale.top < 6.3 or scale.side == 1
    assert scale.ticks()[0] == (0.0, "0")
    assert float(scale.ticks()[1][1]) == pytest.approx(scale.top / 4, rel=0.06)


@pytest.mark.parametrize(("width", "height"), [(120, 80), (118, 78), (117, 81)])
def test_heat_is_where_the_density_is(width, height):
    xy = (width - 6, height - 6)
    rows, columns = -(-height // 4), -(-width // 4)
    found = prediction([], width, height)
    density = np.zeros((rows, columns), np.float32)
    density[int(xy[1] // 4), int(xy[0] // 4)] = 1
    found = type(found)(1.0, None, found.points, found.scores, density, (4, 4), width, height)
    view = View.fit(np.zeros((height, width, 3), np.float32), 360)
    layer = np.asarray(heat_layer(view, found)[0], dtype=float).sum(axis=-1)
    row, column = np.argwhere(layer == layer.max()).mean(axis=0) + 0.5
    np.testing.assert_allclose((column / view.scale, row / view.scale), np.floor(np.array(xy) / 4) * 4 + 2, atol=2.5)


def test_an_empty_scene_stays_dark():
    found = prediction([])
    faint = np.random.default_rng(0).random(found.density.shape).astype(np.float32) * 1e-4
    found = type(found)(float(faint.sum()), None, found.points, found.scores, faint, (4, 4), 120, 80)
    view = View.fit(np.zeros((80, 120, 3), np.float32), 240)
    full = heat_layer(view, prediction([(60, 40)]))[0]
    assert np.asarray(heat_layer(view, found)[0]).max() < 0.5 * np.asarray(full).max()


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (80, 120)])
def test_any_size_and_no_points(shape):
    pixels = np.zeros((*shape, 3), np.float32)
    found = prediction([], max(4, shape[1]), max(4, shape[0]))
    found = type(found)(0.0, None, found.points, found.scores, found.density, (4, 4), shape[1], shape[0])
    picture = overlay(pixels, found, side=300)
    assert picture.width >= 300
    assert max(picture.size) <= 400, "with the legend"


def test_overlay_keeps_large_images_within_the_side_and_rings_the_points():
    picture = overlay(np.zeros((200, 900, 3), np.float32), prediction([(450, 100)], 900, 200), side=600)
    assert picture.width == 600
    assert 133 < picture.height < 200, "with the legend"
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


def test_crowded_images_are_enlarged_so_that_their_points_can_be_told_apart():
    pixels = np.zeros((400, 2000, 3), np.float32)
    grid = np.stack(np.meshgrid(np.arange(5, 2000, 8.0), np.arange(5, 400, 40.0)), axis=-1).reshape(-1, 2)
    few = overlay(pixels, prediction([(450, 100)], 2000, 400))
    many = prediction([], 2000, 400)
    crowded = overlay(pixels, type(many)(9.0, None, grid, np.ones(len(grid)), many.density, (4, 4), 2000, 400))
    assert (few.width, crowded.width) == (1600, 3000)


@pytest.mark.parametrize(("number", "drawn"), [(4_000, True), (40_000, False)])
def test_a_carpet_of_rings_is_not_drawn_and_the_legend_says_so(monkeypatch, number, drawn):
    said = []
    whole = overlay.__globals__["with_legend"]

    def told(picture, text, scale, **rings):
        said.append((text, rings))
        return whole(picture, text, scale, **rings)

    monkeypatch.setitem(overlay.__globals__, "with_legend", told)
    xy = np.random.default_rng(0).uniform(0, 400, (number, 2))
    empty = prediction([], 400, 400)
    points = type(empty)(9.0, None, xy, np.ones(number), empty.density, (4, 4), 400, 400)
    picture = np.asarray(overlay(np.zeros((400, 400, 3), np.uint8), points, side=400), dtype=int)[:400, :400]
    blue = float((np.abs(picture - FOUND).sum(axis=-1) < 60).mean())
    ((text, rings),) = said
    if drawn:
        assert (text, rings) == ("count 9.0", {"rings": "4,000 located points"})
        assert blue > 0.02
    else:
        assert (text, rings) == ("count 9.0; 40,000 points, too dense to be drawn", {})
        assert blue == 0
