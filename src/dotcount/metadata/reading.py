"""Reading ``config.json``; apart from the weights, so that it needs no torch."""

from __future__ import annotations

import os
from pathlib import Path

from dotcount.errors import ModelError
from dotcount.files import read_bytes
from dotcount.metadata.model import ModelMetadata

CONFIG = "config.json"
LARGEST_CONFIG = 1 << 22
"""Bytes of config.json beyond which it is none of ours."""


def load_metadata(folder: str | os.PathLike[str]) -> ModelMetadata:
    """Return what config.json in ``folder`` holds; see :func:`dotcount.models.io.load` for the errors."""
    path = Path(folder) / CONFIG
    try:
        text = read_bytes(path, LARGEST_CONFIG).decode("utf-8")
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: no {CONFIG}, so this is not a saved model; give a folder that training wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not readable as text ({error}); restore the file or train again") from error
    return ModelMetadata.from_json(text, str(path))
