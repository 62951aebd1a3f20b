import shutil

import pytest
import yaml


def test_a_run_leaves_what_it_promises(trained):
    left = {path.name for path in trained.iterdir()}
    assert {"config.yaml", "metrics.csv", "last.ckpt", "model", "report.html"} <= left
    assert {path.name for path in (trained / "model").iterdir()} >= {"model.safetensors", "config.json", "README.md"}
    assert not [name for name in left if name.endswith(".tmp")]
    report = (trained / "report.html").read_text(encoding="utf-8")
    assert "Training run cells" in report
    assert 'id="training"' in report
    assert "validation images on which the weights" in report


def test_it_says_what_was_recognised_and_resolved_and_what_comes_next(dotcount, data, tiny, tmp_path):
    code, out, err = dotcount("train", data, "--out", tmp_path / "run", *tiny, "--seed", 5)
    assert code == 0, err
    assert "14 images (8 train, 3 val, 3 test)" in out + err or "14 images" in out + err
    assert "epsilon 0.01 = 0.64 px" in out
    assert "crops of 64 px" in out
    assert "seed 5" in out
    assert f"next: dotcount evaluate {tmp_path / 'run'} {data} --out" in out
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["training"]["seed"] == 5


def test_a_finished_run_is_not_overwritten(fails, trained, data, tiny):
    assert "already holds a run; resume it, or choose another --out" in fails(
        "train", data, "--out", trained, *tiny, code=2
    )


def test_resume_needs_only_data_and_run(dotcount, trained, data, tmp_path):
    shutil.copytree(trained, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "model")
    code, _, err = dotcount("train", data, "--out", tmp_path / "copy", "--resume")
    assert code == 0, err
    assert (tmp_path / "copy" / "model" / "model.safetensors").exists()
    before = (trained / "metrics.csv").read_text().splitlines()
    assert (tmp_path / "copy" / "metrics.csv").read_text().splitlines() == before


def test_a_recorded_config_can_be_run_again_with_another_length(dotcount, trained, data, tmp_path):
    arguments = ["--config", trained / "config.yaml", "--max-minutes", "0.01"]
    code, _, err = dotcount("train", data, "--out", tmp_path / "again", *arguments)
    assert code == 0, err
    assert yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())["model"]["options"]["width"] == 4


def test_a_recipe_runs_by_its_name_within_a_budget(dotcount, data, tmp_path):
    """Its settings hold, but for the flags; its polynomial course can't know its end in minutes and is replaced."""
    network = ["--model", "compact", "--set", "model.pretrained=false", "--set", "model.options.width=4"]
    scene = ["--format", "auto", "--crop", "64", "--max-minutes", "0.02", *network]
    code, out, err = dotcount("train", data, "--out", tmp_path / "run", "--config", "table1/shb-uot", *scene)
    assert code == 0, err
    assert "schedule: trapezoid instead of that in table1/shb-uot" in out
    recorded = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert recorded["optimizer"]["learning_rate"] == 1e-5
    assert (recorded["training"]["batch_size"], recorded["training"]["crop"]) == (1, 64)
    assert recorded["loss"]["options"]["length_scale"] == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "uto"], "unknown loss 'uto'. Did you mean 'uot'?"),
        (["--model", "compct"], "unknown model 'compct'. Did you mean 'compact'?"),
        (["--set", "training.sed=1"], "'training.sed' does not exist. Did you mean 'seed'?"),
        (["--set", "training.seed"], "not of the form key=value"),
        (["--set", "model.options.widht=4"], "no option 'widht'. Did you mean 'width'?"),
        (["--set", "loss.options.epsilo=4"], "no option 'epsilo'. Did you mean 'epsilon'?"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "table1/shb-out"], "Did you mean 'table1/shb-uot'?"),
        (["--device", "cdua"], "cdua"),
    ],
)
def test_wrong_names_are_usage_errors_before_any_work(fails, data, tmp_path, arguments, message):
    assert message in fails("train", data, "--out", tmp_path / "out", *arguments, code=2)


