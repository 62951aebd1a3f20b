"""``train``: from a configuration to a run folder with a model in it."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import logging
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy

from dotcount import config as configuration
from dotcount import losses, models
from dotcount.config import RunConfig
from dotcount.errors import UsageError
from dotcount.training.budget import fit_epoch
from dotcount.training.card import no_better_than_mean
from dotcount.training.errors import ResumeError
from dotcount.training.finish import write_model
from dotcount.training.folder import (
    CONFIG,
    check_request,
    holds_run,
    is_finished,
    make_folder,
    merge_request,
    read_checkpoint,
    read_config,
)
from dotcount.training.loader import CountingData
from dotcount.training.measure import measure_pace
from dotcount.training.module import CountingModule
from dotcount.training.progress import EpochBar, EpochLines, say
from dotcount.training.recorder import CHECKPOINT, Recorder, WholeCheckpointIO, write_metrics
from dotcount.training.resolve import Plan, make_plan
from dotcount.training.state import RunState

_PRECISION: dict[str, Literal["32-true", "16-mixed", "bf16-mixed"]] = {
    "32": "32-true",
    "16": "16-mixed",
    "bf16": "bf16-mixed",
}


@dataclass(frozen=True)
class TrainResult:
    """What a finished run came to.

    Attributes
    ----------
    run
        The folder; ``run / "model"`` loads with :func:`dotcount.load`.
    best
        The row of metrics.csv of the epoch whose weights were kept.
    epochs
        Epochs trained.
    seconds
        Time spent, over all sessions.
    """

    run: Path
    best: dict[str, Any]
    epochs: int
    seconds: float


def train(config: RunConfig, out: str | Path, *, resume: bool = False, progress: bool | None = None) -> TrainResult:
    """Train a model and write it, with everything about the run, to ``out``.

    ``out`` holds config.yaml (resolved: run it again with ``--config``), metrics.csv (a row per epoch), last.ckpt (what
    ``resume`` continues from) and, at the end, model/. A run that was killed at any moment and resumed ends, on a CPU,
    with the same numbers as one that was not.

    Parameters
    ----------
    config
        The request; absent and ``auto`` settings are fitted to the data and the machine.
    out
        The run's folder; made if missing.
    resume
        Continue the run in ``out``, exactly; start it if there is none.
    progress
        True: a bar; False: nothing; None: a bar on a terminal, one line per epoch elsewhere.

    Raises
    ------
    ResumeError
        If ``out`` already holds a run and ``resume`` is not set, or the configuration or the data have changed.
    DataError, UsageError
        If the data can't be used or don't fit the configuration.
    TrainingError
        If the loss, a density or a gradient is not finite.
    OutputError
        If ``out`` can't be written to.
    """
    started, out = time.monotonic(), Path(out)
    state, checkpoint = RunState(), None
    if holds_run(out, resume):
        recorded = read_config(out)
        checkpoint = read_checkpoint(out)
        state.load(checkpoint["run"] if checkpoint else {})
        check_request(config, recorded, state.budget_minutes, out)
        if is_finished(out):
            say(f"{out}: already finished after {state.done} epochs; nothing to do", progress)
            return _result(out, state)
        config = merge_request(config, recorded)
    elif resume:
        say(f"{out}: no run to resume; starting a new one", progress)
    with _quiet():
        plan, module, data = _prepare(config, out, state, checkpoint, progress)
        if checkpoint is not None:
            write_metrics(out, state.history)  # the session before may have been killed before it could
        if not state.complete:
            _fit(plan, module, data, out, started, checkpoint, progress)
            checkpoint = read_checkpoint(out)
            assert checkpoint is not None, "the recorder writes a checkpoint at the end of every epoch"
            state.load(checkpoint["run"])
            _record(plan.config, state, out)
        assert checkpoint is not None, "a complete run has a checkpoint"
        module.model.load_state_dict(checkpoint["best_weights"])
        metrics = write_model(out, module.model, data, plan, state)["metrics"]
    best = state.best
    say(f"{out / 'model'}: epoch {best['epoch']}, val MAE {best['val_mae']:.2f}, RMSE {best['val_rmse']:.2f}", progress)
    if no_better_than_mean(metrics):
        say(
            f"warning: this model counts no better (MAE {metrics['validation']['mae']:.3g}) than always answering the "
            f"mean count of the training images ({metrics['baseline_mae']:.3g}); train for longer, or look for faults "
            "in the dots with dotcount data check",
            progress,
        )
    return _result(out, state)


def _result(out: Path, state: RunState) -> TrainResult:
    return TrainResult(out, dict(state.best), state.done, state.elapsed)


def _prepare(
    config: RunConfig, out: Path, state: RunState, checkpoint: dict[str, Any] | None, progress: bool | None
) -> tuple[Plan, CountingModule, CountingData]:
    """Settle the configuration, record it, and build what is trained and what it is trained on."""
    asked_steps = config.training.steps_per_epoch
    plan = make_plan(config)
    if checkpoint is not None and state.fingerprint != plan.fingerprint():
        raise ResumeError(
            f"{plan.config.data.path}: images or dots have changed since {out} was begun; start a new run"
        )
    if checkpoint is None:
        state.fingerprint = plan.fingerprint()
        state.budget_minutes = plan.config.training.max_minutes
        state.epochs = plan.config.training.epochs
        state.cooldown_epochs = plan.config.schedule.cooldown_epochs or 0
    make_folder(out)
    say(f"{plan.note}; {len(plan.train)} to train on, {len(plan.validation)} to validate on", progress)
    pl.seed_everything(plan.config.training.seed, workers=True, verbose=False)
    module = build_module(plan, state)
    data = CountingData(plan, state)
    if state.budget_minutes is not None and asked_steps is None:
        pace = measure_pace(module, data, 60 * state.budget_minutes)
        steps = plan.config.training.steps_per_epoch or 1
        steps, every = fit_epoch(pace, 60 * state.budget_minutes, steps)
        training = dataclasses.replace(
            plan.config.training, steps_per_epoch=steps, validate_every=config.training.validate_every or every
        )
        plan = dataclasses.replace(plan, config=dataclasses.replace(plan.config, training=training))
        module.config, data.plan = plan.config, plan
    _record(plan.config, state, out)
    return plan, module, data


def build_module(plan: Plan, state: RunState) -> CountingModule:
    """Return the model, started at the mean density of the training images, with its loss."""
    config = plan.config
    model = models.create(config.model.name, **config.model.options)
    if hasattr(model, "initialize_density") and plan.n_dots:
        model.initialize_density(plan.dots_per_pixel() * int(model.stride) ** 2)  # type: ignore[operator, arg-type]
    if config.model.pretrained is not False:
        # After the density: weights of a whole model bring a better one along.
        if not isinstance(model, models.DensityNetwork):
            raise UsageError(f"model {config.model.name!r} takes no pretrained weights; leave model.pretrained out")
        model.load_pretrained(config.model.pretrained)
    model = model.to(memory_format=torch.channels_last)  # convolutions follow; never slower, twice as fast with lite0
    options = dict(config.loss.options)
    if "n_dots" in inspect.signature(losses.LOSSES.get(config.loss.name)).parameters:
        options["n_dots"] = plan.n_dots
    return CountingModule(model, losses.create(config.loss.name, **options), config, state)


def _record(config: RunConfig, state: RunState, out: Path) -> None:
    """Write config.yaml; once a budget has been fitted it holds the epochs, which repeat the run exactly."""
    if state.budget_minutes is not None and state.epochs is not None:
        training = dataclasses.replace(config.training, epochs=state.epochs, max_minutes=None)
        schedule = dataclasses.replace(config.schedule, cooldown_epochs=state.cooldown_epochs)
        config = dataclasses.replace(config, training=training, schedule=schedule)
    configuration.save_yaml(config, out / CONFIG)


def _fit(
    plan: Plan,
    module: CountingModule,
    data: CountingData,
    out: Path,
    started: float,
    checkpoint: dict[str, Any] | None,
    progress: bool | None,
) -> None:
    training, state = plan.config.training, module.state
    recorder = Recorder(out, state, checkpoint["best_weights"] if checkpoint else {}, started)
    bar = sys.stderr.isatty() if progress is None else progress
    shown: list[pl.Callback] = [EpochBar(state)] if bar else [EpochLines(state)] if progress is None else []
    trainer = pl.Trainer(
        accelerator="gpu" if training.device == "cuda" else training.device,
        devices=training.devices,
        # Processes are spawned by the trainer, not by running the user's script again. Each rank's loss keeps its own
        # potentials, so buffers are not broadcast; no model of ours has statistics in buffers.
        strategy=DDPStrategy(start_method="spawn", broadcast_buffers=False) if training.devices > 1 else "auto",
        precision=_PRECISION[training.precision],
        max_epochs=state.epochs or -1,
        callbacks=[recorder, *shown],
        plugins=[WholeCheckpointIO()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=out / CHECKPOINT if checkpoint else None, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, interrupt)  # Lightning turns Ctrl-C off and exits; the caller decides about that
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notices off the screen; what matters of them is said here or is an error."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
