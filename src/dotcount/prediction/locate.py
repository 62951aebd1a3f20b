"""Finding the model in what a user names; apart from the predictor, so that a wrong path is told at once."""

from __future__ import annotations

from pathlib import Path

from dotcount.errors import ModelError


def model_folder(run: Path) -> Path:
    """Return the folder with the weights of a run, or raise a :class:`ModelError` that says what is missing."""
    if not run.exists():
        raise ModelError(f"run {run} does not exist; give what `dotcount train --out` wrote")
    for folder in (run / "model", run):
        if (folder / "config.json").is_file():
            return folder
    hint = "; training has not finished an epoch yet" if (run / "last.ckpt").exists() else ""
    raise ModelError(f"run {run} holds no model (model/config.json){hint}; give what `dotcount train --out` wrote")