def test_crop_larger_than_an_image(dotcount, data, tmp_path):
    code, _, err = dotcount("train", data, "--out", tmp_path / "out", "--crop", 65)
    assert code in (1, 2)
    assert "crop is 65 px, but none of the" in err
    assert "a crop of 64 or less" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--epochs", "0"], ["--max-minutes", "-1"], ["--epochs", "3", "--max-minutes", "1"]])
def test_impossible_lengths(dotcount, data, tmp_path, words):
    code, _, err = dotcount("train", data, "--out", tmp_path / "out", *words)
    assert code == 2
    assert words[0] in err


def test_unwritable_places(fails, data, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file is a file" in fails("train", data, "--out", tmp_path / "file" / "run")
    assert "is a file; name a folder" in fails("train", data, "--out", tmp_path / "file")


def test_missing_and_empty_folders(fails, tmp_path):
    assert "gone does not exist" in fails("train", tmp_path / "gone", "--out", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "empty is empty" in fails("train", tmp_path / "empty", "--out", tmp_path / "out")


def test_unknown_recipe_and_format(fails, data, tmp_path):
    assert "Did you mean" in fails("train", f"shanghaitech_x:{data}", "--out", tmp_path / "out", code=2)
    assert "csw" in fails("train", data, "--format", "csw", "--out", tmp_path / "out", code=2)


@pytest.mark.parametrize(
    ("dots", "message"),
    [
        ({"a.png": [(5, 5)], "b.png": None}, "b.png"),
        ({"a.png": [(5, 5)], "b.png": [("nan", 3)]}, "b.png"),
        ({"a.png": [(5, 5)], "b.png": [(64, 3)]}, "b.png"),
        ({"a.png": [(5, 5)], "b.png": [(-0.1, 3)]}, "b.png"),
        ({"a.png": [(5, 5)], "b.png": [("five", 3)]}, "dots.csv"),
    ],
    ids=["image without dots", "NaN", "on the far border", "outside", "not a number"],
)
def test_wrong_dots(fails, folder, tmp_path, dots, message):
    line = fails("train", folder(dots), "--out", tmp_path / "out", "--crop", 32)
    assert message in line


def test_dots_without_image(fails, folder, tmp_path):
    root = folder({"a.png": [(5, 5)], "b.png": [(5, 5)]})
    (root / "b.png").unlink()
    assert "b.png" in fails("train", root, "--out", tmp_path / "out", "--crop", 32)


def test_one_corrupt_image_does_not_end_training(dotcount, folder, tiny, tmp_path):
    root = folder({f"{i}.png": [(5, 5), (20, 30)] for i in range(6)})
    (root / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    code, out, err = dotcount("train", root, "--out", tmp_path / "run", *tiny, "--crop", 32)
    assert code == 0, err
    assert "1 can't be used" in out + err
    assert "3.png" in out + err


def test_strict_refuses_data_that_is_not_complete(fails, dotcount, folder, tiny, tmp_path):
    root = folder({f"{i}.png": [(5, 5), (20, 30)] for i in range(6)})
    whole = (root / "3.png").read_bytes()
    (root / "3.png").write_bytes(whole[:100])
    words = ["train", root, "--out", tmp_path / "out", *tiny, "--crop", 32]
    assert "3.png" in fails(*words, "--strict")
    assert "3.png" in fails(*words, "--set", "data.strict=true")
    (root / "3.png").write_bytes(whole)
    (root / "film.mp4").write_bytes(b"x")
    assert "film.mp4" in fails(*words, "--strict")
    (root / "film.mp4").unlink()
    assert dotcount(*words, "--strict", "--epochs", 1)[0] == 0
    assert dotcount(*words, "--epochs", 1, "--resume")[0] == 0  # as strict as it was begun
