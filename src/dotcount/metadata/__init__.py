"""What travels with the weights of a model and is needed to use it; no torch here.

:class:`ModelMetadata` is written to ``config.json`` once and read once. Every name, type and range is checked as a
whole: a file that was altered or written by a newer version is refused, never half understood. Files of older versions
are brought to the present form first, see :mod:`dotcount.metadata.history`.
"""

from dotcount.metadata.facts import (
    AugmentationTrial,
    CalibrationFacts,
    Checkpoint,
    CountingMetrics,
    CountRange,
    LossFacts,
    TrainingFacts,
    ValidationFacts,
)
from dotcount.metadata.familiarity import Familiarity
from dotcount.metadata.interval import CountInterval, ScaledErrors
from dotcount.metadata.model import SCHEMA, ModelMetadata
from dotcount.metadata.settings import InputRule, PeakRule, ScaleRule

__all__ = [
    "SCHEMA",
    "AugmentationTrial",
    "CalibrationFacts",
    "Checkpoint",
    "CountInterval",
    "CountRange",
    "CountingMetrics",
    "Familiarity",
    "InputRule",
    "LossFacts",
    "ModelMetadata",
    "PeakRule",
    "ScaleRule",
    "ScaledErrors",
    "TrainingFacts",
    "ValidationFacts",
]
