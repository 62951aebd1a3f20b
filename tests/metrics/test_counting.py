from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.errors import InputError
from dotcount.metrics import counting_metrics, game

from . import references


def test_errors_equal_their_definitions_on_random_counts():
    rng = np.random.default_rng(1)
    for _ in range(1000):
        n = int(rng.integers(1, 8))
        true = rng.integers(0, 4, n)
        predicted = rng.integers(0, 4, n) / 2
        m = counting_metrics(predicted, true, resamples=2)
        errors = [float(p) - int(c) for p, c in zip(predicted, true)]
        assert m.n == n
        assert m.mae == pytest.approx(sum(abs(e) for e in errors) / n)
        assert m.rmse == pytest.approx((sum(e * e for e in errors) / n) ** 0.5)
        assert m.bias == pytest.approx(sum(errors) / n)
        relative = [abs(e) / c for e, c in zip(errors, true) if c > 0]
        assert m.nae == (pytest.approx(sum(relative) / len(relative)) if relative else None)


def test_metrics_are_plain_json():
    assert json.loads(json.dumps(counting_metrics([1.5, 2], [1, 2]).to_dict())) == {
        "n": 2,
        "mae": 0.25,
        "rmse": pytest.approx(0.125**0.5),
        "nae": 0.25,
        "bias": 0.25,
        "mae_ci95": [0.0, 0.5],
    }


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        ([], [], "no image"),
        ([1], [1, 2], "1 and 2"),
        ([np.nan], [1], r"predicted\[0\] is nan"),
        ([[1]], [[1]], "one-dimensional"),
        ([1], [-1], "negative"),
    ],
)
def test_bad_counts_are_named(predicted, true, message):
    with pytest.raises(InputError, match=message):
        counting_metrics(predicted, true)


def test_game_equals_the_pixel_by_pixel_reference():
    rng = np.random.default_rng(2)
    for _ in range(1000):
        stride, level = int(rng.choice([1, 2, 3, 8])), int(rng.integers(0, 3))
        height, width = (int(v) * 2**level for v in rng.integers(1, 7, 2))
        density = rng.random((-(-height // stride), -(-width // stride)))
        points = rng.random((int(rng.integers(0, 6)), 2)) * (width, height)
        value = game(density, points, stride=stride, height=height, width=width, level=level)
        assert value == pytest.approx(references.game(density, points, stride, height, width, level))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_game_grows_with_the_level_and_starts_at_the_count_error(height, width, stride, level, seed):
    rng = np.random.default_rng(seed)
    density = rng.random((-(-height // stride), -(-width // stride)))
    points = rng.random((5, 2)) * (width, height)
    size = {"stride": stride, "height": height, "width": width}
    assert game(density, points, level=0, **size) == pytest.approx(abs(density.sum() - 5))
    assert game(density, points, level=level, **size) <= game(density, points, level=level + 1, **size) + 1e-9


def test_game_ignores_cells_in_the_padding_and_keeps_dots_on_the_border():
    density = np.zeros((4, 4))
    density[0, 0], density[3, 3] = 1.0, 7.0
    assert game(density, [[24, 24]], stride=8, height=24, width=24, level=0) == 0.0


@pytest.mark.parametrize(
    "change", [{"level": -1}, {"height": 0}, {"stride": 0}, {"density": [1.0]}, {"density": [[-1.0]]}]
)
def test_game_rejects_bad_arguments(change):
    arguments = {"density": [[1.0]], "points": [], "stride": 8, "height": 8, "width": 8, "level": 0} | change
    with pytest.raises(InputError):
        game(**arguments)
