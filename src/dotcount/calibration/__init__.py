"""What is fitted on held-out images: checkpoint, test-time augmentation, count scale, peaks, intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.calibration.choosing import Choice, checkpoint_to_keep, choose_best, choose_checkpoint
    from dotcount.calibration.familiarity import Looks, fit_familiarity, looks_of
    from dotcount.calibration.intervals import calibrate, conformal_rank, images_needed
    from dotcount.calibration.model import Calibration, calibrate_model, choose_peaks
    from dotcount.calibration.parts import part_residuals
    from dotcount.calibration.recalibrating import Recalibration, recalibrate
    from dotcount.calibration.scaling import CountScale, fit_count_scale
    from dotcount.calibration.sums import (
        CombinedCount,
        combined,
        interval_of_difference,
        interval_of_mean,
        interval_of_parts,
        interval_of_sum,
    )
    from dotcount.calibration.thresholds import ThresholdChoice, choose_threshold
    from dotcount.calibration.trials import CalibrationOptions, try_augmentations
    from dotcount.metadata import CountInterval

# Imported on first use: counting images needs torch, whose import takes seconds; fitting numbers needs none.
_HOME = {
    "choosing": ("Choice", "checkpoint_to_keep", "choose_best", "choose_checkpoint"),
    "familiarity": ("Looks", "fit_familiarity", "looks_of"),
    "intervals": ("calibrate", "conformal_rank", "images_needed"),
    "model": ("Calibration", "calibrate_model", "choose_peaks"),
    "parts": ("part_residuals",),
    "recalibrating": ("Recalibration", "recalibrate"),
    "scaling": ("CountScale", "fit_count_scale"),
    "sums": (
        "CombinedCount",
        "combined",
        "interval_of_difference",
        "interval_of_mean",
        "interval_of_parts",
        "interval_of_sum",
    ),
    "thresholds": ("ThresholdChoice", "choose_threshold"),
    "trials": ("CalibrationOptions", "try_augmentations"),
    "dotcount.metadata": ("CountInterval",),
}

__all__ = [
    "Calibration",
    "CalibrationOptions",
    "Choice",
    "CombinedCount",
    "CountInterval",
    "CountScale",
    "Looks",
    "Recalibration",
    "ThresholdChoice",
    "calibrate",
    "calibrate_model",
    "checkpoint_to_keep",
    "choose_best",
    "choose_checkpoint",
    "choose_peaks",
    "choose_threshold",
    "combined",
    "conformal_rank",
    "fit_count_scale",
    "fit_familiarity",
    "images_needed",
    "interval_of_difference",
    "interval_of_mean",
    "interval_of_parts",
    "interval_of_sum",
    "looks_of",
    "part_residuals",
    "recalibrate",
    "try_augmentations",
]

__getattr__ = lazy_names(__name__, _HOME)
