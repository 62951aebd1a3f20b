"""Counting with a trained model: one image, many, or a whole annotated set."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotcount.prediction.evaluation import Evaluation, Example, Row, evaluate, select_split
    from dotcount.prediction.locate import model_folder
    from dotcount.prediction.predictor import Outcome, Predictor, choose_device, load
    from dotcount.prediction.result import Prediction
    from dotcount.prediction.sinks import CsvSink, PredictionSink
    from dotcount.prediction.sources import Source, expand
    from dotcount.prediction.tiling import density_of

# Imported on first use: a predictor needs torch, whose import takes seconds; listing files or writing tables does not.
_HOME = {
    "evaluation": ("Evaluation", "Example", "Row", "evaluate", "select_split"),
    "predictor": ("Outcome", "Predictor", "choose_device", "load"),
    "locate": ("model_folder",),
    "result": ("Prediction",),
    "sinks": ("CsvSink", "PredictionSink"),
    "sources": ("Source", "expand"),
    "tiling": ("density_of",),
}

__all__ = [
    "CsvSink",
    "Evaluation",
    "Example",
    "Outcome",
    "Prediction",
    "PredictionSink",
    "Predictor",
    "Row",
    "Source",
    "choose_device",
    "density_of",
    "evaluate",
    "expand",
    "load",
    "model_folder",
    "select_split",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"dotcount.prediction.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
