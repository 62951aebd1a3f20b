"""After the last epoch: how to look at images, count scale, peaks, interval, all from validation; the model folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dotcount.calibration import Choice, CountScale, calibrate, choose_best, choose_threshold, fit_count_scale
from dotcount.config import PeaksConfig
from dotcount.data import Batch, ResizeRule
from dotcount.inference import DEFAULT_THRESHOLD
from dotcount.metrics import counting_metrics
from dotcount.models import io as model_io
from dotcount.points import FloatArray
from dotcount.training.card import model_card
from dotcount.training.folder import MODEL
from dotcount.training.loader import CountingData, to_device
from dotcount.training.module import count
from dotcount.training.resolve import Plan
from dotcount.training.state import RunState

PEAK_IMAGES = 50
"""Validation images that the peaks are chosen on; more change little, and matching takes long."""

RADII = (1, 2, 3, 4)
"""Radii of the peaks' windows, cells, among which one is chosen."""

INTERVAL_LEVEL = 0.9


@dataclass(frozen=True)
class Trial:
    """The validation images counted in one way.

    Attributes
    ----------
    magnify
        Size of the images as a multiple of that in training.
    mirror
        Whether their mirror images were counted as well.
    densities, dots
        Density (h, w), unless another trial is better, and dots (m, 2) of every image.
    fitted
        Scale of the counts, and the counts that leave-one-out scales give.
    """

    magnify: float
    mirror: bool
    densities: list[FloatArray]
    dots: list[FloatArray]
    fitted: CountScale

    @property
    def true(self) -> list[int]:
        """Return the number of dots of every image."""
        return [len(xy) for xy in self.dots]


def write_model(out: Path, model: nn.Module, data: CountingData, plan: Plan, state: RunState) -> dict[str, Any]:
    """Fit look, scale, peaks and interval to the best weights, write ``out``/model, return its metadata."""
    trials, choice = try_looks(model, data, plan)
    trial = trials[choice.best]
    held_out = np.clip(choice.held_out + trial.fitted.scale * epoch_shift(state, trial.true, plan), 0, None)
    fitted, stride = trial.fitted, int(model.stride)  # type: ignore[arg-type]
    peaks = choose_peaks([fitted.scale * density for density in trial.densities], trial.dots, stride, plan.config.peaks)
    rule = ResizeRule.of(plan.config.data)
    metadata = describe(plan, state, stride) | {
        "resize": (rule if trial.magnify == 1 else rule.magnified(trial.magnify)).to_dict(),
        "mirror": trial.mirror,
        "peaks": peaks,
        "count_scale": fitted.scale,
        "interval": calibrate(held_out, trial.true, level=INTERVAL_LEVEL).to_dict(),
        "metrics": {
            "validation": counting_metrics(held_out, trial.true).to_dict(),
            "baseline_mae": baseline_mae(plan, trial.true),
            "best": state.best,
            "looks": [_errors(one) for one in trials],
        },
    }
    model_io.save(model, out / MODEL, metadata, model_card(metadata))
    return metadata


def baseline_mae(plan: Plan, true: list[int]) -> float:
    """Return the MAE of always answering the mean count of the training images: what a model must be better than."""
    return float(np.abs(np.array(true) - plan.n_dots / len(plan.train)).mean())


def try_looks(model: nn.Module, data: CountingData, plan: Plan) -> tuple[list[Trial], Choice]:
    """Return the validation images counted at every magnification, then mirrored as well at the best; and the best.

    The first is at magnification 1 and without mirror. Only the best one keeps its densities, which may be large.
    """
    training, trials = plan.config.training, list[Trial]()

    def attempt(magnify: float, mirror: bool) -> Choice:
        trials.append(_trial(model, data, magnify, mirror, plan))
        choice = choose_best([one.fitted.held_out for one in trials], trials[0].true, training.select)
        for k, trial in enumerate(trials):
            if k != choice.best:
                trial.densities.clear()
        return choice

    choice = attempt(1.0, False)
    for factor in training.try_magnify:
        if factor != 1:
            choice = attempt(factor, False)
    if training.try_mirror:
        choice = attempt(trials[choice.best].magnify, True)
    return trials, choice


