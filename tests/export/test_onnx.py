"""What is exported counts like PyTorch, at any size, and knows all settings."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import dotcount
from dotcount import models
from dotcount.errors import ModelError, OutputError, UnknownNameError, UsageError
from dotcount.export import EXPORTS, TrainedModel, export
from dotcount.export.onnx import OnnxExport
from dotcount.export.parity import BATCHES, SIZES, compare, made_images
from dotcount.inference.runtimes import as_runtime
from dotcount.inference.runtimes.onnx_runtime import OnnxRuntime
from dotcount.inference.tiling import density_and_features
from dotcount.metadata import ModelMetadata
from dotcount.metadata.reading import load_metadata
from dotcount.models import io as model_io
from tests.inference.pictures import blobs
from tests.prediction.oracles import Bright

EXPORTABLE = {"compact": {"width": 4}, "lite0": {"width": 8}, "mcnn": {}}
TIMM = ["timm/resnet18", "timm/convnext_atto", "timm/mobilenetv3_small_050"]
LEFT_OUT = {"can", "sfcn"}  # which see blocks, or each row, of the image: their graph is that of one size
SLOW = [*(name for name in models.available() if name not in {*EXPORTABLE, *LEFT_OUT, "timm/<name>"}), *TIMM]


def check(name, options, tmp_path):
    torch.manual_seed(0)
    module = models.create(name, **options).eval()
    module.initialize_density(0.05)
    metadata = ModelMetadata(name, module.stride, options)
    written = OnnxExport().write(TrainedModel(module, metadata), tmp_path / "model.onnx")
    assert written.count <= 1e-4
    assert written.images == len(SIZES) * sum(BATCHES)
    # At other sizes than those that the export itself looks at, and with test-time augmentation.
    loaded = OnnxRuntime(tmp_path / "model.onnx")
    for size in ((1, 1), (31, 130), (256, 192)):
        images = np.random.default_rng(1).random((2, *size, 3), dtype=np.float32)
        for mirror in (False, True):
            wanted, got = (one.density(images, mirror=mirror) for one in (as_runtime(module), loaded))
            assert wanted.shape == got.shape
            np.testing.assert_allclose(got.sum((1, 2)), wanted.sum((1, 2)), rtol=1e-4)
    # And the features by which an image is called familiar.
    assert loaded.feature_layers == as_runtime(module).feature_layers
    image = np.random.default_rng(2).random((97, 64, 3), dtype=np.float32)
    wanted, got = (density_and_features(one, image)[1] for one in (module, loaded))
    assert (got is None) == (wanted is None)  # of a network without a coarse layer that is pooled
    if wanted is not None:
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", EXPORTABLE)
def test_counts_agree_at_every_size(name, tmp_path):
    check(name, EXPORTABLE[name], tmp_path)


def test_onnx_runtime_makes_paddings_part_of_convolutions(tmp_path):
    module = models.create("lite0", width=8).eval()
    OnnxExport().write(TrainedModel(module, ModelMetadata("lite0", 4, {"width": 8})), tmp_path / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    onnxruntime.InferenceSession(tmp_path / "model.onnx", options, providers=["CPUExecutionProvider"])
    before, run = (onnx.load(tmp_path / name).graph.node for name in ("model.onnx", "run.onnx"))
    # That of the image stays: its width depends on the image.
    assert [sum(node.op_type == "Pad" for node in graph) for graph in (before, run)] == [6, 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_counts_of_larger_models_agree_at_every_size(name, tmp_path):
    check(name, {}, tmp_path)


def test_a_model_that_sees_blocks_of_the_image_is_not_exported(tmp_path):
    module = models.create("can").eval()
    with pytest.raises(ModelError, match="use PyTorch"):
        OnnxExport().write(TrainedModel(module, ModelMetadata("can", 8)), tmp_path / "a.onnx")


@pytest.mark.slow
def test_a_graph_of_one_size_is_not_exported_and_predicted_by_pytorch(tmp_path):
    torch.manual_seed(0)
    module = models.create("sfcn").eval()
    module.initialize_density(0.01)
    with pytest.raises(ModelError, match=r"can't count images of \d+ x \d+ px .* use PyTorch"):
        OnnxExport().write(TrainedModel(module, ModelMetadata("sfcn", 8)), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
    predictor = dotcount.load(model_io.save(module, tmp_path / "model", ModelMetadata("sfcn", 8)), device="cpu")
    assert np.isfinite(predictor.predict(blobs(96, 80)).count)


def test_the_file_holds_every_setting(model_folder, tmp_path):
    export(model_folder, tmp_path / "a.onnx", images=[blobs()])
    loaded, folder = dotcount.load(tmp_path / "a.onnx"), dotcount.load(model_folder, runtime="torch")
    assert loaded.metadata == folder.metadata == load_metadata(model_folder)
    assert (loaded.runtime.size_multiple, loaded.runtime.receptive_radius) == (
        folder.runtime.size_multiple,
        folder.runtime.receptive_radius,
    )
    assert loaded.fingerprint() == folder.fingerprint()
    wanted, got = folder.predict(blobs(400, 333)), loaded.predict(blobs(400, 333))
    assert got.count == pytest.approx(wanted.count, rel=1e-4)
    assert got.interval == pytest.approx(wanted.interval, rel=1e-4)
    np.testing.assert_allclose(got.points, wanted.points, atol=0.05)


def test_the_plug_ins_keys_are_there(model_folder, tmp_path):
    export(model_folder, tmp_path / "a.onnx")
    found = onnxruntime.InferenceSession(str(tmp_path / "a.onnx")).get_modelmeta().custom_metadata_map
    assert json.loads(found["model_type"]) == "Regressor"
    assert json.loads(found["tile_size"]) == 512
    assert 0 < json.loads(found["tiles_overlap"]) <= 50
    assert json.loads(found["reg_output_scaling"]) == 1.25
    assert json.loads(found["class_names"]) == {"0": "objects per pixel"}


def test_tiles_for_the_plug_in_hold_objects_per_pixel(model_folder, tmp_path):
    assert export(model_folder, tmp_path / "q.onnx", format="deepness").count <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "q.onnx"))
    # What the plug-in asks of a model for values: one batch, and one square output of the tile's size.
    assert session.get_inputs()[0].shape == [1, 3, 512, 512]
    assert session.get_outputs()[0].shape == [1, 1, 512, 512]
    image = next(made_images([(512, 512)], [1]))
    pixels = session.run(None, {"images": image.transpose(0, 3, 1, 2)})[0]
    reference = as_runtime(dotcount.load(model_folder, runtime="torch").runtime.module)
    assert pixels.sum() == pytest.approx(reference.density(image).sum(), rel=1e-4)
    with pytest.raises(ModelError, match="made for images of one size"):
        dotcount.load(tmp_path / "q.onnx")


class _Average(nn.Module):
    """Depends on the size of its example: what tracing takes for a constant."""

    stride, receptive_radius = 4, None

    def forward(self, images):
        density = Bright()(images)
        return density + float(images.shape[-1]) / 1000


def test_a_trace_that_holds_at_one_size_only_is_refused(tmp_path):
    with pytest.raises(ModelError, match="not the same network"):
        OnnxExport().write(TrainedModel(_Average(), ModelMetadata("average", 4)), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_comparison_sees_a_difference():
    module = models.create("compact", width=4)
    module.initialize_density(0.05)
    first = as_runtime(module)
    other = models.create("compact", width=4)
    other.load_state_dict(module.state_dict())
    with torch.no_grad():
        other.last_layer.bias += 1e-3
    found = compare(first, as_runtime(other), made_images())
    assert 1e-4 < found.count < 0.1
    with pytest.raises(ModelError, match="not the same network"):
        found.checked("it")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[: len(data) // 2], "can't be read by ONNX Runtime"),
        (lambda data: b"", "can't be read by ONNX Runtime"),
        (lambda data: stripped(data), "none that `dotcount export` wrote"),
        (lambda data: changed(data, "dotcount_network", "{}"), "its description is damaged"),
        (lambda data: changed(data, "dotcount", '{"schema": 99}'), "upgrade dotcount"),
    ],
    ids=["cut", "empty", "foreign", "no facts", "newer"],
)
def test_what_is_no_exported_model_is_told(model_folder, tmp_path, damage, told):
    export(model_folder, tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(damage((tmp_path / "a.onnx").read_bytes()))
    with pytest.raises(ModelError, match=told) as caught:
        dotcount.load(tmp_path / "a.onnx")
    assert "a.onnx" in str(caught.value)


def stripped(data):
    file = onnx.load_model_from_string(data)
    del file.metadata_props[:]
    return file.SerializeToString()


def changed(data, key, value):
    file = onnx.load_model_from_string(data)
    next(entry for entry in file.metadata_props if entry.key == key).value = value
    return file.SerializeToString()


def test_wrong_calls_are_told(model_folder, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'onnx'"):
        export(model_folder, tmp_path / "a.onnx", format="onxx")
    with pytest.raises(OutputError, match="is a folder; name a file"):
        export(model_folder, tmp_path)
    with pytest.raises(ModelError, match="does not exist"):
        export(tmp_path / "none", tmp_path / "a.onnx")
    export(model_folder, tmp_path / "a.onnx")
    with pytest.raises(UsageError, match="which PyTorch can't run"):
        dotcount.load(tmp_path / "a.onnx", runtime="torch")
    with pytest.raises(UsageError, match="runs on the CPU"):
        dotcount.load(tmp_path / "a.onnx", device="cuda")
    with pytest.raises(ModelError, match="an exported model; this needs"):
        export(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert set(EXPORTS) >= {"onnx", "deepness"}


WITHOUT = """
import sys

