"""The report that a run leaves: how training went, and the validation images with the weights that were kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotcount.config import to_dict
from dotcount.evaluation import evaluate
from dotcount.inference import ImageCounter
from dotcount.metadata import ModelMetadata
from dotcount.models import io as model_io
from dotcount.report import Report, write_report
from dotcount.training.folder import MODEL, REPORT
from dotcount.training.listener import Listener
from dotcount.training.resolve import Plan
from dotcount.training.state import RunState


def write_run_report(out: Path, plan: Plan, state: RunState, listener: Listener) -> ModelMetadata:
    """Count the validation images with the model as it was saved, write ``out``/report.html, return its metadata."""
    config = plan.config
    model, metadata = model_io.load(out / MODEL)
    counter = ImageCounter(model, metadata, device=config.training.device)
    result = evaluate(
        counter,
        plan.validation,
        None,
        progress=lambda done, total: listener.advanced("validating", done, total),
        seed=config.training.seed,
    )
    write_report(
        out / REPORT,
        Report(
            title=f"Training run {out.resolve().name}",
            subtitle=f"{config.model.name} with {config.loss.name} on {plan.train.name}: {plan.note}",
            evaluation=result,
            history=[numbers(row) for row in state.history],
            metadata=metadata,
            config=to_dict(config),
            notes=[
                f"The numbers below are from the {result.metrics.images} validation images on which the weights "
                "were chosen; expect somewhat larger errors on new ones. Score test images with dotcount evaluate."
            ],
        ),
    )
    return metadata


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row of metrics.csv; what an epoch lacks is left out."""
    return {name: float(value) for name, value in row.items() if value is not None and math.isfinite(value)}
