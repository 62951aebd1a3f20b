"""``train``: from a configuration to a run folder with a model and a report in it."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dotcount import losses, models
from dotcount.config import ModelConfig, RunConfig
from dotcount.errors import UsageError
from dotcount.folders import locked
from dotcount.metadata import ValidationFacts
from dotcount.training.budget import fit_epoch, overrun
from dotcount.training.errors import ResumeError
from dotcount.training.fingerprint import changes, image_digests
from dotcount.training.finish import write_model
from dotcount.training.fitting import fit
from dotcount.training.folder import (
    CHECKPOINT,
    REPORT,
    check_recorded,
    check_request,
    holds_model,
    holds_run,
    make_folder,
    merge_request,
    read_checkpoint,
    read_config,
    record,
    require_new,
)
from dotcount.training.listener import Listener
from dotcount.training.loader import CountingData
from dotcount.training.measure import measure_pace
from dotcount.training.module import CountingModule
from dotcount.training.process import seed_all, unchanged_process
from dotcount.training.recorder import Recorder, write_metrics
from dotcount.training.resolve import Plan, make_plan
from dotcount.training.run_report import numbers, write_run_report
from dotcount.training.state import RunState


@dataclass(frozen=True)
class TrainResult:
    """What a finished run came to.

    Attributes
    ----------
    run
        The folder; ``run / "model"`` loads with :func:`dotcount.load`, ``run / "report.html"`` is for a browser.
    best
        The row of metrics.csv of the epoch whose weights were kept.
    epochs
        Epochs trained.
    seconds
        Time spent on training, over all sessions.
    validation
        What the validation images say of the finished model, each judged by choices that the others made; this, like
        :attr:`plan`, is ``None`` where the run had been finished before.
    plan
        What the run worked on.
    history
        The numbers of every row of metrics.csv.

    Examples
    --------
    >>> from pathlib import Path
    >>> result = TrainResult(Path("run"), {"epoch": 3, "val_mae": 2.5}, epochs=5, seconds=60.0)
    >>> result.best["val_mae"]
    2.5
    """

    run: Path
    best: dict[str, Any]
    epochs: int
    seconds: float
    validation: ValidationFacts | None = field(default=None, compare=False)
    plan: Plan | None = field(default=None, compare=False, repr=False)
    history: tuple[dict[str, float], ...] = field(default=(), compare=False, repr=False)


def train(config: RunConfig, out: str | Path, *, resume: bool = False, listener: Listener | None = None) -> TrainResult:
    """Train a model and write it, with everything about the run, to ``out``.

    ``out`` holds config.yaml (resolved: it can be trained again), metrics.csv (a row per epoch), last.ckpt (what
    ``resume`` continues from) and, at the end, model/ and report.html. A run that was killed at any moment and resumed
    ends, on a CPU, with the same numbers as one that was not. Nothing of the process is changed: random numbers,
    threads, signal handlers and the environment are afterwards what they were.

    Parameters
    ----------
    config
        The request; absent and ``auto`` settings are fitted to the data and the machine.
    out
        The run's folder; made if missing.
    resume
        Continue the run in ``out``, exactly.
    listener
        Hears of the run's progress; without one, nothing is reported.

    Raises
    ------
    ResumeError
        If ``out`` already holds a run and ``resume`` is not set, or holds none and it is, or the configuration or the
        data have changed.
    DataError, UsageError
        If the data can't be used or don't fit the configuration.
    TrainingError
        If the loss, a density or a gradient is not finite.
    OutputError
        If ``out`` can't be written to, or another process trains there.

    Examples
    --------
    >>> from dotcount import config
    >>> from dotcount.data.synthetic import write_dataset
    >>> _ = write_dataset("data", train=4, val=2, test=0, size=64)
    >>> settings = ["model.name=compact", "model.options.width=4", "training.epochs=1", "training.steps_per_epoch=1"]
    >>> request = config.load(overrides=settings, data__path="data", training__batch_size=2)
    >>> result = train(request, "run")
    >>> result.epochs, result.validation.counting.n
    (1, 2)
    >>> (result.run / "model" / "model.safetensors").exists()
    True
    """
    run = _Run(Path(out), listener or Listener())
    with unchanged_process(), contextlib.ExitStack() as stack:
        if resume:
            if not holds_run(run.out):
                raise ResumeError(f"{out} holds no run to resume; leave resume out to start one there")
            stack.enter_context(locked(run.out, "training"))
            return run.resumed(config)
        require_new(run.out)
        plan = make_plan(config)
        module, data = run.built(plan)
        make_folder(run.out)
        stack.enter_context(locked(run.out, "training"))
        require_new(run.out)
        return run.new(plan, module, data, asked=config)


class _Run:
    """One session of a run."""

    def __init__(self, out: Path, listener: Listener) -> None:
        self.out, self.listener = out, listener
        self.started = time.monotonic()
        self.state = RunState()
        self.checkpoint: dict[str, Any] | None = None

    def new(self, plan: Plan, module: CountingModule, data: CountingData, asked: RunConfig) -> TrainResult:
        """Carry out a plan from its beginning."""
        state = self.state
        state.fingerprint = plan.fingerprint()
        state.images = image_digests([*plan.train.records, *plan.validation.records])
        state.budget_minutes = plan.config.training.max_minutes
        state.epochs = plan.config.training.epochs
        state.cooldown_epochs = plan.config.schedule.cooldown_epochs or 0
        if state.budget_minutes is not None and asked.training.steps_per_epoch is None:
            plan = self.fitted_to_budget(plan, module, data, asked.training.validate_every)
        record(plan.config, state, self.out)
        return self.carried_out(plan, module, data)

    def resumed(self, config: RunConfig) -> TrainResult:
        """Go on with the run in the folder, or finish what is left of it."""
        out, state = self.out, self.state
        recorded = read_config(out)
        self.checkpoint = read_checkpoint(out)
        state.load(self.checkpoint["run"] if self.checkpoint else {})
        check_recorded(recorded, state, out)
        check_request(config, recorded, state.budget_minutes, out)
        if holds_model(out) and (out / REPORT).exists():
            self.listener.noted(f"{out}: already finished after {state.done} epochs; nothing to do")
            return self.result(None)
        config = merge_request(config, recorded)
        plan = make_plan(config)
        if self.checkpoint is None:
            return self.new(plan, *self.built(plan), asked=config)
        self.require_same_data(plan)
        write_metrics(out, state.history)  # the session before may have been killed before it could
        if holds_model(out):
            return self.reported(plan)
        module, data = self.built(plan)
        record(plan.config, state, out)
        return self.carried_out(plan, module, data)

    def require_same_data(self, plan: Plan) -> None:
        """Raise an error if images or dots are not those that the run began with."""
        state, path = self.state, plan.config.data.path
        found = changes(state.images, image_digests([*plan.train.records, *plan.validation.records]))
        if state.images and found:
            raise ResumeError(f"{path}: images have changed since {self.out} was begun: {found}; start a new run")
        if state.fingerprint != plan.fingerprint():
            raise ResumeError(f"{path}: images or dots have changed since {self.out} was begun; start a new run")

    def built(self, plan: Plan) -> tuple[CountingModule, CountingData]:
        """Tell what is planned, and build what is trained and what it is trained on."""
        self.listener.planned(plan)
        seed_all(plan.config.training.seed)
        return build_module(plan, self.state), CountingData(plan, self.state, self.listener.warned)

    def fitted_to_budget(
        self, plan: Plan, module: CountingModule, data: CountingData, validate_every: int | None
    ) -> Plan:
        """Return the plan with epochs of a length that suits its time budget."""
        budget = 60 * (self.state.budget_minutes or 0)
        pace = measure_pace(module, data, budget)
        late = overrun(pace, budget, plan.validation.n_dots, plan.config.training)
        if late is not None:
            self.listener.warned(late)
        steps, every = fit_epoch(pace, budget, plan.config.training.steps_per_epoch or 1)
        training = dataclasses.replace(
            plan.config.training, steps_per_epoch=steps, validate_every=validate_every or every
        )
        plan = dataclasses.replace(plan, config=dataclasses.replace(plan.config, training=training))
        module.config, data.plan = plan.config, plan
        return plan

    def carried_out(self, plan: Plan, module: CountingModule, data: CountingData) -> TrainResult:
        """Train what is left, then write the model and the report."""
        state = self.state
        if not state.complete:
            weights = self.checkpoint["best_weights"] if self.checkpoint else {}
            recorder = Recorder(self.out, state, weights, self.started, plan.validation.n_dots)
            fit(plan, module, data, recorder, self.out / CHECKPOINT if self.checkpoint else None, self.listener)
            self.checkpoint = read_checkpoint(self.out)
            assert self.checkpoint is not None, "the recorder writes a checkpoint at the end of every epoch"
            state.load(self.checkpoint["run"])
            record(plan.config, state, self.out)
        assert self.checkpoint is not None, "a complete run has a checkpoint"
        module.model.load_state_dict(self.checkpoint["best_weights"])
        write_model(self.out, module.model, data, plan, state)
        return self.reported(plan)

    def reported(self, plan: Plan) -> TrainResult:
        """Write the report on the validation images, the last thing a run does."""
        found = write_run_report(self.out, plan, self.state, self.listener).validation
        if found is not None and found.caution:
            self.listener.warned(f"{found.caution} Train for longer, or look for faults in the dots.")
        return dataclasses.replace(self.result(plan), validation=found)

    def result(self, plan: Plan | None) -> TrainResult:
        """Return what the run came to."""
        state = self.state
        history = tuple(numbers(row) for row in state.history)
        return TrainResult(self.out, dict(state.best), state.done, state.elapsed, plan=plan, history=history)


def freeze(model: nn.Module, config: ModelConfig) -> None:
    """Freeze the encoder's levels that the configuration names; only weights that were loaded are worth keeping."""
    if not isinstance(model, models.DensityNetwork):
        raise UsageError(f"model {config.name!r} has no levels to freeze; leave model.frozen_levels out")
    if config.pretrained is False:
        raise UsageError("model.frozen_levels keeps pretrained weights as they are; set model.pretrained as well")
    model.freeze(config.frozen_levels)


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
    if config.model.frozen_levels:
        freeze(model, config.model)
    model = model.to(memory_format=torch.channels_last)  # convolutions follow; never slower, twice as fast with lite0
    options = dict(config.loss.options)
    if "n_dots" in inspect.signature(losses.LOSSES.get(config.loss.name)).parameters:
        options["n_dots"] = plan.n_dots
    return CountingModule(model, losses.create(config.loss.name, **options), config, state)
