from __future__ import annotations

import json

import numpy as np

from dotcount.metrics import GreedyScorer, Localization, OptimalScorer, by_count, metrics_summary


def test_summary_has_the_parts_of_metrics_json():
    greedy, optimal = GreedyScorer(), OptimalScorer()
    greedy.update([[1.0, 1.0]], [[2.0, 1.0]])
    optimal.update([[1.0, 1.0]], [[2.0, 1.0]], 8.0)
    true = [1, 60]
    summary = metrics_summary(
        [2.0, 60.0],
        true,
        groupings={"count": by_count(true, "jhu")},
        localization=Localization(greedy.compute(), {"sigma 8 px": optimal.compute()}),
    )
    read = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert read["images"] == read["counting"]["n"] == 2
    assert set(read["counting"]) >= {"n", "mae", "rmse", "nae", "mae_ci95", "bias"}
    assert (read["localization"]["ap"], read["localization"]["ar"], read["localization"]["f"]) == (1.0, 1.0, 1.0)
    assert "from 1 to 100 px" in read["localization"]["matching"]
    assert read["localization"]["optimal"]["sigma 8 px"]["tp"] == 1
    assert read["subsets"]["count/Low"]["mae"] == 1.0
    assert read["subsets"]["count/High"] == {"n": 0}
    assert read["subsets"]["count/Avg."]["mae"] == 0.5


def test_counts_alone_need_no_points():
    summary = metrics_summary(np.array([1.0]), np.array([0]))
    assert summary.localization is None
    assert summary.subsets == {}
    assert json.dumps(summary.to_dict(), allow_nan=False)
