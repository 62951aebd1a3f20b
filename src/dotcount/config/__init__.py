"""The typed configuration of a run: what ``dotcount train`` resolves and records in ``config.yaml``; no torch here."""

from __future__ import annotations

from dotcount.config.schema import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    PeaksConfig,
    RunConfig,
    ScheduleConfig,
    TrainingConfig,
)
from dotcount.config.sources import from_dict, load, read_tree, save_yaml, to_dict

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PeaksConfig",
    "RunConfig",
    "ScheduleConfig",
    "TrainingConfig",
    "from_dict",
    "load",
    "read_tree",
    "save_yaml",
    "to_dict",
]