def epoch_shift(state: RunState, true: list[int], plan: Plan) -> FloatArray:
    """Return (n,) what each count would change by, had the epoch been chosen by the other images alone.

    Counts are those of the averaged weights in training; epochs in which other images could be decoded are left out.
    """
    counts = {epoch: row for epoch, row in state.counts.items() if len(row) == len(true)}
    best = counts.get(state.best["epoch"])
    if best is None:
        return np.zeros(len(true))
    return choose_best(list(counts.values()), true, plan.config.training.select).held_out - best


def _trial(model: nn.Module, data: CountingData, magnify: float, mirror: bool, plan: Plan) -> Trial:
    model.mirror = mirror  # type: ignore[assignment]
    training = plan.config.training
    batches = data.val_dataloader() if magnify == 1 else data.magnified(magnify)
    densities, dots, predicted = predict(model, batches, torch.device(training.device))
    model.mirror = False  # type: ignore[assignment]
    true = [len(xy) for xy in dots]
    fitted = CountScale(1.0, np.array(predicted))
    if training.calibrate:
        fitted = fit_count_scale(predicted, true, always=training.calibrate == "always")
    return Trial(magnify, mirror, densities, dots, fitted)


def _errors(trial: Trial) -> dict[str, Any]:
    found = counting_metrics(trial.fitted.held_out, trial.true)
    errors = {"mae": found.mae, "rmse": found.rmse, "bias": found.bias}
    return {"magnify": trial.magnify, "mirror": trial.mirror, **errors, "count_scale": trial.fitted.scale}


def predict(
    model: nn.Module, batches: Iterable[Batch | None], device: torch.device
) -> tuple[list[FloatArray], list[FloatArray], list[float]]:
    """Return the density (h, w), the dots (m, 2) and the predicted count of every validation image."""
    model = model.to(device).eval()
    densities, dots, counts = [], [], []
    with torch.inference_mode():
        for batch in batches:
            if batch is None:
                continue
            moved = to_device(batch, device)
            density = model(moved.images).float()
            counts += [float(c) for c in count(density, int(model.stride), batch.image_sizes)]  # type: ignore[arg-type]
            densities += [one[0].cpu().double().numpy() for one in density]
            dots += [xy.double().numpy() for xy in batch.points]
    model.cpu()
    return densities, dots, counts


def choose_peaks(
    densities: list[FloatArray], dots: list[FloatArray], stride: int, config: PeaksConfig
) -> dict[str, Any]:
    """Return method, radius and threshold of the peaks with the best F; of equally good radii the smallest.

    Where no validation image has a dot, threshold and radius are the defaults.
    """
    chosen = np.linspace(0, len(dots) - 1, min(len(dots), PEAK_IMAGES)).round().astype(int)
    radii = RADII if config.radius is None else (config.radius,)
    radius, threshold, best = radii[0], DEFAULT_THRESHOLD, 0.0
    if any(len(dots[i]) for i in chosen):
        maps, true = [densities[i] for i in chosen], [dots[i] for i in chosen]
        for candidate in radii:
            choice = choose_threshold(maps, true, stride, method=config.method, radius=candidate)
            if choice.f > best:
                radius, threshold, best = candidate, choice.threshold, choice.f
    return {"method": config.method, "radius": radius, "threshold": threshold}


def describe(plan: Plan, state: RunState, stride: int) -> dict[str, Any]:
    """Return what a prediction and a reader need to know of the model, besides what validation says."""
    config = plan.config
    counts = np.array([record.count or 0 for record in plan.train.records])
    return {
        "model": config.model.name,
        "options": dict(config.model.options),
        "stride": stride,
        "dotcount_version": version("dotcount"),
        "loss": config.loss.name,
        "loss_options": dict(config.loss.options),
        "length_scale": config.loss.options.get("length_scale"),
        "epsilon": config.loss.options.get("epsilon"),
        "trained_on": {
            "data": plan.train.name,
            "format": plan.train.format,
            "images": len(plan.train),
            "dots": plan.n_dots,
            "validation_images": len(plan.validation),
            "count": {
                "min": int(counts.min()),
                "median": float(np.median(counts)),
                "max": int(counts.max()),
            },
            "crop": config.training.crop,
            "epochs": state.done,
            "steps": state.done * (config.training.steps_per_epoch or 0),
            "minutes": round(state.elapsed / 60, 2),
            "pretrained": config.model.pretrained is not False,
            "seed": config.training.seed,
            "license": plan.train.license,
            "citation": plan.train.citation,
        },
        "selected_by": f"lowest validation {config.training.select} of the averaged weights; the earlier epoch on ties",
    }
