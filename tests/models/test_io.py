import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dotcount import weights
from dotcount.errors import ModelError, OutputError
from dotcount.metadata import ModelMetadata, PeakRule
from dotcount.models import create, io

OPTIONS = {"width": 4, "stride": 8}
METADATA = ModelMetadata("compact", 8, OPTIONS, peaks=PeakRule(threshold=0.3))


@pytest.fixture
def saved(tmp_path):
    model = create("compact", **OPTIONS)
    io.save(model, tmp_path / "model", METADATA, "# A card\n")
    return model, tmp_path / "model"


def test_a_saved_model_comes_back_with_its_weights_and_metadata(saved):
    model, folder = saved
    loaded, metadata = io.load(folder)
    image = torch.rand(1, 3, 50, 70)
    with torch.inference_mode():
        assert torch.equal(loaded(image), model.eval()(image))
    assert not loaded.training
    assert metadata == METADATA
    assert (folder / "README.md").read_text() == "# A card\n"


def test_saving_again_replaces_everything(saved):
    _, folder = saved
    (folder / "stray").write_text("")
    io.save(create("compact", **OPTIONS), folder, METADATA)
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "config.json"}
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def convert(folder, dtype, value=None):
    state = load_file(folder / "model.safetensors")
    name = next(iter(state))
    state[name] = state[name].to(dtype)
    if value is not None:
        state[name].view(-1)[0] = value
    save_file(state, folder / "model.safetensors")


def instead(path, make):
    path.unlink()
    make(path)


def widen(folder, side):
    """Let the header state an enormous tensor, in a file that is as long as that, without a byte on the disk."""
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    name = max((n for n in header if n != "__metadata__"), key=lambda n: header[n]["data_offsets"][1])
    begin = header[name]["data_offsets"][0]
    header[name] |= {"shape": [side], "data_offsets": [begin, begin + 4 * side]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + begin + 4 * side)


BREAKS = {
    "no config": (lambda f: (f / "config.json").unlink(), r"no config\.json, so this is not a saved model"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing; copy the whole"),
    "not JSON": (lambda f: (f / "config.json").write_text("{"), r"config\.json: not readable as JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), r"config\.json: must hold names and values"),
    "options": (lambda f: edit(f, options=[1]), r"config\.json: field 'options' is \[1\]; it must be an object"),
    "unknown model": (
        lambda f: edit(f, model="compac"),
        r"config\.json: unknown model 'compac'\. Did you mean 'compact'",
    ),
    "unknown option": (lambda f: edit(f, options={"widht": 4}), r"has no option 'widht'\. Did you mean 'width'"),
    "bad option": (lambda f: edit(f, options={"stride": 3}), r"config\.json: .*stride"),
    "other width": (lambda f: edit(f, options={"width": 8, "stride": 8}), r"model\.safetensors: tensor .* has shape"),
    "other depth": (lambda f: edit(f, options={"width": 4, "stride": 4}), r"model\.safetensors: does not fit Compact"),
    "other stride stated": (lambda f: edit(f, stride=4), r"config\.json: states a stride of 4 px, the model has 8"),
    "weights of its own": (lambda f: edit(f, options={"pretrained": True}), "'pretrained'; a saved model has"),
    "a model of a hub": (lambda f: edit(f, model="timm/hf-hub:someone/model"), "unknown model 'timm/hf-hub"),
    "a width of 1e12": (lambda f: edit(f, options={"width": 10**12}), r"(model\.safetensors|config\.json): "),
    "a width in words": (lambda f: edit(f, options={"width": "wide"}), r"config\.json: the model can't be built"),
    "integer weights": (lambda f: convert(f, torch.int64), r"is of type I64; Compact needs F32"),
    "double weights": (lambda f: convert(f, torch.float64), r"is of type F64; Compact needs F32"),
    "NaN": (lambda f: convert(f, torch.float32, float("nan")), r"holds NaN or infinity"),
    "infinity": (lambda f: convert(f, torch.float32, float("inf")), r"holds NaN or infinity"),
    "a shape of 1e11": (lambda f: widen(f, 10**11), r"model\.safetensors: "),
    "a folder for weights": (lambda f: instead(f / "model.safetensors", Path.mkdir), "not a regular"),
    "a pipe for weights": (lambda f: instead(f / "model.safetensors", os.mkfifo), "not a regular"),
    "a pipe for metadata": (lambda f: instead(f / "config.json", os.mkfifo), "not a regular"),
    "bytes": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{}"), "not readable as text"),
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
    ("changes", "message"),
    [
        ({"model": ""}, "'model' is \"\""),
        ({"count_scale": float("nan")}, "'count_scale' is NaN"),
        ({"options": {"a": {1}}}, "JSON"),
        ({"stride": 4}, "states a stride of 4 px, the model has 8"),
    ],
)
def test_metadata_that_cannot_be_saved(tmp_path, changes, message):
    with pytest.raises(ModelError, match=message):
        io.save(create("compact", **OPTIONS), tmp_path / "model", dataclasses.replace(METADATA, **changes))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"can't write to .*is a file, not a folder"):
        io.save(create("compact", **OPTIONS), tmp_path / "file" / "model", METADATA)


NO_NETWORK = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("it reached for the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from dotcount.errors import ModelError
from dotcount.models import io
for folder in sys.argv[1:]:
    try:
        print(type(io.load(folder)[0]).__name__)
    except ModelError as error:
        print("refused:", error)
"""


def test_loading_opens_no_connection_whatever_the_metadata_say(saved, tmp_path):
    """In a process where every connection ends it, and without a cache that could hide one."""
    _, folder = saved
    folders = [folder, weights.FOLDER / "trees"]
    for k, changes in enumerate(
        [{"model": "timm/hf-hub:timm/resnet18.a1_in1k"}, {"model": "timm/resnet18.a1_in1k", "options": {}},
         {"model": "vgg19", "options": {}}, {"model": "compact", "options": {"pretrained": True}},
         {"model": "compact", "options": {"pretrained": "hf-hub:someone/model"}}]
    ):  # fmt: skip
        other = tmp_path / str(k)
        shutil.copytree(folder, other)
        edit(other, **changes)
        folders.append(other)
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "TORCH_HOME": str(tmp_path / "torch")}
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, *map(str, folders)],
        check=False, capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Compact", "Lite0"]
    assert len(lines) == len(folders)
    assert all(line.startswith("refused:") for line in lines[2:])
