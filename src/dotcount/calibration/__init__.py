"""What is fitted on held-out images: the choice among ways to count, count scale, peak threshold, intervals."""

from dotcount.calibration.choosing import Choice, choose_best
from dotcount.calibration.intervals import calibrate
from dotcount.calibration.scaling import CountScale, fit_count_scale
from dotcount.calibration.thresholds import ThresholdChoice, choose_threshold
from dotcount.metadata import CountInterval

__all__ = [
    "Choice",
    "CountInterval",
    "CountScale",
    "ThresholdChoice",
    "calibrate",
    "choose_best",
    "choose_threshold",
    "fit_count_scale",
]
