from __future__ import annotations

import numpy as np
import pytest

from dotcount.errors import InputError
from dotcount.metrics import (
    average,
    by_count,
    by_count_quantile,
    by_label,
    by_luminance,
    counting_metrics,
    mean_luminance,
    subset_metrics,
)


def members(grouping):
    return {name: np.flatnonzero(mask).tolist() for name, mask in grouping.items()}


def test_benchmark_bins_at_their_borders():
    counts = [0, 1, 50, 51, 100, 101, 500, 501, 5000, 5001]
    assert members(by_count(counts, "jhu")) == {"Low": [0, 1, 2], "Medium": [3, 4, 5, 6], "High": [7, 8, 9]}
    nwpu = members(by_count(counts, "nwpu"))
    assert nwpu == {"S0": [0], "S1": [1, 2, 3, 4], "S2": [5, 6], "S3": [7, 8], "S4": [9]}


def test_luminance_bins_close_above_and_leave_out_the_brightest():
    assert members(by_luminance([0, 0.25, 0.26, 0.5, 0.75, 0.76])) == {"L0": [0, 1], "L1": [2, 3], "L2": [4]}


def test_mean_luminance_weighs_the_channels():
    image = np.zeros((2, 3, 3), np.float32)
    image[..., 1] = 1.0
    assert mean_luminance(image) == pytest.approx(0.587)
    assert mean_luminance(np.ones((2, 2, 3))) == pytest.approx(1.0)
    with pytest.raises(InputError, match="shape"):
        mean_luminance(np.zeros((3, 3)))


def test_quantile_groups_partition_the_images_and_keep_ties_together():
    rng = np.random.default_rng(9)
    for _ in range(200):
        counts = rng.integers(0, rng.integers(1, 30), rng.integers(1, 40))
        groups = by_count_quantile(counts, 4)
        masks = np.array(list(groups.values()))
        assert (masks.sum(axis=0) == 1).all()
        for value in np.unique(counts):
            assert masks[:, counts == value].any(axis=1).sum() == 1
    assert members(by_count_quantile([1, 2, 3, 4, 5, 6, 7, 8], 4)) == {
        "Q1 1-2": [0, 1],
        "Q2 3-4": [2, 3],
        "Q3 5-6": [4, 5],
        "Q4 7-8": [6, 7],
    }
    assert by_count_quantile([], 4) == {}


def test_labels_group_images_and_none_is_left_out():
    assert members(by_label(["fog", None, "rain", "fog"])) == {"fog": [0, 3], "rain": [2]}


def test_subset_scores_are_the_scores_of_the_subset():
    predicted, true = np.array([1.0, 60, 700, 3]), np.array([0, 51, 600, 5])
    scores = subset_metrics(predicted, true, by_count(true, "jhu"))
    assert scores["Low"] == counting_metrics([1, 3], [0, 5])
    assert scores["High"].mae == 100
    assert average(scores).mae == pytest.approx((1.5 + 9 + 100) / 3)


def test_empty_subsets_are_kept_but_not_averaged():
    scores = subset_metrics([2.0], [1], by_count([1], "nwpu"))
    assert scores["S4"] is None
    assert average(scores).to_dict() == {"mae": 1.0, "rmse": 1.0, "nae": 1.0}
    assert average({"S0": counting_metrics([1.0], [0])}).nae is None
    assert average({}).to_dict() == {"mae": None, "rmse": None, "nae": None}


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="Did you mean 'nwpu'"):
        by_count([1], "nwp")
    with pytest.raises(InputError, match="parts"):
        by_count_quantile([1], 0)
    with pytest.raises(InputError, match="boolean mask over 1 images"):
        subset_metrics([1.0], [1], {"all": np.array([True, False])})
