"""What is fitted on held-out images: checkpoint, test-time augmentation, count scale, peaks, intervals."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotcount.calibration.choosing import Choice, checkpoint_to_keep, choose_best, choose_checkpoint
    from dotcount.calibration.intervals import calibrate
    from dotcount.calibration.model import Calibration, calibrate_model, choose_peaks
    from dotcount.calibration.scaling import CountScale, fit_count_scale
    from dotcount.calibration.thresholds import ThresholdChoice, choose_threshold
    from dotcount.calibration.trials import CalibrationOptions, try_augmentations
    from dotcount.metadata import CountInterval

# Imported on first use: counting images needs torch, whose import takes seconds; fitting numbers needs none.
_HOME = {
    "calibration.choosing": ("Choice", "checkpoint_to_keep", "choose_best", "choose_checkpoint"),
    "calibration.intervals": ("calibrate",),
    "calibration.model": ("Calibration", "calibrate_model", "choose_peaks"),
    "calibration.scaling": ("CountScale", "fit_count_scale"),
    "calibration.thresholds": ("ThresholdChoice", "choose_threshold"),
    "calibration.trials": ("CalibrationOptions", "try_augmentations"),
    "metadata": ("CountInterval",),
}

__all__ = [
    "Calibration",
    "CalibrationOptions",
    "Choice",
    "CountInterval",
    "CountScale",
    "ThresholdChoice",
    "calibrate",
    "calibrate_model",
    "checkpoint_to_keep",
    "choose_best",
    "choose_checkpoint",
    "choose_peaks",
    "choose_threshold",
    "fit_count_scale",
    "try_augmentations",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"dotcount.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
