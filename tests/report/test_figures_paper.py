"""Colours and marks where they must be, and figures that say what they show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial import KDTree

from dotcount.audit import transport_map
from dotcount.report import located_figure, map_picture, points_picture, save_figure, transport_figure
from dotcount.report.figures_paper import GREEN, dot_colours
from dotcount.report.overlay import EXTRA, MISSED, View

from ..audit.test_explanation import NEAR, blobs, centre, predicted

DOTS = [centre(3, 3), centre(3, 13), centre(12, 12)]


@pytest.fixture
def scene():
    """A dot with its mass, one without, one with a second cell to itself, and mass that goes to no dot."""
    density = blobs([(3, 3, 1.0), (12, 3, 0.8), (12, 12, 0.7), (12, 13, 0.3)])
    prediction = predicted(density)
    return np.full((64, 64, 3), 0.5, np.float32), prediction, transport_map(prediction, DOTS, 4, NEAR)


def near(picture, colour, xy, reach):
    """Return whether a colour is drawn within ``reach`` px (of a view at 16-fold size) of a place."""
    pixels = np.asarray(picture, dtype=int)
    x, y = (int(value * 16) for value in xy)
    window = pixels[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
    return bool((np.abs(window - colour).max(axis=2) < 12).any())


@settings(max_examples=15)
@given(st.integers(1, 200), st.integers(0, 1000))
def test_every_dot_has_its_own_colour_unlike_its_neighbours(n, seed):
    dots = np.random.default_rng(seed).uniform(0, 100, (n, 2))
    colours = dot_colours(dots)
    assert len(np.unique(colours.round(6), axis=0)) == n
    if n > 1:
        nearest = KDTree(dots).query(dots, k=2)[1][:, 1]
        assert np.abs(colours - colours[nearest]).max(axis=1).min() > 0.1


def test_dots_at_one_place_and_no_dots_are_coloured():
    assert dot_colours(np.zeros((0, 2))).shape == (0, 3)
    assert len(np.unique(dot_colours(np.ones((5, 2))), axis=0)) == 5


def test_cells_have_the_colour_of_their_dot_and_its_brightness(scene):
    pixels, prediction, transport = scene
    picture = np.asarray(map_picture(transport, prediction, View.fit(pixels, 1024)), dtype=int)
    hue = dot_colours(np.array(DOTS))
    strong, weak = (
        picture[12 * 64 + 6, column * 64 + 58] for column in (12, 13)
    )  # corners of the cells, off the marks
    for shown in (strong, weak):
        np.testing.assert_allclose(shown / shown.max(), hue[2], atol=0.02)
    assert strong.max() > weak.max() > 0
    assert picture[8 * 64, 8 * 64].max() == 0


def test_what_does_not_fit_is_marked(scene):
    pixels, prediction, transport = scene
    picture = map_picture(transport, prediction, View.fit(pixels, 1024))
    assert near(picture, EXTRA, centre(12, 3), 30)
    assert near(picture, MISSED, DOTS[1], 40)
    assert not near(picture, MISSED, DOTS[0], 40)
    assert not near(picture, EXTRA, DOTS[0], 40)
    for x, y in DOTS:
        assert picture.getpixel((int(x * 16), int(y * 16))) == (0, 0, 0)


def test_points_are_green_discs(scene):
    pixels, _, _ = scene
    picture = points_picture(View.fit(pixels, 1024), np.array(DOTS))
    assert all(near(picture, GREEN, xy, 4) for xy in DOTS)
    assert not near(picture, GREEN, (32, 32), 60)


@pytest.mark.parametrize("shape", [(16, 16), (8, 24)])
def test_figure_1_says_what_it_shows(tmp_path, shape):
    prediction = predicted(blobs([(3, 3, 1.0), (4, 12, 0.8)], shape))
    transport = transport_map(prediction, [centre(3, 3), centre(6, 6)], 4, NEAR)
    pixels = np.zeros((prediction.height, prediction.width, 3), np.float32)
    figure = transport_figure(pixels, prediction, transport, side=200)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["(a) 2 annotated dots", "(b) density map, sum 1.8", "(c) transport map"]
    save_figure(tmp_path / "figure1.png", figure, dpi=40)
    with Image.open(tmp_path / "figure1.png") as image:
        assert image.format == "PNG"
        # Side by side where images are high, one below the other where they are wide.
        assert (image.width > image.height) == (shape == (16, 16))


def test_figure_2_has_a_column_for_each_image(scene, tmp_path):
    pixels, prediction, _ = scene
    figure = located_figure([pixels, pixels], [prediction, prediction], [3], side=200)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles.count("density map, sum 2.8") == 2
    assert "image, 3 annotated" in titles
    assert "image" in titles
    save_figure(tmp_path / "figure2.jpg", figure, dpi=40)
    with Image.open(tmp_path / "figure2.jpg") as image:
        assert image.format == "JPEG"
    assert [path.name for path in tmp_path.iterdir()] == ["figure2.jpg"]
