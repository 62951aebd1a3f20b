"""OpenVINO, which on some CPUs is faster than ONNX Runtime; it reads the same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dotcount.errors import ModelError, UsageError
from dotcount.inference.runtimes.base import FloatImages, Runtime
from dotcount.inference.runtimes.onnx_runtime import checked_density, read_facts, take_facts, threads
from dotcount.metadata import ModelMetadata


class OpenVinoRuntime(Runtime):
    """A network that :func:`dotcount.export.export` wrote as an ONNX file, in float32.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    UsageError
        If OpenVINO is not installed.
    ModelError
        If the file is missing, damaged, or not from dotcount.
    """

    name = "openvino"
    metadata: ModelMetadata
    weights: str

    def __init__(self, path: Path) -> None:
        try:
            import openvino
        except ImportError as error:
            raise UsageError("OpenVINO is not installed; run `pip install dotcount[openvino]`") from error
        take_facts(self, read_facts(path))
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads():
            settings["INFERENCE_NUM_THREADS"] = str(threads())
        try:
            self._network = openvino.Core().compile_model(str(path), "CPU", settings)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{path}: can't be read by OpenVINO ({reason}); choose another `runtime`") from error

    def run(self, images: FloatImages) -> FloatImages:
        """See :meth:`Runtime.run`."""
        return self.run_with_features(images)[0]

    def run_with_features(self, images: FloatImages) -> tuple[FloatImages, list[FloatImages]]:
        """See :meth:`Runtime.run_with_features`."""
        found = self._network([np.ascontiguousarray(images.transpose(0, 3, 1, 2))])
        density = checked_density(self, found[0], images)
        # Its softplus rounds to -2e-7 where it ought to be tiny; a density is not negative.
        return np.maximum(density, 0.0), [found[k + 1] for k in range(len(self.feature_layers))]

    def digest(self) -> str:
        """See :meth:`Runtime.digest`."""
        return self.weights
