"""OpenVINO in float32, measured against ONNX Runtime before it is used."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dotcount.cli.main import main
from dotcount.errors import ModelError
from dotcount.prediction.predictor import load, runtime_difference
from tests.inference.pictures import blobs

pytest.importorskip("openvino")


def test_it_counts_like_onnx_runtime_and_says_so_first(tmp_path, capsys):
    for k in range(4):
        Image.fromarray(blobs(70 + k, 90)).save(tmp_path / f"{k}.png")
    words = ["predict", "cells", str(tmp_path), "--out", str(tmp_path / "out"), "--write", "csv"]
    assert main([*words, "--runtime", "openvino"]) == 0
    assert "openvino against onnx: counts differ by at most" in capsys.readouterr().out
    fast, reference = load("cells", runtime="openvino"), load("cells", runtime="onnx")
    images = np.stack([blobs(64, 96)] * 2).astype(np.float32) / 255
    found, wanted = fast.runtime.density(images), reference.runtime.density(images)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum((1, 2)), wanted.sum((1, 2)), rtol=1e-4)
    reference.metadata = reference.metadata.__class__.from_dict({**reference.metadata.to_dict(), "count_scale": 1.5})
    with pytest.raises(ModelError, match="choose runtime 'onnx'"):
        runtime_difference(fast, reference, [tmp_path / "0.png"])
