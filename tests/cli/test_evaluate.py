import csv
import json
import shutil

import pytest


@pytest.fixture(scope="module")
def evaluated(trained, data, tmp_path_factory):
    from dotcount.cli.main import main

    out = tmp_path_factory.mktemp("evaluated") / "test"
    assert main(["evaluate", str(trained), str(data), "--out", str(out)]) == 0
    return out


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_metrics_follow_the_contract(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    assert set(metrics) >= {"counting", "localization", "subsets", "images", "split", "recipe", "model", "seconds"}
    assert set(metrics["counting"]) >= {"n", "mae", "rmse", "nae", "mae_ci95"}
    assert set(metrics["localization"]) >= {"ap", "ar", "f", "matching"}
    assert (metrics["images"], metrics["split"], metrics["recipe"], metrics["model"]) == (3, "test", "csv", "compact")
    low, high = metrics["counting"]["mae_ci95"]
    assert low <= metrics["counting"]["mae"] <= high


def test_predictions_agree_with_the_metrics(evaluated):
    table = rows(evaluated / "predictions.csv")
    assert [row["status"] for row in table] == ["ok"] * 3
    errors = [abs(float(row["count"]) - float(row["true"])) for row in table]
    metrics = json.loads((evaluated / "metrics.json").read_text())
    assert sum(errors) / 3 == pytest.approx(metrics["counting"]["mae"], abs=1e-3)


def test_only_results_are_left(evaluated):
    assert sorted(p.name for p in evaluated.iterdir()) == [
        "dotcount.json",
        "metrics.json",
        "predictions.csv",
        "report.html",
    ]


def test_all_images_and_another_split(dotcount, trained, data, tmp_path):
    code, out, _ = dotcount("evaluate", trained, data, "--split", "all", "--out", tmp_path / "all", "--examples", 0)
    assert code == 0
    assert "14 images: MAE" in out
    assert "RMSE (the papers' MSE)" in out
    assert json.loads((tmp_path / "all" / "metrics.json").read_text())["split"] == "all"


def test_one_broken_image_is_one_row(dotcount, trained, data, tmp_path):
    shutil.copytree(data, tmp_path / "copy")
    first = sorted((tmp_path / "copy" / "test" / "images").iterdir())[0]
    first.write_bytes(first.read_bytes()[:400])
    code, out, err = dotcount("evaluate", trained, tmp_path / "copy", "--out", tmp_path / "result")
    assert code == 0, err
    assert "2 images, 1 more not readable" in out
    table = rows(tmp_path / "result" / "predictions.csv")
    assert [row["status"] for row in table].count("error") == 1
    assert first.name in next(row["error"] for row in table if row["error"])
    assert json.loads((tmp_path / "result" / "metrics.json").read_text())["failed"] == 1
    assert first.name in (tmp_path / "result" / "report.html").read_text(encoding="utf-8")


def test_bad_input(fails, trained, data, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "gone does not exist" in fails("evaluate", tmp_path / "gone", data, *out)
    assert "holds no model" in fails("evaluate", data, data, *out)
    assert "gone does not exist" in fails("evaluate", trained, tmp_path / "gone", *out)
    assert "no split 'tset'. Did you mean 'test'?" in fails("evaluate", trained, data, "--split", "tset", *out)
    (tmp_path / "file").write_text("")
    assert "is a file" in fails("evaluate", trained, data, "--out", tmp_path / "file" / "x")


def test_a_damaged_model_is_one_line(fails, trained, data, tmp_path):
    shutil.copytree(trained / "model", tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "model.safetensors" in fails("evaluate", tmp_path / "model", data, "--out", tmp_path / "out")
