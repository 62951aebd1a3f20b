import json
import shutil

import pytest
import yaml


@pytest.fixture(scope="module")
def runs(trained, tmp_path_factory):
    """Three runs by their records: two that differ by the seed, one of another loss (the weights are the same)."""
    root = tmp_path_factory.mktemp("compared")
    for name, change in (("uot-0", {}), ("uot-1", {"seed": 1, "workers": 3}), ("bl", {"batch_size": 7})):
        shutil.copytree(trained, root / name)
        path = root / name / "config.yaml"
        settings = yaml.safe_load(path.read_text())
        settings["training"] |= change
        path.write_text(yaml.safe_dump(settings))
    return [root / name for name in ("uot-0", "uot-1", "bl")]


def test_runs_are_evaluated_grouped_and_compared(dotcount, runs, data, tmp_path):
    code, out, err = dotcount("compare", *runs, "--data", data, "--out", tmp_path / "out")
    assert code == 0, err
    assert "MAE - first" in out
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [(m["name"], [run["seed"] for run in m["runs"]]) for m in found["methods"]] == [("uot", [0, 1]), ("bl", [0])]
    assert found["images"] == 3
    assert found["methods"][0]["figures"]["mae"]["sd"] == 0  # the same weights twice
    assert found["pairs"][0]["p_value"] == 1
    assert "| uot | 2 |" in (tmp_path / "out" / "comparison.md").read_text()
    metrics = json.loads((tmp_path / "out" / "bl" / "metrics.json").read_text())
    assert found["methods"][1]["figures"]["mae"]["mean"] == pytest.approx(metrics["counting"]["mae"], abs=1e-4)


def test_evaluations_are_taken_as_they_are(dotcount, runs, data, tmp_path):
    """They lie in their runs, so that the runs' names and seeds are known."""
    for run in runs[:2]:
        assert dotcount("evaluate", run, data, "--out", run / "test", "--examples", 0)[0] == 0
    code, _, err = dotcount("compare", runs[0] / "test", runs[1] / "test", "--out", tmp_path / "out")
    assert code == 0, err
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [(m["name"], len(m["runs"])) for m in found["methods"]] == [("uot", 2)]
    assert not (tmp_path / "out" / "uot-0").exists()


def test_folders_of_one_name_are_told_apart(runs, tmp_path):
    from dotcount.cli.compare import names_of

    assert names_of([tmp_path / "a" / "run", tmp_path / "b" / "run"]) == ["a/run", "b/run"]
    assert names_of([runs[0], runs[1] / "model"]) == ["uot-0", "uot-1"]


def test_bad_input(fails, runs, data, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "is not evaluated yet; name the images with --data" in fails("compare", *runs, *out, code=2)
    assert "gone does not exist" in fails("compare", tmp_path / "gone", "--data", data, *out)
    assert "named twice" in fails("compare", runs[0], runs[0], "--data", data, *out, code=2)
    assert "no split 'tset'" in fails("compare", runs[0], "--data", data, "--split", "tset", *out)
