import json

import pytest
import torch

from dotcount.errors import ModelError, OutputError, UsageError
from dotcount.models import create, io

OPTIONS = {"width": 4, "stride": 8}


@pytest.fixture
def saved(tmp_path):
    model = create("compact", **OPTIONS)
    io.save(model, tmp_path / "model", {"model": "compact", "options": OPTIONS, "note": [1, None]}, "# A card\n")
    return model, tmp_path / "model"


def test_a_saved_model_comes_back_with_its_weights_and_metadata(saved):
    model, folder = saved
    loaded, metadata = io.load(folder)
    image = torch.rand(1, 3, 50, 70)
    with torch.inference_mode():
        assert torch.equal(loaded(image), model.eval()(image))
    assert not loaded.training
    assert metadata == {"model": "compact", "options": OPTIONS, "note": [1, None]}
    assert (folder / "README.md").read_text() == "# A card\n"


def test_saving_again_replaces_everything(saved):
    _, folder = saved
    (folder / "stray").write_text("")
    io.save(create("compact", **OPTIONS), folder, {"model": "compact", "options": OPTIONS})
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "config.json"}
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


BREAKS = {
    "no config": (lambda f: (f / "config.json").unlink(), r"no config\.json, so this is not a saved model"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing; copy the whole"),
    "not JSON": (lambda f: (f / "config.json").write_text("{"), r"config\.json: not readable as JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), r"config\.json: names no model"),
    "options": (lambda f: edit(f, options=[1]), r'config\.json: "options" must hold keys and values'),
    "unknown model": (
        lambda f: edit(f, model="compac"),
        r"config\.json: unknown model 'compac'\. Did you mean 'compact'",
    ),
    "unknown option": (lambda f: edit(f, options={"widht": 4}), r"has no option 'widht'\. Did you mean 'width'"),
    "bad option": (lambda f: edit(f, options={"stride": 3}), r"config\.json: .*stride"),
    "other width": (lambda f: edit(f, options={"width": 8, "stride": 8}), r"model\.safetensors: tensor .* has shape"),
    "other depth": (lambda f: edit(f, options={"width": 4, "stride": 4}), r"model\.safetensors: does not fit Compact"),
    "truncated": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:500]),
        r"model\.safetensors: corrupt or truncated",
    ),
    "a pickle": (
        lambda f: torch.save({"code": print}, f / "model.safetensors"),
        r"model\.safetensors: corrupt or truncated",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_missing_or_does_not_fit_is_named(saved, name):
    _, folder = saved
    damage, message = BREAKS[name]
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        io.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere: no such model folder"):
        io.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "needs 'model'"),
        ({"model": "compact", "mae": float("nan")}, "not plain JSON"),
        ({"model": "x", "a": {1}}, "JSON"),
    ],
)
def test_metadata_that_cannot_be_saved(tmp_path, metadata, message):
    with pytest.raises(UsageError, match=message):
        io.save(create("compact", **OPTIONS), tmp_path / "model", metadata)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"can't write to .*is a file, not a folder"):
        io.save(create("compact", **OPTIONS), tmp_path / "file" / "model", {"model": "compact"})
