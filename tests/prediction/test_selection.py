"""Pages and channels are those the model was trained on, unless others are chosen; what is left out is told."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from dotcount.errors import OutputError
from dotcount.metadata import ModelMetadata
from dotcount.models import io as model_io
from dotcount.prediction import find, load
from dotcount.selection import ImageSelection


@pytest.fixture
def stack(tmp_path):
    planes = np.random.default_rng(0).integers(0, 256, (3, 2, 40, 48)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", planes, imagej=True, metadata={"axes": "ZCYX"})
    return tmp_path / "in", planes


def grey(plane):
    return np.repeat(plane[..., None], 3, axis=-1)


def test_the_models_choice_is_recorded_and_used(saved_model, stack, tmp_path):
    folder, planes = stack
    module, metadata = model_io.load(saved_model)
    chosen = ImageSelection(page=2, channels=(2,))
    metadata = replace(metadata, input=replace(metadata.input, selection=chosen))
    assert ModelMetadata.from_json(json.dumps(metadata.to_dict())).input.selection == chosen
    model_io.save(module, tmp_path / "model", metadata)
    predictor = load(tmp_path / "model", device="cpu")
    expected = predictor.predict(grey(planes[1, 1])).count
    assert predictor.predict(folder / "a.tif").count == expected
    ((frame, prediction),) = predictor.predict_many(folder)
    assert prediction.count == expected
    assert "page 2 of 3 pages (z) was read, the other 2 were not" in frame.warnings
    assert "channel 2 of 2 was read, the other one was not" in frame.warnings


def test_another_choice_wins_and_is_another_run(saved_model, stack, tmp_path):
    folder, planes = stack
    predictor = load(saved_model, device="cpu")
    highest = find(folder, ImageSelection(projection="max"))
    ((_, prediction),) = predictor.predict_many(highest)
    assert prediction.count == predictor.predict(grey(planes[:, 0].max(axis=0))).count
    list(predictor.stream(folder, out=tmp_path / "out", sinks=["csv"]))
    with pytest.raises(OutputError):
        predictor.stream(highest, out=tmp_path / "out", sinks=["csv"])


def test_a_page_that_does_not_exist_is_the_error_of_its_row(saved_model, stack):
    ((frame, prediction),) = load(saved_model, device="cpu").predict_many(find(stack[0], ImageSelection(page=9)))
    assert prediction is None
    assert "page 9 does not exist" in frame.error
