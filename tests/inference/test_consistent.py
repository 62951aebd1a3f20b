"""As many points as the count says, and where they belong."""

import numpy as np
import pytest

import dotcount
from dotcount.data.synthetic import generate
from dotcount.errors import InputError, UsageError
from dotcount.inference import find_peaks
from dotcount.metadata import PeakRule


def blobs(places, sigma=0.8, shape=(24, 30), mass=1.0):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    parts = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2)) for a, b in places]
    return mass * sum(part / part.sum() for part in parts)


PLACES = [(4.3, 5.2), (12.0, 6.0), (14.5, 6.5), (22.7, 15.1), (5.0, 18.0)]


@pytest.mark.parametrize("mass", [1.0, 1.05, 0.95])
def test_whole_objects_are_found_where_they_are(mass):
    xy, scores = find_peaks(blobs(PLACES, mass=mass), 4, method="count")
    assert len(xy) == 5
    nearest = np.linalg.norm(xy[:, None] - 4 * np.array(PLACES), axis=2).min(1)
    assert nearest.max() < 4
    assert len({tuple(p) for p in xy.round(3)}) == 5
    assert scores.sum() == pytest.approx(5 * mass, rel=0.1)


@pytest.mark.parametrize("total", [0.4, 0.6, 1.4, 2.0, 7.3, 40.2])
def test_there_are_as_many_points_as_the_count_says_however_thin_the_mass(total):
    density = np.random.default_rng(0).uniform(0, 1, (20, 25))
    density *= total / density.sum()
    xy, _ = find_peaks(density, 8, 0.9, method="count")
    assert len(xy) == round(total)
    assert len(xy) == 0 or ((xy >= 0) & (xy < (200, 160))).all()
    again, _ = find_peaks(density, 8, 0.1, method="count")
    np.testing.assert_array_equal(xy, again)  # nothing is drawn, and no threshold matters


def test_several_objects_in_one_cell_and_mass_below_any_peak():
    density = np.zeros((5, 5))
    density[2, 2] = 3.0
    assert len(find_peaks(density, 8, method="count")[0]) == 3
    faint = np.full((30, 30), 2 / 900)
    assert len(find_peaks(faint, 4)[0]) == 0
    xy, _ = find_peaks(faint, 4, method="count")
    assert len(xy) == 2
    assert np.linalg.norm(xy[0] - xy[1]) > 20


def test_padding_gets_no_points():
    density = blobs([(4, 4), (28, 20)])
    xy, _ = find_peaks(density, 4, method="count", image_size=(60, 80))
    assert len(xy) == 1
    np.testing.assert_allclose(xy[0], (16, 16), atol=2)


def test_a_rule_is_chosen_by_word():
    rule = PeakRule("nms", 2, 0.4)
    assert rule.placing("auto") == rule.placing("peaks") == rule
    assert rule.placing("count").method == "count"
    assert rule.placing("count").placing("peaks").method == "mass"
    with pytest.raises(UsageError, match="`points`"):
        rule.placing("some")
    with pytest.raises(InputError, match="count"):
        find_peaks([[1.0]], 4, method="some")


def test_a_model_places_what_it_counts():
    image, _ = generate("cells", size=96)
    prediction = dotcount.load("cells", points="count").predict(image)
    assert len(prediction.points) == round(prediction.count)
    assert prediction.count == dotcount.load("cells").predict(image).count
