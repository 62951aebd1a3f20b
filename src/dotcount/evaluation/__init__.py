"""A model against annotated images: results by image, scores, and what they say of the intervals."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotcount.evaluation.results import Evaluation, EvaluationMetrics, Example, IntervalCoverage, Row
    from dotcount.evaluation.scoring import evaluate, select_split

# Imported on first use: evaluating needs torch, whose import takes seconds.
_HOME = {
    "results": ("Evaluation", "EvaluationMetrics", "Example", "IntervalCoverage", "Row"),
    "scoring": ("evaluate", "select_split"),
}

__all__ = [
    "Evaluation",
    "EvaluationMetrics",
    "Example",
    "IntervalCoverage",
    "Row",
    "evaluate",
    "select_split",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"dotcount.evaluation.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
