"""Training through Lightning: from a configuration to a run folder with a model in it."""

from __future__ import annotations

from dotcount.training.errors import ResumeError, TrainingError
from dotcount.training.folder import holds_run
from dotcount.training.listener import Listener
from dotcount.training.resolve import Plan
from dotcount.training.train import TrainResult, train

__all__ = ["Listener", "Plan", "ResumeError", "TrainResult", "TrainingError", "holds_run", "train"]
