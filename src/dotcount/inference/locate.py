"""Finding the model in what a user names; apart from the predictor, so that a wrong path is reported at once."""

from __future__ import annotations

from pathlib import Path

from dotcount import weights
from dotcount.errors import ModelError
from dotcount.files import nearest
from dotcount.registry import did_you_mean
from dotcount.weights import hub

ONNX = ".onnx"

RUNTIMES = ("auto", "torch", "onnx", "openvino")
"""Names that the parameter ``runtime`` takes: ``auto`` is ONNX Runtime on a CPU and PyTorch on a GPU."""


def find_model(run: Path) -> Path:
    """Return the folder with the weights of a run, or the file that ``dotcount export`` wrote.

    Raises
    ------
    ModelError
        If there is neither.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("cells.onnx").write_bytes(b"")
    >>> find_model(Path("cells.onnx")).name
    'cells.onnx'
    """
    return run if run.suffix.lower() == ONNX and run.is_file() else model_folder(run)


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
    hub_name = hub.named(run)
    if hub_name is not None:
        return hub.fetch_model(hub_name)
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
    if run.suffix.lower() == ONNX:
        raise ModelError(f"{run} is an exported model; this needs what `dotcount train` wrote")
    hint = "; training has not finished an epoch yet" if (run / "last.ckpt").exists() else ""
    raise ModelError(f"run {run} holds no model (model/config.json){hint}; give what `dotcount train` wrote")
