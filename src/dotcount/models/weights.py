"""Weights files: finding them, reading them without executing code, and fitting them to a module."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dotcount import weights as published
from dotcount.errors import ModelError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
HUB_PREFIX = "hf-hub:"


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
    path = _from_hub(str(source)) if str(source).startswith(HUB_PREFIX) else find_weights(Path(source))
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path}: not a readable weights file ({reason}); expected safetensors, or tensors saved by torch.save"
        ) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: holds no tensors by name; expected the state_dict of a model")
    return state


def find_weights(path: Path) -> Path:
    """Return ``path`` if it is a file, or the one weights file in the folder ``path``, ``model.safetensors`` first.

    The name of a published model, such as ``trees``, stands for its folder.
    """
    path = published.find(path) or path
    if path.is_file():
        return path
    if not path.is_dir():
        word = len(path.parts) == 1 and not path.suffix  # "imagenet", "tru" and the like
        hint = "; set pretrained to true for the published weights" if word else ""
        raise ModelError(f"{path}: no such weights file or folder; give the path of a .safetensors or .pth file{hint}")
    preferred = path / "model.safetensors"
    found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)
    if preferred in found:
        return preferred
    if len(found) != 1:
        names = ", ".join(p.name for p in found[:5]) or "none"
        raise ModelError(f"{path}: needs one weights file ({', '.join(SUFFIXES)}) but has {len(found)} ({names})")
    return found[0]


def fit_state(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load ``state`` into ``module``; every name and shape must agree.

    Raises
    ------
    ModelError
        Naming the first tensor that is missing, unexpected or of another shape.
    """
    own = module.state_dict()
    # BatchNorm's step counter is absent from files of other frameworks and never used with frozen statistics.
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    if missing or unexpected:
        what = f"lacks {missing[0]!r}" if missing else f"has the unknown tensor {unexpected[0]!r}"
        raise ModelError(
            f"{origin}: does not fit {type(module).__name__}: it {what} "
            f"({len(missing)} missing, {len(unexpected)} unknown of {len(own)}); is it from another architecture?"
        )
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise ModelError(
                f"{origin}: tensor {name!r} has shape {tuple(value.shape)} where {type(module).__name__} has "
                f"{tuple(own[name].shape)}; were other options (width, stride) used?"
            )
    module.load_state_dict(dict(state), strict=False)


def _unpickle(path: Path) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    return content


def _from_hub(name: str) -> Path:
    """Return the local file of ``hf-hub:owner/name``, downloaded if the cache lacks it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name.removeprefix(HUB_PREFIX), "model.safetensors"))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{name}: model.safetensors can't be had from the Hugging Face hub ({type(error).__name__}); "
            "check the name and the connection, or give the path of a local file"
        ) from error
