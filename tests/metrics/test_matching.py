from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.errors import InputError
from dotcount.metrics import GreedyScorer, OptimalScorer, greedy_match, object_radii, optimal_match, sigma_from_boxes

from . import references


def random_case(rng):
    """Two small point sets: half of the cases on a coarse lattice, where distances tie; empty and single sets occur."""
    n, m = rng.integers(0, 7, 2)
    if rng.random() < 0.5:
        return rng.integers(0, 5, (n, 2)).astype(float), rng.integers(0, 5, (m, 2)).astype(float)
    return rng.random((n, 2)) * 6, rng.random((m, 2)) * 6


def test_greedy_counts_equal_a_separate_matching_for_every_threshold():
    rng = np.random.default_rng(3)
    thresholds = [1, 2, 3, 4.5, 20]
    for _ in range(1000):
        predicted, points = random_case(rng)
        scorer = GreedyScorer(thresholds)
        scorer.update(predicted, points)
        assert scorer.true_positives.tolist() == references.greedy_counts(predicted, points, thresholds)


def test_optimal_counts_equal_augmenting_paths():
    rng = np.random.default_rng(4)
    for _ in range(1000):
        predicted, points = random_case(rng)
        fixed = rng.random() < 0.5
        sigma = float(rng.integers(0, 4)) if fixed else rng.integers(0, 4, len(points)).astype(float)
        expected = references.largest_matching(predicted, points, np.broadcast_to(sigma, len(points)))
        scorer = OptimalScorer()
        scorer.update(predicted, points, sigma)
        assert (scorer.tp, scorer.fp, scorer.fn) == (expected, len(predicted) - expected, len(points) - expected)


coordinates = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12)


@given(coordinates, coordinates, st.integers(1, 20))
def test_matchings_are_one_to_one_within_reach_and_optimal_is_no_smaller(predicted, points, reach):
    predicted, points = (np.array(v, dtype=float).reshape(-1, 2) for v in (predicted, points))
    greedy_guess, greedy_dot, distance = greedy_match(predicted, points, reach)
    guess, dot = optimal_match(predicted, points, reach)
    assert len(greedy_guess) <= len(guess) <= 2 * len(greedy_guess)
    for g, d in ((greedy_guess, greedy_dot), (guess, dot)):
        assert len(set(g.tolist())) == len(g) == len(set(d.tolist()))
        assert (np.hypot(*(predicted[g] - points[d]).T) <= reach + 1e-9).all()
    assert np.allclose(distance, np.hypot(*(predicted[greedy_guess] - points[greedy_dot]).T))
    assert (np.diff(distance) >= 0).all()


def test_greedy_and_optimal_differ_where_they_should():
    # The nearest pair (0-1) blocks the only partner of the second dot.
    predicted, points = [[0.0, 0.0], [9.0, 0.0]], [[4.0, 0.0], [-6.0, 0.0]]
    assert len(greedy_match(predicted, points, 6)[0]) == 1
    assert len(optimal_match(predicted, points, 6)[0]) == 2


def test_a_distance_equal_to_the_threshold_counts():
    scorer = GreedyScorer([4, 5])
    scorer.update([[3.0, 4.0]], [[0.0, 0.0]])
    assert scorer.true_positives.tolist() == [0, 1]


def test_the_papers_figures_by_hand():
    scorer = GreedyScorer()
    scorer.update([[0.0, 0.0], [500.0, 0.0]], [[0.0, 50.5]])
    result = scorer.compute()
    assert result.ap == pytest.approx(0.25)  # one of two predictions from 51 px on
    assert result.ar == pytest.approx(0.5)
    assert result.f == pytest.approx(1 / 3)
    assert result.to_dict()["precision"][49:51] == [0.0, 0.5]


@pytest.mark.parametrize(("predicted", "points", "expected"), [([], [], 1.0), ([], [[1, 1]], 0.0), ([[1, 1]], [], 0.0)])
def test_nothing_to_find_scores_one_and_nothing_found_scores_zero(predicted, points, expected):
    greedy, optimal = GreedyScorer(), OptimalScorer()
    greedy.update(predicted, points)
    optimal.update(predicted, points, 5.0)
    for f in (greedy.compute().f, optimal.compute().f):
        assert f == expected


def fill(images):
    """Score images in this process; module level, so that a worker process can run it."""
    greedy, optimal = GreedyScorer(), OptimalScorer()
    for predicted, points in images:
        greedy.update(predicted, points)
        optimal.update(predicted, points, 8.0)
    return greedy, optimal


def test_two_processes_give_what_one_gives():
    rng = np.random.default_rng(5)
    images = [(rng.random((20, 2)) * 200, rng.random((15, 2)) * 200) for _ in range(12)] + [([], []), ([], [[1, 2]])]
    greedy, optimal = fill(images)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        (first, first_optimal), (second, second_optimal) = pool.map(fill, [images[:5], images[5:]])
    first.merge(second)
    first_optimal.merge(second_optimal)
    assert first.compute().to_dict() == greedy.compute().to_dict()
    assert first_optimal.compute() == optimal.compute()
    assert first.n_images == first_optimal.n_images == greedy.n_images == len(images)


def test_sigma_from_boxes():
    assert sigma_from_boxes([6], [8]).tolist() == [5.0]
    assert sigma_from_boxes([6], [8], "small").tolist() == [3.0]
    with pytest.raises(InputError, match="'small' or 'large'"):
        sigma_from_boxes([6], [8], "medium")


@pytest.mark.parametrize("thresholds", [[], [2, 1], [-1], [1, 1]])
def test_bad_thresholds_are_refused(thresholds):
    with pytest.raises(InputError, match="increasing"):
        GreedyScorer(thresholds)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="different thresholds"):
        GreedyScorer([1]).merge(GreedyScorer([2]))
    with pytest.raises(InputError, match="one per dot"):
        optimal_match([[0, 0]], [[0, 0]], [1.0, 2.0])
    with pytest.raises(InputError, match="finite"):
        optimal_match([[0, 0]], [[0, 0]], -1.0)
    with pytest.raises(InputError, match="points holds"):
        greedy_match([[0, 0]], [[np.inf, 0]])
    with pytest.raises(InputError, match=r"predicted must have shape \(n, 2\)"):
        greedy_match([[0, 0, 0]], [])


def test_an_objects_radius_is_half_the_median_spacing_of_its_image():
    row = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0], [100.0, 0.0]])
    assert object_radii([row, row * 3, np.zeros((0, 2)), row[:1]], 2.0).tolist() == [5, 15, 10, 10]
    assert object_radii([row / 100], 2.0).tolist() == [2]
    assert object_radii([row[:1], np.zeros((0, 2))], 4.0).tolist() == [4, 4]
    assert object_radii([], 4.0).tolist() == []
