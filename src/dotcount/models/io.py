"""Saving and loading a trained model as a folder of plain files; loading never executes code from them.

``model.safetensors`` holds the weights, ``config.json`` the architecture's name and options with everything a
prediction needs (peak threshold, interval, resizing), ``README.md`` the model card.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dotcount.errors import ModelError, UsageError
from dotcount.folders import writing_folder
from dotcount.models.names import create
from dotcount.models.weights import fit_state

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def save(
    module: nn.Module, folder: str | os.PathLike[str], metadata: Mapping[str, Any], card: str | None = None
) -> Path:
    """Write ``module`` to ``folder``, which appears complete or not at all.

    Parameters
    ----------
    module
        A model made by :func:`dotcount.models.create`.
    folder
        Where to; replaced if it is there.
    metadata
        JSON-ready values; ``model`` (the name) and ``options`` (of :func:`~dotcount.models.create`) are what
        :func:`load` rebuilds the module from.
    card
        Text of README.md; none is written without it.

    Raises
    ------
    UsageError
        If ``metadata`` lacks the model's name, or holds what JSON can't.
    OutputError
        If the folder can't be written to.
    """
    if not isinstance(metadata.get("model"), str):
        raise UsageError("metadata needs 'model', the name the model was created under, and 'options'")
    target = Path(folder)
    try:
        text = json.dumps({"options": {}, **metadata}, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise UsageError(f"metadata is not plain JSON ({error}); convert arrays and leave out NaN") from error
    with writing_folder(target, replace=True, durable=True) as folder:
        weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / CONFIG).write_text(text, encoding="utf-8")
        if card is not None:
            (folder / CARD).write_text(card, encoding="utf-8")
    return target


def load_metadata(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what config.json in ``folder`` holds; see :func:`load` for the errors."""
    path = Path(folder) / CONFIG
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: no {CONFIG}, so this is not a saved model; give a folder that training wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not readable as JSON ({error}); restore the file or train again") from error
    if not isinstance(metadata, dict) or not isinstance(metadata.get("model"), str):
        raise ModelError(f'{path}: names no model; it needs "model": "compact" or another name')
    if not isinstance(metadata.get("options", {}), dict):
        raise ModelError(f'{path}: "options" must hold keys and values; got {metadata["options"]!r}')
    return metadata


def load(folder: str | os.PathLike[str]) -> tuple[nn.Module, dict[str, Any]]:
    """Return (module in eval mode on the CPU, metadata) from a folder that :func:`save` wrote.

    Raises
    ------
    ModelError
        If the folder is missing or incomplete, a file is corrupt, the architecture or an option is unknown, or the
        weights don't fit.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ModelError(f"{place}: no such model folder; give the folder that holds {WEIGHTS} and {CONFIG}")
    metadata = load_metadata(place)
    try:
        module = create(metadata["model"], **metadata.get("options", {}))
    except (UsageError, TypeError) as error:
        raise ModelError(f"{place / CONFIG}: {error}") from error
    path = place / WEIGHTS
    try:
        state = load_file(path)
    except FileNotFoundError as error:
        raise ModelError(f"{place}: {WEIGHTS} is missing; copy the whole model folder") from error
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: corrupt or truncated ({error}); copy it again") from error
    fit_state(module, state, str(path))
    return module.eval(), metadata
