"""What is fitted on held-out images: checkpoint, test-time augmentation, count scale, peaks, intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

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
    "choosing": ("Choice", "checkpoint_to_keep", "choose_best", "choose_checkpoint"),
    "intervals": ("calibrate",),
    "model": ("Calibration", "calibrate_model", "choose_peaks"),
    "scaling": ("CountScale", "fit_count_scale"),
    "thresholds": ("ThresholdChoice", "choose_threshold"),
    "trials": ("CalibrationOptions", "try_augmentations"),
    "dotcount.metadata": ("CountInterval",),
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

__getattr__ = lazy_names(__name__, _HOME)
