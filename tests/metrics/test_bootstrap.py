from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.calibration import CountInterval, calibrate
from dotcount.errors import InputError
from dotcount.metrics import bootstrap_mean, compare_errors, compare_paired, sign_flip_p_value


def test_bootstrap_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(10)
    hits = 0
    for seed in range(300):
        low, high = bootstrap_mean(rng.exponential(size=80), level=0.9, resamples=400, seed=seed)
        hits += low <= 1.0 <= high
    assert 0.83 < hits / 300 < 0.94


def test_bootstrap_is_reproducible_and_degenerate_samples_have_no_width():
    values = np.random.default_rng(11).random(30)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)
    assert bootstrap_mean([2.5]) == (2.5, 2.5)


def test_bootstrap_width_is_that_of_the_normal_approximation():
    values = np.random.default_rng(12).normal(size=400)
    low, high = bootstrap_mean(values, resamples=20_000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_sign_flip_enumerates_small_samples(differences):
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences)))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    expected = sum(total >= abs(sum(differences)) for total in sums) / len(sums)
    assert sign_flip_p_value(differences) == pytest.approx(expected)


def test_sign_flip_by_sampling_agrees_with_enumeration_and_is_never_zero():
    differences = np.random.default_rng(13).normal(0.4, 1, 13)
    assert sign_flip_p_value(differences, permutations=8000) == pytest.approx(sign_flip_p_value(differences), abs=0.02)
    assert sign_flip_p_value(np.ones(40), permutations=999) == 1 / 1000


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(14)
    p = [sign_flip_p_value(rng.normal(size=30), permutations=200, seed=seed) for seed in range(400)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.045)


def test_paired_comparison_sees_what_unpaired_intervals_hide():
    rng = np.random.default_rng(15)
    true = rng.integers(10, 500, 100)
    noise = rng.normal(0, 50, 100)
    better, worse = true + noise, true + noise * 1.05
    result = compare_paired(better, worse, true, resamples=2000)
    assert result.difference == pytest.approx(result.mae_a - result.mae_b)
    assert result.interval[0] < result.difference < result.interval[1] < 0
    assert result.p_value < 0.01
    separate = bootstrap_mean(abs(better - true)), bootstrap_mean(abs(worse - true))
    assert separate[0][1] > separate[1][0]
    swapped = compare_paired(worse, better, true, resamples=2000)
    assert swapped.difference == -result.difference
    assert json.loads(json.dumps(result.to_dict()))["n"] == 100


def test_equal_runs_do_not_differ():
    result = compare_paired([1, 2, 3], [1, 2, 3], [3, 2, 1])
    assert (result.difference, result.interval, result.p_value) == (0.0, (0.0, 0.0), 1.0)


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("n", [9, 30, 200])
def test_conformal_intervals_cover_as_promised_and_not_much_more(level, n):
    rng = np.random.default_rng(16)
    covered = []
    for _ in range(600):
        true = rng.poisson(rng.gamma(2, 50, n + 20))
        predicted = np.maximum(true + rng.normal(0, 1, n + 20) * np.sqrt(true + 1) * 2, 0)
        interval = calibrate(predicted[:n], true[:n], level=level)
        for p, c in zip(predicted[n:], true[n:]):
            low, high = interval.interval(p)
            covered.append(low <= c <= high)
    assert level - 0.015 < np.mean(covered) < level + 1 / (n + 1) + 0.015


def test_calibration_takes_the_finite_sample_quantile():
    interval = calibrate(np.zeros(9), np.arange(9), level=0.8)
    assert (interval.level, interval.scale, interval.n) == (0.8, 7.0, 9)  # the 8th of 9 residuals 0..8
    assert interval.interval(3.0) == (0.0, 17.0)
    assert interval.interval(224.0) == (119.0, 329.0)


@pytest.mark.parametrize(("n", "finite"), [(0, False), (8, False), (9, True)])
def test_too_few_images_give_no_finite_interval_and_say_why(n, finite):
    interval = calibrate(np.ones(n), np.ones(n), level=0.9)
    assert math.isfinite(interval.scale) == finite
    assert interval.interval(5.0)[1] == (5.0 if finite else math.inf)
    assert interval.reason == (
        "" if finite else f"{n} calibration images are too few for a 90% interval; at least 9 are needed"
    )


@pytest.mark.parametrize("n", [5, 50])
def test_intervals_survive_json(n):
    interval = calibrate(np.arange(n), np.arange(n) + 1)
    assert CountInterval.from_dict(json.loads(json.dumps(interval.to_dict()))) == interval


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="level"):
        calibrate([1], [1], level=1.0)
    with pytest.raises(InputError, match="1 and 2"):
        calibrate([1], [1, 2])
    with pytest.raises(InputError, match="negative"):
        calibrate([-1], [1])
    with pytest.raises(InputError, match="finite number"):
        calibrate([1], [1], level=0.5).interval(math.nan)
    with pytest.raises(InputError, match="at least one image"):
        bootstrap_mean([])
    with pytest.raises(InputError, match="at least one image"):
        sign_flip_p_value([])
    with pytest.raises(InputError, match="'scale' is missing"):
        CountInterval.from_dict({"level": 0.9})


def test_errors_of_unequal_length_cannot_be_compared():
    with pytest.raises(InputError, match="one value per image each; got 2 and 1"):
        compare_errors([1.0, 2.0], [1.0])