class Blocked:
    names = {"torch", "torchvision", "lightning", "pytorch_lightning", "timm", "onnx", "onnxscript", "safetensors"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from dotcount.cli.main import main
code = main(sys.argv[1:])
assert not Blocked.names & set(sys.modules)
sys.exit(code)
"""


def without_torch(*words):
    return subprocess.run([sys.executable, "-c", WITHOUT, *map(str, words)], capture_output=True, text=True)


def test_it_predicts_where_torch_is_not_installed(model_folder, tmp_path):
    from PIL import Image

    for k in range(3):
        Image.fromarray(blobs(120 + k, 160)).save(tmp_path / f"{k}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    export(model_folder, tmp_path / "a.onnx")
    done = without_torch("predict", tmp_path / "a.onnx", tmp_path, "--out", tmp_path / "out", "--write", "csv,overlays")
    assert done.returncode == 0, done.stderr
    rows = [line.split(",") for line in (tmp_path / "out" / "counts.csv").read_text().splitlines()[1:]]
    counts = {row[0]: float(row[1]) for row in rows if row[1]}
    predictor = dotcount.load(model_folder, runtime="torch")
    assert counts == pytest.approx(
        {f"{k}.png": predictor.predict(tmp_path / f"{k}.png").count for k in range(3)}, rel=1e-4
    )
    assert len(rows) == 4


def test_without_torch_a_run_says_what_to_do(tmp_path, model_folder):
    import shutil

    copy = shutil.copytree(model_folder, tmp_path / "model", ignore=lambda *_: ["model.onnx"])
    done = without_torch("predict", copy, copy, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "holds no image" in done.stderr or "PyTorch, which is not installed" in done.stderr


def test_the_documented_install_names_what_prediction_needs():
    import re
    import tomllib
    from pathlib import Path

    root = Path(__file__).parents[2]
    text = (root / "docs" / "how-to" / "export.md").read_text(encoding="utf-8")
    named = set(re.search(r"^pip install (numpy .*)$", text, re.MULTILINE)[1].split())
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {re.split(r"[>=<;\[ ]", line)[0] for line in project["dependencies"]}
    assert core - named == {"torch", "torchvision", "timm", "lightning", "numba", "safetensors", "onnx", "onnxscript"}
    assert named <= core


def test_an_image_that_can_not_be_read_is_told_and_the_others_are_compared(model_folder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = [tmp_path / "broken.png", blobs(), tmp_path / "missing.png"]
    parity = export(model_folder, tmp_path / "a.onnx", images=images)
    made = export(model_folder, tmp_path / "b.onnx")
    assert parity.images == made.images + 1
    assert len(parity.left_out) == 2
    assert "(2 more can't be read, the first: " in parity.described()
    assert "broken.png" in parity.described()
    assert made.left_out == ()
