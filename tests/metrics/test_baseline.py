from __future__ import annotations

import doctest

import numpy as np
import pytest

from dotcount.errors import InputError
from dotcount.metrics import baseline, compare_with_constant, constant_baseline

TRUE = np.array([80.0, 100, 117, 120, 140, 150, 95, 139])


def test_the_constant_baseline_is_the_mean_distance_to_it():
    assert constant_baseline(3, [0, 3, 9]) == pytest.approx(3)
    with pytest.raises(InputError):
        constant_baseline(3, [])


def test_a_model_that_follows_the_counts_is_better():
    found = compare_with_constant(TRUE + [3, -4, 2, 1, -2, 3, 1, -1], TRUE, 110.0)
    assert found.verdict == "better"
    assert found.sentence().startswith(
        "Better than always answering the mean count of the training images (110.0): off"
    )
    assert found.mae == pytest.approx(17 / 8)
    assert found.baseline_mae == pytest.approx(np.abs(TRUE - 110).mean())
    assert found.interval[1] < 0


def test_a_foreign_training_mean_is_an_easy_rival_and_the_harder_one_is_told():
    guess = TRUE + [3, -4, 2, 1, -2, 3, 1, -1]
    far = compare_with_constant(guess, TRUE, TRUE.mean() + 400)
    own = f"The own mean of these images, {TRUE.mean():,.1f}, is off by {np.abs(TRUE - TRUE.mean()).mean():,.1f}."
    assert own in far.sentence()
    assert "own mean" not in compare_with_constant(guess, TRUE, TRUE.mean() + 1).sentence()


def test_a_model_that_answers_one_number_is_no_better_even_if_the_number_is_luckier_than_the_training_mean():
    found = compare_with_constant(np.full(8, 117.6), TRUE, 60.0)
    assert found.mae < found.baseline_mae
    assert (found.verdict, found.constant) == ("no better", True)
    assert "nearly the same count, 117.6, for every image" in found.sentence()


def test_a_model_with_larger_errors_is_no_better():
    found = compare_with_constant(TRUE * 3, TRUE, 110.0)
    assert (found.verdict, found.constant) == ("no better", False)
    assert "No better than always answering" in found.sentence()


def test_few_images_and_chance_are_unclear():
    few = compare_with_constant(TRUE[:3], TRUE[:3], 10.0)
    assert few.verdict == "unclear"
    assert "Too few images" in few.sentence()
    noise = TRUE.mean() + (TRUE - TRUE.mean()) * [1, 1, -0.2, 1, 1, -0.9, 0.1, -0.6]
    chance = compare_with_constant(noise, TRUE, TRUE.mean())
    assert chance.mae < chance.baseline_mae
    assert chance.verdict == "unclear"
    assert "may be chance" in chance.sentence()


def test_images_of_another_kind_are_not_told_apart_by_being_nearer_than_a_far_training_mean():
    far = TRUE[::-1] * 1.1
    found = compare_with_constant(far, TRUE, 20.0)
    assert found.mae < found.baseline_mae
    assert found.verdict == "unclear"
    assert "The model does not tell these images apart" in found.sentence()


def test_without_the_training_mean_that_of_the_images_stands_in():
    found = compare_with_constant(TRUE + 1, TRUE)
    assert not found.known
    assert found.answer == pytest.approx(TRUE.mean())
    assert "mean count of these images" in found.sentence()


def test_equal_counts_say_nothing_and_nothing_fails():
    same = compare_with_constant([5, 5, 5, 5, 5, 5], [5] * 6, 5.0)
    assert same.spread is None
    assert (same.verdict, same.constant) == ("unclear", False)
    assert compare_with_constant([0.0], [0.0], 0.0).verdict == "unclear"
    values = same.to_dict()
    assert values["verdict"] == "unclear"
    assert values["interval"] == [0.0, 0.0]


@pytest.mark.parametrize("mean", [-1.0, float("nan"), float("inf")])
def test_a_training_mean_that_is_no_count_is_refused(mean):
    with pytest.raises(InputError, match="training_mean"):
        compare_with_constant([1.0], [1.0], mean)


def test_examples():
    assert doctest.testmod(baseline).failed == 0
