"""The suite is data: every entry is a valid request, no loss gets more effort than another, and records read back."""

import json

import numpy as np
import pytest
import torch

from dotcount import config
from dotcount.data.synthetic import write_dataset
from dotcount.training import TrainingError
from dotcount.training.module import CountingModule
from experiments.reproduce import fair, page, suite
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


def test_options_of_another_loss_are_left_behind():
    below = {"loss": {"name": "uot", "options": {"rho": 1.0, "epsilon": 0.01}}, "training": {"epochs": 3}}
    assert suite.merge(below, {"loss": {"options": {"rho": 2.0}}})["loss"]["options"] == {"rho": 2.0, "epsilon": 0.01}
    assert suite.merge(below, {"loss": {"name": "uot", "options": {"rho": 2.0}}})["loss"]["options"]["epsilon"] == 0.01
    other = suite.merge(below, {"loss": {"name": "gaussian_l2", "options": {"sigma": 8.0}}})
    assert other == {"loss": {"name": "gaussian_l2", "options": {"sigma": 8.0}}, "training": {"epochs": 3}}
    assert below["loss"]["options"] == {"rho": 1.0, "epsilon": 0.01}


def made_up(loss, seed, factor, val_bias, length=256.0):
    """A record whose counts are ``factor`` times the true ones."""
    true = np.arange(20.0, 120, 5)
    predicted = factor * true + np.where(np.arange(len(true)) % 2, 1.0, -1.0)
    errors = predicted - true
    counting = {"mae": np.abs(errors).mean(), "rmse": np.sqrt((errors**2).mean()), "bias": errors.mean()}
    return {
        "name": f"table1_fair/shb/{loss}-{seed}",
        "machine": "m",
        "train": {"steps": 10, "cpu_seconds": 5.0},
        "config": {
            "optimizer": {"learning_rate": 5e-4},
            "loss": {"options": {"epsilon": 0.01, "length_scale": length}},
        },
        "log": [{"epoch": 1, "grad_norm": 3.0, "grad_clipped": 0.1}],
        "validation": {"mean_count": 100.0, "best": {"val_mae": abs(val_bias), "val_bias": val_bias}},
        "test": {
            "counting": {key: float(value) for key, value in counting.items()},
            "localization": {"distances": [4, 8, 12], "precision": [0.5, 0.8, 1.0], "recall": [0.5, 0.8, 1.0]},
            "images": [str(k) for k in range(len(true))],
            "true": true.tolist(),
            "predicted": predicted.tolist(),
        },
    }


def test_the_fair_comparison_refers_to_the_form_that_is_best_on_validation(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    assert fair.comparison() == fair.lengths() == ""
    made = [("gaussian_l2", 0.7, -30.0), ("uot", 0.8, -20.0), ("uot_paid", 1.01, 1.0)]
    for loss, factor, val_bias in made:
        for seed in (0, 1):
            write(made_up(loss, seed, factor, val_bias), tmp_path / f"table1_fair/shb/{loss}-{seed}.json")
    write(made_up("uot_paid", 0, 0.99, 1.0, length=64.0), tmp_path / "lengths/shb/64-0.json")
    own = made_up("uot_paid", 0, 0.99, 1.0)
    own["config"]["loss"]["options"]["neighbour_scale"] = 1.8
    own["name"] = "lengths/shb/neighbours-0"
    write(own, tmp_path / "lengths/shb/neighbours-0.json")
    head, _, *rows = fair.comparison().splitlines()[:5]
    assert "MAE − MAE of UOT, dots paid in full" in head
    cells = {row.split(" | ")[0].removeprefix("| "): row.split(" | ") for row in rows}
    assert cells["L2"][5] == "1.43 ± 0.00"  # the scale 100 / 70 makes up for the factor; it stretches the rest, 1
    assert cells["L2"][4] == "-30.0 ± 0.0 %"
    assert cells["UOT"][7:10] == ["0.500 ± 0.000", "0.800 ± 0.000", "1.000 ± 0.000"]
    assert cells["UOT, dots paid in full"][-2] == "10 %"
    assert "worse than UOT, dots paid in full: L2, UOT; better: none." in fair.comparison()
    assert [row.split(" | ")[0] for row in fair.lengths().splitlines()[2:]] == [
        "| 64 px",
        "| 256 px",
        "| 1.8 x neighbours' distance",
    ]
