"""Saving and loading a trained model as a folder of plain files.

``model.safetensors`` holds the weights, ``config.json`` a :class:`~dotcount.metadata.ModelMetadata`, ``README.md`` the
model card. Loading executes no code from them, opens no connection, and checks before it allocates.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import nn

from dotcount.errors import ModelError, UsageError
from dotcount.folders import writing_folder
from dotcount.models.names import create
from dotcount.models.weights import check_header, fit_state, read_safetensors

if TYPE_CHECKING:
    from dotcount.metadata import ModelMetadata  # networks alone need none of what checks metadata

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def save(module: nn.Module, folder: str | os.PathLike[str], metadata: ModelMetadata, card: str | None = None) -> Path:
    """Write ``module`` to ``folder``, which appears complete or not at all.

    Parameters
    ----------
    module
        A model made by :func:`dotcount.models.create`.
    folder
        Where to; replaced if it is there.
    metadata
        Its ``model`` and ``options`` are what :func:`load` rebuilds the module from.
    card
        Text of README.md; none is written without it.

    Raises
    ------
    ModelError
        If a field of ``metadata`` is of a wrong type or out of range, or states another stride than the model has.
    OutputError
        If the folder can't be written to.
    """
    target, checked = Path(folder), metadata.checked()
    _same_stride(checked, module, "model metadata")
    with writing_folder(target, replace=True, durable=True) as temporary:
        weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
        save_file(weights, temporary / WEIGHTS, metadata={"format": "pt"})
        (temporary / CONFIG).write_text(checked.to_json(), encoding="utf-8")
        if card is not None:
            (temporary / CARD).write_text(card, encoding="utf-8")
    return target


def load(folder: str | os.PathLike[str]) -> tuple[nn.Module, ModelMetadata]:
    """Return (module in eval mode on the CPU, metadata) from a folder that :func:`save` wrote.

    Raises
    ------
    ModelError
        If the folder is missing or incomplete, a file is corrupt, a field is of a wrong type or out of range, the
        architecture or an option is unknown, or the weights don't fit, are of another type or not finite.
    """
    from dotcount.metadata.reading import load_metadata

    place = Path(folder)
    if not place.is_dir():
        raise ModelError(f"{place}: no such model folder; give the folder that holds {WEIGHTS} and {CONFIG}")
    metadata = load_metadata(place)
    path = place / WEIGHTS
    if not path.exists():
        raise ModelError(f"{place}: {WEIGHTS} is missing; copy the whole model folder")
    # First without memory: what config.json asks for must be what the weights file holds before it is allocated.
    with torch.device("meta"):
        outline = _build(metadata, place / CONFIG)
    check_header(outline, path)
    module = _build(metadata, place / CONFIG)
    _same_stride(metadata, module, str(place / CONFIG))
    fit_state(module, read_safetensors(path), str(path))
    return module.eval(), metadata


def _build(metadata: ModelMetadata, path: Path) -> nn.Module:
    """Build the network that config.json names, with random weights: never from the network, whatever it says."""
    options = dict(metadata.options)
    if "pretrained" in options:
        raise ModelError(
            f"{path}: field 'options' holds 'pretrained'; a saved model has its weights beside it: remove it"
        )
    try:
        return create(metadata.model, pretrained=False, **options)
    except UsageError as error:
        raise ModelError(f"{path}: {error}") from error
    except (TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: the model can't be built from it: {reason}") from error


def _same_stride(metadata: ModelMetadata, module: nn.Module, origin: str) -> None:
    if int(module.stride) != metadata.stride:  # type: ignore[arg-type]
        raise ModelError(
            f"{origin}: states a stride of {metadata.stride} px, the model has {module.stride}; correct it"
        )
