"""A model against annotated images: results by image, scores, and what they say of the intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.evaluation.calibrating import calibrate_on
    from dotcount.evaluation.results import Evaluation, EvaluationMetrics, Example, IntervalCoverage, Row
    from dotcount.evaluation.scoring import evaluate, select_split

# Imported on first use: evaluating needs torch, whose import takes seconds.
_HOME = {
    "calibrating": ("calibrate_on",),
    "results": ("Evaluation", "EvaluationMetrics", "Example", "IntervalCoverage", "Row"),
    "scoring": ("evaluate", "select_split"),
}

__all__ = [
    "Evaluation",
    "EvaluationMetrics",
    "Example",
    "IntervalCoverage",
    "Row",
    "calibrate_on",
    "evaluate",
    "select_split",
]

__getattr__ = lazy_names(__name__, _HOME)
