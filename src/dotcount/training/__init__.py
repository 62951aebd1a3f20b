"""Training through Lightning: from a configuration to a run folder with a model in it."""

from __future__ import annotations

from dotcount.training.errors import ResumeError, TrainingError
from dotcount.training.train import TrainResult, train

__all__ = ["ResumeError", "TrainResult", "TrainingError", "train"]
