"""Pages and channels are those the model was trained on, unless others are chosen; what is left out is told."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from dotcount.cli.main import main
from dotcount.errors import OutputError, UsageError
from dotcount.intensity import IntensityRule
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


def test_every_page_is_a_row_and_nothing_else_is_read(saved_model, stack, tmp_path):
    folder, planes = stack
    tifffile.imwrite(folder / "b.tif", planes[0, 0])
    (folder / "c.tif").write_bytes(b"broken")
    predictor = load(saved_model, device="cpu")
    out = tmp_path / "out"
    got = list(predictor.stream(folder, out=out, sinks=["csv", "overlays"], every_page=True))
    assert [frame.name for frame, _ in got] == ["a.tif#1", "a.tif#2", "a.tif#3", "b.tif", "c.tif"]
    for k in range(3):
        assert got[k][1].count == predictor.predict(grey(planes[k, 0])).count
        assert got[k][0].warnings[0] == "channel 1 of 2 was read, the other one was not"
        assert not any("page" in text for text in got[k][0].warnings)
    assert "c.tif" in got[4][0].error
    assert (out / "overlays" / "a.tif#3.jpg").exists()
    with pytest.raises(UsageError, match="two ways to read a stack"):
        predictor.predict_many(folder, selection=ImageSelection(projection="max"), every_page=True)


def test_the_range_of_a_stack_is_that_of_all_its_pages(saved_model, tmp_path):
    ramp = np.linspace(100, 900, 40 * 48).reshape(40, 48)
    planes = np.stack([ramp, ramp * 2, ramp * 3]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack")
    got = list(load(saved_model, device="cpu").predict_many(tmp_path, every_page=True))
    (rule,) = {frame.intensity for frame, _ in got}
    assert rule == IntensityRule.fit([grey(plane) for plane in planes])


def test_the_command_line_chooses_pages_and_channels(saved_model, stack, tmp_path, capsys):
    folder, planes = stack
    predictor = load(saved_model, device="cpu")
    for k, (words, names) in enumerate(
        [
            (["--page", "all", "--channels", "2"], ["a.tif#1", "a.tif#2", "a.tif#3"]),
            (["--page", "3", "--channels", "2"], ["a.tif"]),
            (["--projection", "max", "--channels", "2"], ["a.tif"]),
        ]
    ):
        out = tmp_path / str(k)
        assert main(["predict", str(saved_model), str(folder), "--out", str(out), "--no-overlays", *words]) == 0
        with (out / "counts.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["image"] for row in rows] == names
        plane = planes[:, 1].max(axis=0) if k == 2 else planes[2, 1]
        assert float(rows[-1]["count"]) == pytest.approx(predictor.predict(grey(plane)).count, abs=1e-3)
    capsys.readouterr()
    for words in (["--page", "0"], ["--page", "each"], ["--page", "all", "--projection", "max"]):
        assert main(["predict", str(saved_model), str(folder), "--out", str(tmp_path / "x"), *words]) == 2
        assert "--p" in capsys.readouterr().err
