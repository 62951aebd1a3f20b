"""The command that fits a trained model to dotted images of another kind."""

from __future__ import annotations

import json

import onnx
import pytest

from dotcount.data.synthetic import write_dataset


@pytest.fixture(scope="module")
def dotted(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dotted") / "mine", train=17, val=0, test=0, size=64)


def test_a_model_is_written_beside_the_old_one_and_counts_with_the_new_scale(dotcount, dotted, tmp_path):
    out = tmp_path / "new"
    code, told, complaint = dotcount("calibrate", "cells", dotted, "--out", out)
    assert code == 0, complaint
    assert "at least 90% of such images, with 80% confidence" in told
    assert "mean error on many such images: known to within ±" in told
    config = json.loads((out / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["calibration"]["images"] == 17
    assert config["interval"]["confidence"] == 0.8
    card = (out / "model" / "README.md").read_text(encoding="utf-8")
    assert card.index("## Calibrated again") < card.index("## Limits")
    image = next(dotted.rglob("*.png"))
    code, told, complaint = dotcount("predict", out, image, "--out", tmp_path / "counts", "--no-overlays")
    assert code == 0, complaint
    assert "(90% interval" in told
    assert "already holds a model" in dotcount("calibrate", "cells", dotted, "--out", out)[2]


def test_mistakes_are_told_in_the_words_of_the_command_line(dotcount, dotted, tmp_path):
    code, _, complaint = dotcount("calibrate", "cells", dotted, "--out", tmp_path / "a", "--confidence", "90")
    assert code == 2
    assert "'90' must lie between 0 and 1" in complaint
    words = ["--level", "0.99", "--confidence", "none"]
    code, told, _ = dotcount("calibrate", "cells", dotted, "--out", tmp_path / "b", *words)
    assert code == 0
    assert "note: no interval of a count: 17 calibration images are too few" in told
    code, _, complaint = dotcount("calibrate", dotted, "cells", "--out", tmp_path / "c")
    assert code == 2
    assert "The model comes first" in complaint


def test_an_exported_model_becomes_an_exported_model(dotcount, dotted, tmp_path):
    exported, new = tmp_path / "cells.onnx", tmp_path / "cells-calibrated.onnx"
    assert dotcount("export", "cells", "--out", exported)[0] == 0
    before = exported.read_bytes()
    code, _, complaint = dotcount("calibrate", exported, dotted, "--out", tmp_path / "folder")
    assert code == 2
    assert "name --out FILE.onnx" in complaint
    code, _, complaint = dotcount("calibrate", exported, dotted)
    assert code == 0, complaint
    assert exported.read_bytes() == before
    code, _, complaint = dotcount("calibrate", "cells", dotted, "--out", tmp_path / "run")
    assert code == 0, complaint
    image, counts = next(dotted.rglob("*.png")), []
    for k, model in enumerate((new, tmp_path / "run", exported)):
        assert dotcount("predict", model, image, "--out", tmp_path / f"{k}", "--no-overlays")[0] == 0
        counts.append((tmp_path / f"{k}" / "counts.csv").read_text(encoding="utf-8"))
    assert counts[0] == counts[1] != counts[2]
    entries = {
        each.key: json.loads(each.value) for each in onnx.load(new).metadata_props if each.value[0] in "{0123456789"
    }
    scale = json.loads((tmp_path / "run" / "model" / "config.json").read_text(encoding="utf-8"))["count_scale"]
    assert entries["reg_output_scaling"] == scale != 1  # other programs read this one
    assert "is there already" in dotcount("calibrate", exported, dotted)[2]


def test_images_that_the_model_was_trained_on_are_known_again(dotcount, trained, data, tmp_path):
    """Errors on them are no measure of others: no interval is fitted to them, and a score says what it is of."""
    code, _, complaint = dotcount("calibrate", trained, data, "--split", "train", "--out", tmp_path / "a")
    assert code == 1
    assert "trained on 8 of the 8 images, which were left out" in complaint
    code, told, complaint = dotcount("calibrate", trained, data, "--out", tmp_path / "b")
    assert code == 0, complaint
    assert "note: the model was trained on 8 of the 14 images, which were left out" in told
    assert json.loads((tmp_path / "b" / "model" / "config.json").read_text())["calibration"]["images"] == 6
    for split, seen in (("train", 8), ("test", 0)):
        code, told, complaint = dotcount("evaluate", trained, data, "--split", split, "--out", tmp_path / split)
        assert code == 0, complaint
        assert ("note: The model was trained on 8 of the 8 images" in told) == bool(seen)
        void = json.loads((tmp_path / split / "metrics.json").read_text())["void"]
        assert any("was trained on" in sentence for sentence in void) == bool(seen)
