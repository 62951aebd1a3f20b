"""After the last epoch: what the validation images decide, and the model folder."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from torch import nn

from dotcount.calibration import Calibration, CalibrationOptions, calibrate_model, choose_checkpoint
from dotcount.data import ResizeRule
from dotcount.data.digests import file_digest, packed
from dotcount.metadata import (
    Checkpoint,
    CountRange,
    InputRule,
    LossFacts,
    ModelMetadata,
    TrainingFacts,
    ValidationFacts,
)
from dotcount.models import io as model_io
from dotcount.points import FloatArray
from dotcount.selection import ImageSelection
from dotcount.training.card import model_card
from dotcount.training.folder import MODEL
from dotcount.training.loader import CountingData
from dotcount.training.resolve import Plan
from dotcount.training.scale import training_scale
from dotcount.training.state import RunState


def write_model(out: Path, model: nn.Module, data: CountingData, plan: Plan, state: RunState) -> ModelMetadata:
    """Calibrate the weights that were kept on the validation images, write ``out``/model, return its metadata."""
    training, peaks = plan.config.training, plan.config.peaks
    options = CalibrationOptions(
        magnify=tuple(training.try_magnify),
        mirror=training.try_mirror,
        scale="always" if training.calibrate == "always" else bool(training.calibrate),
        select=training.select,
        peak_method=peaks.method,
        peak_radius=peaks.radius,
    )
    calibration = calibrate_model(
        model,
        lambda factor: data.val_dataloader() if factor == 1 else data.magnified(factor),
        options,
        mean_count=plan.n_dots / len(plan.train),
        checkpoint_shift=checkpoint_shift(state, training.select),
        training_images=data.training_images,
        device=training.device,
    )
    metadata = describe(plan, state, int(model.stride), calibration)  # type: ignore[arg-type]
    model_io.save(model, out / MODEL, metadata, model_card(metadata))
    return metadata


def checkpoint_shift(state: RunState, select: Literal["mae", "rmse"]) -> FloatArray | None:
    """Return (n,) what each count would change by, had the checkpoint been chosen by the other images alone.

    Counts are those of the averaged weights in training. None if other images could be decoded in the end than when the
    checkpoint was kept.
    """
    counts = state.comparable_counts()
    if state.best["epoch"] not in counts:
        return None
    held_out = choose_checkpoint(list(counts.values()), state.true, select).held_out
    return held_out - counts[state.best["epoch"]]


def describe(plan: Plan, state: RunState, stride: int, calibration: Calibration) -> ModelMetadata:
    """Return what a prediction and a reader need to know of the model."""
    config, best = plan.config, state.best
    rule = ResizeRule.of(config.data)
    return ModelMetadata(
        model=config.model.name,
        stride=stride,
        options=dict(config.model.options),
        input=InputRule(
            rule if calibration.magnify == 1 else rule.magnified(calibration.magnify),
            plan.intensity,
            selection=ImageSelection.of(config.data),
        ),
        scale=training_scale(plan.train.records, config.data.pixel_size),
        mirror=calibration.mirror,
        peaks=calibration.peaks,
        count_scale=calibration.count_scale,
        interval=calibration.interval,
        familiarity=calibration.familiarity,
        training=training_facts(plan, state),
        validation=ValidationFacts(
            counting=calibration.counting,
            baseline_mae=calibration.baseline.baseline_mae,
            verdict=calibration.baseline.verdict,
            sentence=calibration.baseline.sentence(),
            selected_by=f"the last epoch whose validation {config.training.select} is not worse beyond chance than the "
            "best before it",
            checkpoint=Checkpoint(best["epoch"], best["step"], best["val_mae"], best["val_rmse"], best["val_bias"]),
            trials=calibration.trials,
        ),
        license=plan.train.license,
        citation=plan.train.citation,
        dotcount_version=version("dotcount"),
    )


def training_facts(plan: Plan, state: RunState) -> TrainingFacts:
    """Return what the model was trained on, and how."""
    config, training = plan.config, plan.config.training
    counts = np.array([record.count or 0 for record in plan.train.records])
    return TrainingFacts(
        data=plan.train.name,
        format=plan.train.format,
        images=len(plan.train),
        dots=plan.n_dots,
        validation_images=len(plan.validation),
        count=CountRange(int(counts.min()), float(np.median(counts)), int(counts.max())),
        crop=training.crop,
        epochs=state.done,
        steps=state.done * (training.steps_per_epoch or 0),
        minutes=round(state.elapsed / 60, 2),
        pretrained=config.model.pretrained is not False,
        seed=training.seed,
        loss=LossFacts.of(config.loss.name, config.loss.options),
        digests=packed(state.images.get(record.name) or file_digest(record.image) for record in plan.train.records),
    )
