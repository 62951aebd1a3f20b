"""What a training of the page begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from dotcount import config
from dotcount.data.digests import file_digest, packed
from dotcount.inference.locate import model_folder
from dotcount.metadata import TrainingFacts
from dotcount.metadata.reading import load_metadata
from dotcount.resize import ResizeRule
from dotcount.web.starting import Beginning, begin_with


def model(folder: Path, **changes) -> Path:
    """Write the settings of a run as training leaves them, without weights."""
    metadata = replace(load_metadata(model_folder(Path("cells"))), **changes)
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text(metadata.to_json(), encoding="utf-8")
    return folder


def test_a_training_goes_on_from_the_model_in_use(tmp_path):
    run = model(tmp_path / "run-001")
    found = begin_with(run, ["training.seed=3"])
    settings = config.load(overrides=list(found.settings))
    assert (found.model, found.reason) == ("run-001", "")
    assert settings.model.pretrained == str(run.resolve() / "model")
    assert (settings.model.name, settings.model.options["width"]) == ("compact", 32)
    assert begin_with(None, []) == Beginning()


def test_images_are_brought_to_it_as_before_unless_the_settings_say_otherwise(tmp_path):
    rule = load_metadata(model_folder(Path("cells"))).input
    run = model(tmp_path / "run-001", input=replace(rule, resize=ResizeRule(max_side=640, magnify=1.5)))
    taken = config.load(overrides=list(begin_with(run, []).settings)).data
    assert (taken.max_side, taken.magnify) == (640, 1.5)
    asked = ["data.max_side=512"]
    assert config.load(overrides=[*asked, *begin_with(run, asked).settings]).data.max_side == 512


@pytest.mark.parametrize("words", ["model.name=lite0", "model.options.width=16"])
def test_another_network_begins_anew(tmp_path, words):
    found = begin_with(model(tmp_path / "run-001"), [words])
    assert (found.model, found.settings) == ("", ())
    assert found.reason == "run-001 is another network (compact)"
    assert begin_with(tmp_path / "run-001", ["model.options.width=32"]).model == "run-001"


def test_a_model_that_has_seen_a_held_out_image_is_not_gone_on_from(tmp_path):
    for name, grey in (("a.png", 10), ("b.png", 200)):
        Image.new("L", (8, 8), grey).save(tmp_path / name)
    learnt = TrainingFacts(digests=packed([file_digest(tmp_path / "a.png")]))
    run = model(tmp_path / "run-001", training=learnt)
    assert begin_with(run, [], [tmp_path / "b.png"]).model == "run-001"
    found = begin_with(run, [], [tmp_path / "b.png", tmp_path / "a.png"])
    assert (found.model, found.reason) == ("", "run-001 has learnt from an image that is held out now")


def test_an_exported_model_begins_anew(tmp_path):
    (tmp_path / "cells.onnx").write_bytes(b"")
    assert begin_with(tmp_path / "cells.onnx", []).reason == "cells.onnx holds no weights that can be trained on"
