"""Intervals that keep a promise for one calibration, for sums and for parts; against the law, crepes and MAPIE."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dotcount.calibration import (
    calibrate,
    conformal_rank,
    images_needed,
    interval_of_difference,
    interval_of_mean,
    interval_of_parts,
    interval_of_sum,
    part_residuals,
)
from dotcount.errors import InputError
from dotcount.metadata import CountInterval

RANKS = [(n, level, sure) for n in (9, 16, 21, 50, 200) for level in (0.5, 0.8, 0.9) for sure in (0.5, 0.8, 0.95)]


@pytest.mark.parametrize(("n", "level", "sure"), RANKS)
def test_the_rank_is_the_smallest_whose_beta_law_keeps_the_promise(n, level, sure):
    held = [stats.beta.sf(level, k, n + 1 - k) >= sure for k in range(1, n + 1)]
    rank = conformal_rank(n, level, sure)
    assert rank == (held.index(True) + 1 if any(held) else None)
    assert (rank is None) == (n < images_needed(level, sure))


def test_the_coverage_of_one_calibration_keeps_its_promise_over_many_draws():
    rng, held = np.random.default_rng(3), []
    for _ in range(2000):
        interval = calibrate(np.zeros(30), np.abs(rng.normal(0, 50, 30)), confidence=0.8)
        held.append(2 * stats.norm.cdf(interval.scale / 50) - 1 >= 0.9)
    assert 0.8 - 0.03 < np.mean(held) < 0.9


def test_plain_calibration_is_that_of_crepes():
    crepes = pytest.importorskip("crepes")
    rng = np.random.default_rng(1)
    true = rng.poisson(60, 50)
    guess = np.maximum(true + rng.normal(0, 9, 50), 0)
    ours = calibrate(guess, true)
    theirs = crepes.ConformalRegressor().fit(true - guess, sigmas=np.sqrt(guess + 1))
    low, high = theirs.predict_int(np.array([40.0]), sigmas=np.array([np.sqrt(41.0)]), confidence=0.9)[0]
    assert ours.interval(40.0) == pytest.approx((low, high))


def test_the_rank_is_that_of_mapie():
    mapie = pytest.importorskip("mapie.regression")
    dummy = pytest.importorskip("sklearn.dummy")
    rng = np.random.default_rng(2)
    place, true = np.zeros((40, 1)), rng.exponential(5, 40)
    zero = dummy.DummyRegressor(strategy="constant", constant=0.0).fit(place, true)
    theirs = mapie.SplitConformalRegressor(zero, confidence_level=0.9, prefit=True).conformalize(place, true)
    high = float(theirs.predict_interval(place[:1])[1].ravel()[1])
    assert calibrate(np.zeros(40), true).scale == pytest.approx(high)


@pytest.mark.parametrize(
    ("n", "sure", "finite"), [(15, 0.8, False), (16, 0.8, True), (8, None, False), (9, None, True)]
)
def test_without_enough_images_there_is_no_interval_but_a_reason(n, sure, finite):
    found = calibrate(np.ones(n), np.ones(n), confidence=sure)
    assert found.finite == finite
    assert bool(found.reason) != finite
    assert found.part(3.0) is None
    assert CountInterval.from_dict(found.to_dict()) == found


@pytest.mark.parametrize("sure", [0.0, 1.0, -1, 5, math.nan])
def test_a_confidence_that_is_none_is_refused(sure):
    with pytest.raises(InputError, match="confidence must lie between 0 and 1"):
        calibrate(np.ones(20), np.ones(20), confidence=sure)


def draws(rng, n):
    guess = rng.gamma(4, 25, n)
    return guess, np.maximum(guess + (0.3 + rng.standard_t(6, n)) * np.sqrt(guess + 1), 0)


def test_the_interval_of_a_sum_holds_as_often_as_it_says_and_is_narrower_than_the_singles():
    rng, held, narrower = np.random.default_rng(5), [], []
    for _ in range(1500):
        interval = calibrate(*draws(rng, 30))
        guess, true = draws(rng, 50)
        total = interval_of_sum(interval, guess)
        held.append(total.low <= true.sum() <= total.high)
        singles = np.array([interval.interval(count) for count in guess])
        narrower.append(total.high - total.low < np.ptp(singles, axis=1).sum())
    assert 0.88 < np.mean(held) < 0.92
    assert all(narrower)


def test_frames_of_one_video_are_no_surer_than_one_frame():
    interval = calibrate(*draws(np.random.default_rng(0), 40))
    one = interval_of_mean(interval, [80.0])
    video = interval_of_mean(interval, [80.0] * 500, groups=["a"] * 500)
    folder = interval_of_mean(interval, [80.0] * 500)
    assert video.high - video.low == pytest.approx(one.high - one.low)
    assert folder.high - folder.low < 0.3 * (video.high - video.low)
    with pytest.raises(InputError, match="groups must name a group for each of the 2 counts; got 1"):
        interval_of_mean(interval, [1.0, 2.0], groups=["a"])
    with pytest.raises(InputError, match="at least one image"):
        interval_of_mean(interval, [])


def test_an_error_that_all_images_share_leaves_a_difference():
    biased = calibrate(np.full(40, 100.0), np.full(40, 110.0) + np.tile([1, -1], 20))
    fair = calibrate(np.full(40, 100.0), np.full(40, 100.0) + np.tile([1, -1], 20))
    for one in (biased, fair):
        change = interval_of_difference(one, 120.0, 120.0)
        assert (change.low + change.high) / 2 == pytest.approx(0.0, abs=1e-9)
    assert interval_of_difference(biased, 5.0, 20.0).low < -15


def test_no_count_and_no_calibration_give_no_interval_in_words():
    interval = calibrate(*draws(np.random.default_rng(0), 40))
    assert (interval_of_sum(interval, []).low, interval_of_sum(interval, []).high) == (0.0, 0.0)
    assert interval_of_sum(None, [3.0]).reason == "the model is not calibrated"
    assert "older version" in interval_of_sum(CountInterval(0.9, 1.0, 40), [3.0]).reason
    assert "at least 5" in interval_of_sum(calibrate([3, 4, 5], [3, 4, 6]), [3.0]).reason
    assert interval_of_parts(interval, 3.0).reason.endswith("for parts of an image")


def test_dots_are_counted_in_the_part_in_which_the_density_is_summed():
    rng = np.random.default_rng(7)
    maps, dots = [], []
    for _ in range(12):
        xy = rng.uniform(0, 1, (40, 2)) * (64, 48)
        density = np.zeros((12, 16))
        np.add.at(density, tuple((xy[:, ::-1] // 4).astype(int).T), 1.0)
        maps.append(density)
        dots.append(xy)
    assert np.abs(part_residuals(maps, dots, 4)).max() == 0
    assert part_residuals([np.zeros((1, 1))], [np.array([[1.0, 1.0]])], 4).tolist() == [[1.0, 1.0]]


def test_the_interval_of_a_part_covers_parts_of_new_images():
    rng = np.random.default_rng(8)

    def image():
        density = rng.gamma(2, 0.05, (16, 16))
        chosen = rng.poisson(density)
        rows, columns = np.repeat(np.indices(chosen.shape).reshape(2, -1), chosen.ravel(), axis=1)
        return density, (np.stack([columns, rows], axis=1) + 0.5) * 4

    sets, held = [zip(*(image() for _ in range(40))) for _ in range(20)], []
    for densities, dots in sets:
        guess, true = np.array([one.sum() for one in densities]), [len(xy) for xy in dots]
        interval = calibrate(guess, true, parts=part_residuals(densities, dots, 4))
        for _ in range(50):
            density, xy = image()
            inside = (xy < 28).all(axis=1).sum()
            low, high = interval.part(float(density[:7, :7].sum()))
            held.append(low <= inside <= high)
    assert np.mean(held) > 0.88
