"""What a training of the page begins with: the weights of the model in use, unless something speaks against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dotcount import config
from dotcount.data.digests import file_digest, unpacked
from dotcount.errors import ModelError
from dotcount.inference.locate import model_folder
from dotcount.metadata import ModelMetadata
from dotcount.metadata.reading import load_metadata
from dotcount.selection import ImageSelection


@dataclass(frozen=True)
class Beginning:
    """What a training begins with.

    Attributes
    ----------
    model
        The model whose weights it begins with; empty: new weights.
    settings
        Settings of the training that follow from it, ``key=value``.
    reason
        Why it begins with new weights although there is a model; empty where it does not, or where there is none.
    """

    model: str = ""
    settings: tuple[str, ...] = ()
    reason: str = ""


def begin_with(model: Path | None, settings: Sequence[str], held_out: Sequence[Path] = ()) -> Beginning:
    """Return how a training goes on from a model.

    It takes over the network, its weights, and how images are brought to it. It does not where the settings ask for
    another network, where the model was exported, and where the model has learnt from an image that is held out here:
    its error would flatter it for ever after.

    Parameters
    ----------
    model
        A run, or the name of a published model; ``None``: there is none.
    settings
        What the training is asked to do anyway, ``key=value``; they win over those of the model.
    held_out
        The images that measure the error.

    Examples
    --------
    >>> begin_with(Path("cells"), ()).settings[0]
    'model.name="compact"'
    >>> begin_with(Path("cells"), ["model.name=lite0"])
    Beginning(model='', settings=(), reason='cells is another network (compact)')
    """
    if model is None:
        return Beginning()
    try:
        folder = model_folder(model)
        metadata = load_metadata(folder)
    except ModelError:
        return Beginning(reason=f"{model.name} holds no weights that can be trained on")
    asked = {key.strip(): value for key, _, value in (words.partition("=") for words in settings)}
    if not _same_network(metadata, settings, asked):
        return Beginning(reason=f"{model.name} is another network ({metadata.model})")
    learnt = frozenset[str]() if metadata.training is None else unpacked(metadata.training.digests)
    if learnt and any(file_digest(path) in learnt for path in held_out):
        return Beginning(reason=f"{model.name} has learnt from an image that is held out now")
    return Beginning(model.name, tuple(_settings(metadata, folder, asked)))


def _same_network(metadata: ModelMetadata, settings: Sequence[str], asked: dict[str, str]) -> bool:
    if not any(key == "model.name" or key.startswith("model.options.") for key in asked):
        return True
    wanted = config.load(overrides=list(settings)).model
    same = all(metadata.options.get(key) == value for key, value in wanted.options.items())
    return same and wanted.name == metadata.model


def _settings(metadata: ModelMetadata, folder: Path, asked: dict[str, str]) -> list[str]:
    values: dict[str, object] = {"model.name": metadata.model}
    values |= {f"model.options.{key}": value for key, value in metadata.options.items()}
    values |= {f"data.{key}": value for key, value in metadata.input.resize.to_dict().items() if value is not None}
    selection = metadata.input.selection
    if selection != ImageSelection():
        values |= {"data.page": selection.page, "data.projection": selection.projection}
        values["data.channels"] = None if selection.channels is None else list(selection.channels)
    words = [f"{key}={json.dumps(value)}" for key, value in values.items() if key not in asked]
    return [*words, f"model.pretrained={json.dumps(str(folder.resolve()))}"]
