"""The suite is data: every entry is a valid request, no loss gets more effort than another, and records read back."""

import json

import numpy as np
import pytest
import torch

from dotcount import config
from dotcount.data.synthetic import write_dataset
from dotcount.training import TrainingError
from dotcount.training.module import CountingModule
from experiments.reproduce import page, suite
from experiments.reproduce.execute import perform, write


def test_every_experiment_is_a_valid_request_under_one_name():
    found = list(suite.suite())
    assert len({experiment.name for experiment in found}) == len(found)
    for experiment in found:
        built = config.from_dict(experiment.settings)
        assert built.training.epochs is not None  # a time budget could not be repeated exactly
        assert experiment.data in suite.DATA


@pytest.mark.parametrize(("data", "n"), [("vgg_cells", 4), ("trees", 4), ("shb", 6)])
def test_every_loss_gets_the_same_effort(data, n):
    """Apart from the loss and the rate that was chosen, all settings are equal."""
    seen = []
    for loss in suite.SCALES:
        runs = suite.choices(data, loss)
        assert len(runs) == n
        assert not any(run.test for run in runs)
        trees = [json.loads(json.dumps(run.settings)) for run in runs]
        for tree in trees:
            tree.pop("loss")
            tree["optimizer"].pop("learning_rate")
        assert all(tree == trees[0] for tree in trees)
        seen.append(trees[0])
    assert all(tree == seen[0] for tree in seen)


def test_the_choice_is_the_lowest_validation_error_and_waits_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "RESULTS", tmp_path)
    runs = suite.choices("trees", "uot")
    for k, run in enumerate(runs[:-1]):
        write({"validation": {"best": {"val_mae": [3.0, 1.5, 2.0][k]}}}, run.record)
    assert suite.chosen("trees", "uot") is None
    write({"validation": {"best": {"val_mae": 9.0}}}, runs[-1].record)
    options, rate = suite.chosen("trees", "uot")
    assert (options, rate) == (runs[1].settings["loss"]["options"], runs[1].settings["optimizer"]["learning_rate"])


def test_a_record_is_written_as_readable_json(tmp_path):
    record = {"name": "a", "log": [{"epoch": 1, "x": 0.5}, {"epoch": 2}], "test": {"true": [1, 2], "f": None}}
    write(record, tmp_path / "deep" / "a.json")
    assert json.loads((tmp_path / "deep" / "a.json").read_text()) == record
    assert len((tmp_path / "deep" / "a.json").read_text().splitlines()) == 11
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]


@pytest.mark.parametrize("may_stop", [True, False])
def test_a_training_that_stops_is_a_record_where_that_is_a_result(tmp_path, monkeypatch, may_stop):
    write_dataset(tmp_path / "out" / "data" / "cells", "cells", train=2, val=1, test=1, size=64, count=(40, 60), seed=0)
    monkeypatch.setattr(CountingModule, "training_step", break_model)
    tree = {
        "model": {"name": "compact", "options": {"width": 4}},
        "training": {"epochs": 1, "steps_per_epoch": 1, "batch_size": 1, "crop": 32, "workers": 0, "device": "cpu"},
    }
    experiment = suite.Experiment("x/cells-0", "cells", tree, may_stop=may_stop)
    arguments = (experiment, "", tmp_path / "out", tmp_path / "run", torch.get_num_threads())
    if not may_stop:
        with pytest.raises(TrainingError, match="density is not finite"):
            perform(*arguments)
        return
    record = perform(*arguments)
    assert "density is not finite" in record["error"]
    assert record["train"]["steps"] == 0
    assert record["config"]["data"]["path"] == "RUNS/data/cells"
    assert not {"validation", "test"} & record.keys()


def break_model(module, batch, batch_idx):
    raise module.diverged("the model's density")


def test_spread_and_tables():
    assert page.spread([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert page.spread([-1.234], 1, signed=True) == "-1.2"
    assert page.table(["a", "b"], [["1", "2"]]).splitlines() == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]


def test_errors_are_means_over_the_seeds():
    seeds = [{"test": {"images": ["x", "y"], "true": [3, 4], "predicted": p}} for p in ([4.0, 4.0], [1.0, 5.0])]
    np.testing.assert_allclose(page.absolute_errors(seeds), [1.5, 0.5])
