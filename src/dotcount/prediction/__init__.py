"""Counting with a trained model: one image or many."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotcount.prediction.predictor import Outcome, Predictor, load
    from dotcount.prediction.sinks import PredictionSink
    from dotcount.prediction.sources import Source, expand

# Imported on first use: a predictor needs torch, whose import takes seconds; listing files or writing tables does not.
_HOME = {
    "predictor": (
        "Outcome",
        "Predictor",
        "load",
    ),
    "sinks": ("PredictionSink",),
    "sources": (
        "Source",
        "expand",
    ),
}

__all__ = [
    "Outcome",
    "PredictionSink",
    "Predictor",
    "Source",
    "expand",
    "load",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"dotcount.prediction.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
