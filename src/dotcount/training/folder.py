"""The run folder: may it be used, does a resumed run fit what is in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from dotcount import config as configuration
from dotcount import files
from dotcount.config import RunConfig
from dotcount.errors import ConfigError
from dotcount.files import mark_output, require_writable
from dotcount.models.io import CONFIG as MODEL_CONFIG
from dotcount.training.errors import ResumeError
from dotcount.training.state import RunState

CONFIG, METRICS, CHECKPOINT, MODEL, REPORT = "config.yaml", "metrics.csv", "last.ckpt", "model", "report.html"
FREE = ("data.path", "data.strict", "training.device", "training.workers", "training.cache_mb")
"""Settings of the machine, not of the run; they may differ when it is resumed. The data itself is compared."""


def holds_run(out: Path) -> bool:
    """Return whether ``out`` holds a run that can be resumed.

    Examples
    --------
    >>> from pathlib import Path
    >>> holds_run(Path("new"))
    False
    """
    return (out / CONFIG).exists()


def require_new(out: Path) -> None:
    """Raise an error if ``out`` holds a run, or can't become a folder.

    Raises
    ------
    ResumeError
        If there is a run.
    OutputError
        If it can't be written to.
    """
    if any((out / name).exists() for name in (CONFIG, CHECKPOINT, METRICS, MODEL)):
        raise ResumeError(f"{out} already holds a run; resume it, or choose another `out`")
    require_writable(out)


def make_folder(out: Path) -> None:
    """Make ``out``, and mark what will be in it as results, so that no data set takes them for images or dots."""
    files.make_folder(out)
    mark_output(out, "run", "dotcount train", [CONFIG, METRICS, CHECKPOINT, MODEL, REPORT])


def holds_model(out: Path) -> bool:
    """Return whether the model was written."""
    return (out / MODEL / MODEL_CONFIG).exists()


def record(config: RunConfig, state: RunState, out: Path) -> None:
    """Write config.yaml; once a budget has been fitted it holds the epochs, which repeat the run exactly."""
    if state.budget_minutes is not None and state.epochs is not None:
        training = dataclasses.replace(config.training, epochs=state.epochs, max_minutes=None)
        schedule = dataclasses.replace(config.schedule, cooldown_epochs=state.cooldown_epochs)
        config = dataclasses.replace(config, training=training, schedule=schedule)
    state.settings = flatten(configuration.to_dict(config))
    configuration.save_yaml(config, out / CONFIG)


def read_config(out: Path) -> RunConfig:
    """Return the recorded configuration."""
    try:
        return configuration.load(out / CONFIG)
    except ConfigError as error:
        raise ResumeError(f"{error}; it was written by training, restore it or start a new run") from error


def read_checkpoint(out: Path) -> dict[str, Any] | None:
    """Return what last.ckpt holds, on the CPU; ``None`` before the first epoch ended."""
    path = out / CHECKPOINT
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or "run" not in content:
            raise ValueError("it was not written by dotcount")
    except Exception as error:  # torch.load raises anything from OSError to UnpicklingError for a damaged file
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ResumeError(f"{path}: not a usable checkpoint ({reason}); restore it or start a new run") from error
    return content


def check_recorded(recorded: RunConfig, state: RunState, out: Path) -> None:
    """Raise :class:`ResumeError` if config.yaml is not what the checkpoint was trained with.

    The number of epochs and the course of the rate come from the checkpoint, everything else from config.yaml: a run
    that went on with both would follow neither plan.
    """
    there = flatten(configuration.to_dict(recorded))
    fitted: dict[str, Any] = {}
    if state.budget_minutes is not None:  # config.yaml gets them when a session ends or begins
        cooldown = state.cooldown_epochs
        fitted = {"training.epochs": state.epochs, "training.max_minutes": None, "schedule.cooldown_epochs": cooldown}
    for key, value in state.settings.items():
        if key in FREE or key not in there or there[key] == value or (key in fitted and there[key] == fitted[key]):
            continue
        raise ResumeError(
            f"{out / CONFIG} was changed: it has {key} = {there[key]!r}, but {CHECKPOINT} was trained with {value!r}; "
            "restore config.yaml, or start a new run in another `out`"
        )


def check_request(request: RunConfig, recorded: RunConfig, budget_minutes: float | None, out: Path) -> None:
    """Raise :class:`ResumeError` if ``request`` asks for something else than the run was started with.

    Settings that the request leaves open (absent or ``auto``) agree with whatever was chosen.
    """
    wanted, there = flatten(configuration.to_dict(request)), flatten(configuration.to_dict(recorded))
    for key, value in wanted.items():
        if value is None or value == "auto" or key in FREE or value == there.get(key):
            continue
        if key == "training.max_minutes" and value == budget_minutes:
            continue
        raise ResumeError(
            f"{out / CONFIG} has {key} = {there.get(key)!r}, the request {value!r}; "
            "resume with the settings of the run, or start a new one in another `out`"
        )


def merge_request(request: RunConfig, recorded: RunConfig) -> RunConfig:
    """Return the recorded configuration with the machine's settings from ``request``."""
    training, asked = recorded.training, request.training
    training = dataclasses.replace(training, device=asked.device, workers=asked.workers, cache_mb=asked.cache_mb)
    wanted, there = request.data, recorded.data
    data = dataclasses.replace(there, path=wanted.path or there.path, strict=wanted.strict or there.strict)
    return dataclasses.replace(recorded, training=training, data=data)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``{"a.b": value}`` for nested dictionaries; an empty one disappears."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
