"""Weights files: finding them, reading them without executing code, and fitting them to a module."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dotcount import weights as published
from dotcount.errors import ModelError
from dotcount.weights import hub

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
LARGEST_HEADER = 10_000_000
"""Bytes of a safetensors header beyond which it describes no model of ours."""


def read_state(source: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name.

    Parameters
    ----------
    source
        A safetensors file, a file of pickled tensors (read with ``weights_only=True``; a ``state_dict`` or ``model``
        entry is unwrapped), a folder with one such file, the name of a published model, or ``hf-hub:owner/name``
        (``model.safetensors`` of that Hugging Face repository, from the local cache where it is there).

    Raises
    ------
    ModelError
        If there is no such file, or it holds no tensors by name.
    """
    hub_name = hub.named(os.fspath(source))
    path = find_weights(Path(source)) if hub_name is None else hub.fetch_weights(hub_name)
    try:
        state = read_safetensors(path) if path.suffix == ".safetensors" else _unpickle(path)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path}: not a readable weights file ({reason}); expected safetensors, or tensors saved by torch.save"
        ) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: holds no tensors by name; expected the state_dict of a model")
    return state


def find_weights(path: Path) -> Path:
    """Return ``path`` if it is a file, or the one weights file in the folder ``path``, ``model.safetensors`` first.

    Of a run it is that of its model. The name of a published model, such as ``trees``, stands for its folder.
    """
    path = published.find(path) or path
    if path.is_file():
        return path
    if not path.is_dir():
        word = len(path.parts) == 1 and not path.suffix  # "imagenet", "tru" and the like
        hint = "; set pretrained to true for the published weights" if word else ""
        raise ModelError(f"{path}: no such weights file or folder; give the path of a .safetensors or .pth file{hint}")
    if (path / "model" / "model.safetensors").is_file():  # a run
        path = path / "model"
    preferred = path / "model.safetensors"
    found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)
    if preferred in found:
        return preferred
    if len(found) != 1:
        names = ", ".join(p.name for p in found[:5]) or "none"
        raise ModelError(f"{path}: needs one weights file ({', '.join(SUFFIXES)}) but has {len(found)} ({names})")
    return found[0]


_DTYPES = {
    torch.float64: ("F64",), torch.float32: ("F32", "BF16", "F16"), torch.float16: ("F16",), torch.bfloat16: ("BF16",),
    torch.int64: ("I64",), torch.int32: ("I32",), torch.bool: ("BOOL",), torch.uint8: ("U8",),
}  # fmt: skip
"""Types in a safetensors file that a tensor of a model can be filled from without loss."""


def check_header(module: nn.Module, path: Path) -> None:
    """Check names, shapes and types of a safetensors file against a module, from its header: no tensor is read.

    Raises
    ------
    ModelError
        If the file is damaged, or a tensor is missing, unexpected, or of another shape or type.
    """
    header = _header(path)
    own = module.state_dict()
    _same_names(module, header, str(path))
    for name, (shape, kind) in header.items():
        _same_shape(module, name, shape, own[name], str(path))
        if kind not in _DTYPES.get(own[name].dtype, ()):
            raise ModelError(f"{path}: tensor {name!r} is of type {kind[:20]}; {type(module).__name__} needs F32")


def _header(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and type of every tensor, from the start of a safetensors file: a length in 8 bytes, then JSON."""
    _require_file(path)
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > min(LARGEST_HEADER, path.stat().st_size):
                raise ValueError("its header is longer than the file")
            content = json.loads(file.read(size))
        content.pop("__metadata__", None)
        header = {name: (tuple(one["shape"]), str(one["dtype"])) for name, one in content.items()}
        if not all(type(side) is int and side >= 0 for shape, _ in header.values() for side in shape):
            raise ValueError("a shape is not of numbers")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: corrupt or truncated ({error}); copy it again") from error
    return header


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"{path}: not a regular file; give the weights file itself")


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; see :func:`check_header`."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: corrupt or truncated ({error}); copy it again") from error


def fit_state(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load ``state`` into ``module``; every name and shape must agree.

    Raises
    ------
    ModelError
        Naming the first tensor that is missing, unexpected or of another shape.
    """
    own = module.state_dict()
    _same_names(module, state, origin)
    for name, value in state.items():
        _same_shape(module, name, tuple(value.shape), own[name], origin)
        if value.is_floating_point() != own[name].is_floating_point():
            raise ModelError(f"{origin}: tensor {name!r} is of type {value.dtype}, not {own[name].dtype}; convert it")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelError(f"{origin}: tensor {name!r} holds NaN or infinity; copy the file again, or train anew")
    module.load_state_dict(dict(state), strict=False)


def _same_names(module: nn.Module, names: Collection[str], origin: str) -> None:
    own = module.state_dict()
    # BatchNorm's step counter is absent from files of other frameworks and never used with frozen statistics.
    missing = [name for name in own if name not in names and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in names if name not in own]
    if missing or unexpected:
        what = f"lacks {missing[0]!r}" if missing else f"has the unknown tensor {unexpected[0]!r}"
        raise ModelError(
            f"{origin}: does not fit {type(module).__name__}: it {what} "
            f"({len(missing)} missing, {len(unexpected)} unknown of {len(own)}); is it from another architecture?"
        )


def _same_shape(module: nn.Module, name: str, shape: tuple[int, ...], own: Tensor, origin: str) -> None:
    if shape != tuple(own.shape):
        raise ModelError(
            f"{origin}: tensor {name!r} has shape {shape} where {type(module).__name__} has "
            f"{tuple(own.shape)}; were other options (width, stride) used?"
        )


def _unpickle(path: Path) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    return content
