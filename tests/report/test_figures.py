import re

import numpy as np
import pytest

from dotcount.metrics import GreedyScorer
from dotcount.report import figures


def marks(svg):
    """Number of scattered marks: each is a <use> of one shape filled with the accent colour."""
    return len(re.findall(r"<use[^>]*fill: var\(--accent\)", svg))


def test_scatter_draws_every_image():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 100, 37)
    assert marks(figures.scatter(true, true + rng.normal(0, 5, 37))) == 37


@pytest.mark.parametrize("true", [[0], [5, 5, 5], [0, 0], [1000, 1010], list(range(400))])
def test_scatter_of_odd_sets(true):
    predicted = np.array(true, float)
    svg = figures.scatter(true, predicted, [None, *[(0.0, 2000.0)] * (len(true) - 1)])
    assert "nan" not in svg.lower()
    assert marks(svg) == len(true)


def test_axes_start_at_zero_unless_counts_are_far_from_it():
    assert figures._floor(np.array([100.0, 120] + [101.0, 119])) == 90
    assert figures._floor(np.array([3.0, 120] + [101.0, 119])) == 0


@pytest.mark.parametrize("errors", [[0.0], [1.0, -1.0], np.linspace(-40, 3, 300)])
def test_histogram(errors):
    assert "<svg" in figures.error_histogram(errors)


def test_localization_curves_name_both_lines():
    scorer = GreedyScorer()
    scorer.update(np.array([[1.0, 1]]), np.array([[1.0, 30]]))
    svg = figures.localization_curves(scorer.compute())
    assert "precision" in svg
    assert "recall" in svg


def test_training_curves_skip_what_is_absent():
    history = [{"epoch": 1.0, "train_loss": 1.0}, {"epoch": 2.0, "train_loss": 0.01, "val_mae": 2.0},
               {"epoch": 3.0, "train_loss": float("nan"), "val_mae": 1.0}]  # fmt: skip
    assert [caption for caption, _ in figures.training_curves(history, 3)] == [
        "Training loss", "Mean absolute error on validation images"
    ]  # fmt: skip
    assert "weights kept" in figures.training_curves(history, 3)[1][1]
    assert figures.training_curves([], None) == []
    assert figures.training_curves(history[:1], None) == []


def test_the_same_data_gives_the_same_chart():
    assert figures.scatter([1, 2], [1, 2]) == figures.scatter([1, 2], [1, 2])


def test_intervals_and_the_mean_stay_inside_the_chart():
    svg = figures.scatter([10, 20], [12, 18], [(2, 60), (1, 30)], 15.0)
    assert "always the mean" in svg
    ticks = [float(text.replace("\u2212", "-")) for text in re.findall(r">([\d.\u2212]+)</text>", svg)]
    assert max(ticks) >= 60
    assert "always the mean" not in figures.scatter([10, 20], [12, 18])


def test_counts_are_drawn_from_none_to_most():
    for counts in ([0], [0, 0, 3], [7], list(range(500))):
        assert "dots in an image" in figures.count_histogram(counts)
