"""The ONNX file of a model folder: made once, kept beside the model, used where it is that of the weights there."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from dotcount import weights as published
from dotcount.errors import DotcountError, ModelError
from dotcount.inference.runtimes.onnx_runtime import read_facts
from dotcount.metadata import ModelMetadata
from dotcount.metadata.reading import load_metadata

NAME = "model.onnx"
WEIGHTS = "model.safetensors"
FORM = 3
"""Raised when files that an older version made must be made again."""


def cached_onnx(folder: Path, metadata: ModelMetadata | None = None) -> Path:
    """Return the ONNX file of a model folder, which is made where there is none or an old one.

    It lies in the folder; of a folder that can't be written to, and of the models that come with the package, in the
    user's folder for caches (``DOTCOUNT_CACHE`` names another one).

    Parameters
    ----------
    folder
        With ``config.json`` and ``model.safetensors``.
    metadata
        What is in ``config.json``, if it has been read.

    Raises
    ------
    ModelError
        If the model can't be exported, or torch, which that needs, is not installed.
    OutputError
        If neither place can be written to.
    """
    metadata = load_metadata(folder) if metadata is None else metadata
    source = source_digest(folder, metadata)
    for path in (beside := folder / NAME, kept := cache_folder() / f"{source[:32]}.onnx"):
        if path.is_file() and _is_of(path, source):
            return path
    try:
        from dotcount.export.base import TrainedModel
        from dotcount.export.onnx import OnnxExport
        from dotcount.models import io as model_io
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{folder} holds a model for PyTorch, which is not installed; run `dotcount export` where it is and use "
            "the file, or run `pip install dotcount`"
        ) from error
    module, found = model_io.load(folder)
    own = folder.resolve().is_relative_to(published.FOLDER.resolve())
    path = kept if own or not os.access(folder, os.W_OK) else beside
    OnnxExport().write(TrainedModel(module, found, source), path)
    return path


def source_digest(folder: Path, metadata: ModelMetadata) -> str:
    """Return a digest of what the graph depends on: the weights file and the options of the network."""
    digest = hashlib.sha256(json.dumps([FORM, metadata.model, dict(metadata.options)], sort_keys=True).encode())
    try:
        with (folder / WEIGHTS).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ModelError(f"{folder}: {WEIGHTS} is missing; copy the whole model folder") from error
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return the user's folder for what can be made again."""
    named = os.environ.get("DOTCOUNT_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "dotcount" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dotcount"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dotcount"


def _is_of(path: Path, source: str) -> bool:
    try:
        return read_facts(path).source == source
    except DotcountError:  # damaged, or from elsewhere: made again
        return False
