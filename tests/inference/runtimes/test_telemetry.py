"""ONNX Runtime reports nothing to its maker."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("onnxruntime")
CODE = """
import os, pathlib
from dotcount.errors import ModelError
from dotcount.inference.runtimes.onnx_runtime import plain_session
try:
    plain_session(pathlib.Path("missing.onnx"))
except ModelError as error:
    assert "no such ONNX file" in str(error)
import onnxruntime
print(os.environ.get("ORT_DISABLE_TELEMETRY"))
"""


def test_importing_it_leaves_no_trace(tmp_path):
    """Where its telemetry is on, files for it appear in the folders for caches and temporary files."""
    places = {name: str(tmp_path) for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME")}
    environment = {**os.environ, **places}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"  # the environment is as it was
    assert list(tmp_path.iterdir()) == []
