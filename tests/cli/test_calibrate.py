"""The command that fits a trained model to dotted images of another kind."""

from __future__ import annotations

import json

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
