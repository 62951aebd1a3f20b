"""From a path to what runs the network: which runtime is taken, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.devices import choose_device, may_have_gpu
from dotcount.errors import DotcountError, ModelError, UsageError
from dotcount.export import cached_onnx
from dotcount.inference.locate import ONNX, RUNTIMES, find_model
from dotcount.inference.runtimes import Runtime
from dotcount.metadata import ModelMetadata
from dotcount.metadata.reading import load_metadata
from dotcount.registry import did_you_mean

if TYPE_CHECKING:
    from torch import nn


def open_model(path: Path, *, runtime: str = "auto", device: str = "auto") -> tuple[Runtime | nn.Module, ModelMetadata]:
    """Return what runs the network of a run, a model folder or an exported file, and its metadata.

    Raises
    ------
    ModelError
        If there is no model, it is incomplete, or the runtime can't run it.
    UsageError
        If the runtime is unknown, not installed, or not for this device.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime {runtime!r}.{did_you_mean(runtime, RUNTIMES)} Known: {', '.join(RUNTIMES)}.")
    place = find_model(path)
    if place.suffix.lower() == ONNX and place.is_file():
        if runtime == "torch":
            raise UsageError(f"{place} is an exported model, which PyTorch can't run; give the run, or another runtime")
        _require_cpu(runtime if runtime != "auto" else "onnx", device)
        return _exported(place, runtime)
    metadata = load_metadata(place)
    if runtime == "torch" or (runtime == "auto" and not on_cpu(device)):
        return _module(place)
    if runtime == "auto":
        try:
            found = _exported(cached_onnx(place, metadata), runtime)[0]
        except DotcountError:
            return _module(place)  # a network that can't be exported; one that is damaged is told here
        return found, metadata
    _require_cpu(runtime, device)
    return _exported(cached_onnx(place, metadata), runtime)[0], metadata


def on_cpu(device: str) -> bool:
    """Return whether a device named by a user is the CPU."""
    if device != "auto":
        return device == "cpu"
    return not may_have_gpu() or not _has_torch() or choose_device("auto").type == "cpu"


def _has_torch() -> bool:
    from importlib.util import find_spec

    return find_spec("torch") is not None


def _require_cpu(runtime: str, device: str) -> None:
    if device not in ("auto", "cpu"):
        raise UsageError(f"runtime {runtime!r} runs on the CPU, not on device {device!r}; choose runtime 'torch'")


def _exported(path: Path, runtime: str) -> tuple[Runtime, ModelMetadata]:
    if runtime == "openvino":
        from dotcount.inference.runtimes.open_vino import OpenVinoRuntime

        fast = OpenVinoRuntime(path)
        return fast, fast.metadata
    from dotcount.inference.runtimes.onnx_runtime import OnnxRuntime

    found = OnnxRuntime(path)
    return found, found.metadata


def _module(folder: Path) -> tuple[nn.Module, ModelMetadata]:
    try:
        from dotcount.models import io as model_io
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{folder} holds a model for PyTorch, which is not installed; run `dotcount export` where it is and use "
            "the file, or run `pip install dotcount`"
        ) from error
    return model_io.load(folder)
