"""ONNX Runtime: the fastest way through a network on most CPUs, and the only one where torch is not installed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.density import grid_shape
from dotcount.errors import ModelError
from dotcount.inference.runtimes.base import FloatImages, Runtime
from dotcount.metadata import ModelMetadata

SUFFIX = ".onnx"
SETTINGS, NETWORK = "dotcount", "dotcount_network"
"""Keys of the file's metadata: the :class:`~dotcount.metadata.ModelMetadata`, and what a runtime must know."""
_TELEMETRY = "ORT_DISABLE_TELEMETRY"


class OnnxRuntime(Runtime):
    """A network that :func:`dotcount.export.export` wrote as an ONNX file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not from dotcount.
    """

    name = "onnx"
    metadata: ModelMetadata
    weights: str

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = plain_session(path)
        found = read_facts(path, self._session)
        take_facts(self, found)
        self._input = self._session.get_inputs()[0].name

    def run(self, images: FloatImages) -> FloatImages:
        """See :meth:`Runtime.run`."""
        return self.run_with_features(images)[0]

    def run_with_features(self, images: FloatImages) -> tuple[FloatImages, list[FloatImages]]:
        """See :meth:`Runtime.run_with_features`."""
        pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        density, *features = self._session.run(None, {self._input: pixels})
        return checked_density(self, density, images), features[: len(self.feature_layers)]

    def digest(self) -> str:
        """See :meth:`Runtime.digest`."""
        return self.weights


@dataclass(frozen=True)
class OnnxFacts:
    """What an exported file says about itself.

    Attributes
    ----------
    metadata
        Everything about the model besides its weights.
    network
        What a runtime must know, see :func:`dotcount.inference.runtimes.base.facts`.
    weights, source
        Digests of the weights, and of the folder that they came from.
    """

    metadata: ModelMetadata
    network: Mapping[str, Any]
    weights: str
    source: str


def read_facts(path: Path, session: Any = None) -> OnnxFacts:
    """Return what an exported file says about itself.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not from dotcount.
    """
    if session is None:
        session = plain_session(path, optimize=False)
    properties = session.get_modelmeta().custom_metadata_map
    if SETTINGS not in properties or NETWORK not in properties:
        raise ModelError(f"{path}: an ONNX file, but none that `dotcount export` wrote; export the model with it")
    metadata = ModelMetadata.from_json(properties[SETTINGS], str(path))
    try:
        network = json.loads(properties[NETWORK])
        weights, source = str(network["weights"]), str(network["source"])
        known = {"stride": int, "size_multiple": int, "receptive_radius": int | None, "ground": list}
        for key, kind in known.items():
            if not isinstance(network[key], kind):
                raise TypeError(f"{key} is {network[key]!r}")
        if network["stride"] != metadata.stride or not network["size_multiple"] > 0 or len(network["ground"]) != 3:
            raise ValueError("stride, multiple or ground are not those of a network")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: its description is damaged ({error}); export the model again") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or any(isinstance(side, int) for side in inputs[0].shape[2:]):
        raise ModelError(
            f"{path}: made for images of one size, {inputs[0].shape}; export the model with format 'onnx' instead"
        )
    return OnnxFacts(metadata, network, weights, source)


def take_facts(runtime: Any, found: OnnxFacts) -> None:
    """Set the attributes of a runtime."""
    runtime.model, runtime.metadata, runtime.weights = found.metadata.model, found.metadata, found.weights
    runtime.stride, runtime.size_multiple = found.network["stride"], found.network["size_multiple"]
    runtime.receptive_radius = found.network["receptive_radius"]
    runtime.ground = np.array(found.network["ground"], np.float32)
    runtime.feature_layers = tuple(map(str, found.network.get("feature_layers", ())))


def checked_density(runtime: Runtime, density: Any, images: FloatImages) -> FloatImages:
    """Return (B, h, w) of what a graph returned for images (B, H, W, 3), after a look at its shape."""
    wanted = (len(images), 1, *grid_shape(images.shape[1], images.shape[2], runtime.stride))
    if density.shape != wanted:
        raise ModelError(f"model {runtime.model} returned {density.shape}, not {wanted}; export it again")
    return np.asarray(density[:, 0], np.float32)


def plain_session(path: Path, *, optimize: bool = True) -> Any:
    """Return a session of ONNX Runtime on the CPU; a file that it can't read is a :class:`ModelError`."""
    try:
        onnxruntime = _quiet_import()
    except ImportError as error:
        raise ModelError(f"{path}: needs ONNX Runtime; run `pip install onnxruntime`") from error
    if not path.is_file():
        raise ModelError(f"{path}: no such ONNX file; check the path")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    # Idle threads sleep: decoding and writing have the cores meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = threads()
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: can't be read by ONNX Runtime ({reason}); export the model again") from error


def _quiet_import() -> Any:
    """Import ONNX Runtime without its telemetry.

    Its builds from 1.32 on report their use to their maker: from the import on they keep files for it in the folders
    for caches and temporary files. Whether they do is decided at the import. Who has set ``ORT_DISABLE_TELEMETRY``, or
    has imported ``onnxruntime`` before, has chosen.
    """
    chosen = "onnxruntime" in sys.modules or _TELEMETRY in os.environ
    if not chosen:
        os.environ[_TELEMETRY] = "1"
    try:
        import onnxruntime
    finally:
        if not chosen:
            del os.environ[_TELEMETRY]
    return onnxruntime


def threads() -> int:
    """Return how many threads a network may use; 0: what the runtime thinks best.

    Runtimes look at the cores of the machine, not at those that this process may use.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        mine = len(os.sched_getaffinity(0))
        return mine if mine < (os.cpu_count() or mine) else 0
    return 0
