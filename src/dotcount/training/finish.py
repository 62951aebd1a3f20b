"""After the last epoch: count scale, peak threshold and interval from validation images, then the model folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dotcount.data import Batch, ResizeRule
from dotcount.evaluation import (
    DEFAULT_THRESHOLD,
    CountScale,
    calibrate,
    choose_threshold,
    counting_metrics,
    fit_count_scale,
)
from dotcount.models import io as model_io
from dotcount.points import FloatArray
from dotcount.training.card import model_card
from dotcount.training.folder import MODEL
from dotcount.training.loader import to_device
from dotcount.training.module import count
from dotcount.training.resolve import Plan
from dotcount.training.state import RunState

THRESHOLD_IMAGES = 100
"""Validation images that the peak threshold is chosen on; more change it little and matching them takes long."""

INTERVAL_LEVEL = 0.9


def write_model(
    out: Path, model: nn.Module, batches: Iterable[Batch | None], plan: Plan, state: RunState
) -> dict[str, Any]:
    """Fit scale, threshold and interval to the best weights in ``model``, write ``out``/model, return its metadata.

    Interval and errors are of the counts that leave-one-out scales give, so that no image is judged by itself.
    """
    densities, dots, predicted = predict(model, batches, torch.device(plan.config.training.device))
    true = [len(xy) for xy in dots]
    stride = int(model.stride)  # type: ignore[arg-type]
    fitted = (
        fit_count_scale(predicted, true) if plan.config.training.calibrate else CountScale(1.0, np.array(predicted))
    )
    peaks = dataclasses.asdict(plan.config.peaks)
    threshold = best_threshold([fitted.scale * density for density in densities], dots, stride, **peaks)
    metrics = counting_metrics(fitted.held_out, true).to_dict()
    metadata = describe(plan, state, stride) | {
        "peaks": {"threshold": threshold, **peaks},
        "count_scale": fitted.scale,
        "interval": calibrate(fitted.held_out, true, level=INTERVAL_LEVEL).to_dict(),
        "metrics": {"validation": metrics, "best": state.best},
    }
    model_io.save(model, out / MODEL, metadata, model_card(metadata))
    return metadata


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


def best_threshold(
    densities: list[FloatArray], dots: list[FloatArray], stride: int, method: str = "mass", radius: int = 1
) -> float:
    """Return the peak threshold with the best F; the default where no validation image has a dot."""
    chosen = np.linspace(0, len(dots) - 1, min(len(dots), THRESHOLD_IMAGES)).round().astype(int)
    if not any(len(dots[i]) for i in chosen):
        return DEFAULT_THRESHOLD
    maps, true = [densities[i] for i in chosen], [dots[i] for i in chosen]
    return choose_threshold(maps, true, stride, method=method, radius=radius).threshold


def describe(plan: Plan, state: RunState, stride: int) -> dict[str, Any]:
    """Return what a prediction and a reader need to know of the model, besides what validation says."""
    config = plan.config
    counts = np.array([record.count or 0 for record in plan.train.records])
    return {
        "model": config.model.name,
        "options": dict(config.model.options),
        "stride": stride,
        "resize": ResizeRule.of(config.data).to_dict(),
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
