"""The experiment on the order of annotation goes its whole way, stops, and goes on."""

from __future__ import annotations

import json

import pytest

from dotcount.data import open_collection
from dotcount.data.synthetic import write_dataset
from experiments import active


@pytest.mark.slow
def test_the_experiment_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    strategies = {"random": None, "error and diversity": 0.5}
    changes = {"RESULTS": tmp_path / "active", "STRATEGIES": strategies, "SETS": ("cells",), "ROUNDS": 2, "HELD_OUT": 1}
    changes |= {"START": 2, "STEP": 1, "POOL": 6, "TESTED": 2}
    changes["SETTINGS"] = ("training.epochs=1", "training.steps_per_epoch=1", "model.options.width=4")
    for name, value in changes.items():
        monkeypatch.setattr(active, name, value)
    data = open_collection(write_dataset(tmp_path / "cells", train=6, val=0, test=2, size=128), strict=False)
    for strategy in strategies:
        active.run(data, "cells", 0, strategy)
    before = {path.name: path.read_text() for path in (tmp_path / "active").iterdir()}
    rows = [json.loads(text) for text in before.values()]
    assert all(len(each) == 2 and len(each[1]["images"]) == 3 for each in rows)
    assert rows[0][0]["mae"] == rows[1][0]["mae"]
    for strategy in strategies:
        active.run(data, "cells", 0, strategy)  # nothing is left to do
    assert before == {path.name: path.read_text() for path in (tmp_path / "active").iterdir()}
    told = active.summary(1)["sets"]["cells"]
    assert told["random"]["difference"] == 0
    assert told["error and diversity"]["seeds"] == 1


def test_areas_by_hand():
    rows = [{"dots": 0, "mae": 10.0}, {"dots": 10, "mae": 0.0}]
    assert abs(active.area(rows, 0, 10) - 5) < 1e-9
    found = active.compared([4.0, 6.0], [5.0, 8.0])
    assert (found["difference"], found["better_in"], found["seeds"]) == (-1.5, 2, 2)
    assert found["difference_ci95"][0] < -1.5 < found["difference_ci95"][1]
