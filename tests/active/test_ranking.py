"""Which images are annotated next."""

from __future__ import annotations

import numpy as np
import pytest

from dotcount.active import Outlook, expected_error, order, outlook
from dotcount.errors import InputError
from dotcount.inference import Prediction


def prediction(scores, count=None, density=None) -> Prediction:
    scores = np.asarray(scores, dtype=np.float64)
    density = np.full((16, 16), scores.sum() / 256, np.float32) if density is None else density
    count = float(density.sum()) if count is None else count
    return Prediction(count, None, np.zeros((len(scores), 2)), scores, density, (4.0, 4.0), 64, 64)


def test_expected_error_by_hand():
    assert expected_error(prediction([1.0, 1.0], count=2.0)) == 0
    # two even chances: variance 1/2; the count is 1 below the number of points
    assert expected_error(prediction([0.5, 0.5], count=1.0)) == pytest.approx(np.sqrt(0.5 + 1))
    assert expected_error(prediction([], count=3.0)) == 3
    assert expected_error(prediction([1.7], count=1.0)) == 0  # a mass above 1 is no chance


def test_an_image_without_objects_has_an_outlook():
    empty = outlook("a", prediction([], count=0.0, density=np.zeros((3, 5), np.float32)))
    assert np.isfinite(empty.features).all()
    assert empty.error == 0


def test_the_same_picture_twice_is_not_taken_twice_in_a_row():
    images = [Outlook("a", 9.0, (0.0,)), Outlook("a again", 8.9, (0.0,)), Outlook("b", 5.0, (3.0,))]
    assert order(images, diversity=0.5)[:2] in (["a", "b"], ["b", "a"])
    assert order(images) == ["a", "a again", "b"]


def test_what_is_annotated_counts_as_seen():
    images = [Outlook("near", 1.0, (0.1,)), Outlook("far", 1.0, (4.0,))]
    assert order(images, [Outlook("seen", 0.0, (0.0,))], diversity=0.5) == ["far", "near"]
    assert order(images, [Outlook("seen", 0.0, (4.1,))], diversity=0.5) == ["near", "far"]


def test_every_image_stands_in_the_order_once():
    generator = np.random.default_rng(0)
    images = [Outlook(str(k), float(generator.random()), tuple(generator.random(4))) for k in range(50)]
    for diversity in (0, 0.3, 1):
        assert sorted(order(images, diversity=diversity)) == sorted(image.name for image in images)
    assert order([]) == []
    with pytest.raises(InputError):
        order(images, diversity=1.5)
