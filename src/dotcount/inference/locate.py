"""Finding the model in what a user names; apart from the predictor, so that a wrong path is reported at once."""

from __future__ import annotations

from pathlib import Path

from dotcount import weights
from dotcount.errors import ModelError
from dotcount.files import nearest
from dotcount.registry import did_you_mean


def model_folder(run: Path) -> Path:
    """Return the folder with the weights of a run or a published model; a :class:`ModelError` says what is missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> model_folder(Path("cells")).name
    'cells'
    >>> model_folder(Path("nothing here"))
    Traceback (most recent call last):
    ...
    dotcount.errors.ModelError: run nothing here does not exist; give what ...
    """
    published = weights.find(run)
    if published is not None:
        return published
    if not run.exists():
        known = weights.names()
        raise ModelError(
            f"run {run} does not exist; give what `dotcount train` wrote, or a published model "
            f"({', '.join(known)}).{did_you_mean(str(run), known) or nearest(run)}"
        )
    for folder in (run / "model", run):
        if (folder / "config.json").is_file():
            return folder
    hint = "; training has not finished an epoch yet" if (run / "last.ckpt").exists() else ""
    raise ModelError(f"run {run} holds no model (model/config.json){hint}; give what `dotcount train` wrote")
