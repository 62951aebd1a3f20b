"""Scores of counts and of points: errors, subsets, localisation, and their uncertainty."""

from dotcount.evaluation.choosing import Choice, choose_best
from dotcount.evaluation.counting import CountingMetrics, counting_metrics, game
from dotcount.evaluation.intervals import (
    CountInterval,
    PairedComparison,
    bootstrap_mean,
    calibrate,
    compare_errors,
    compare_paired,
    sign_flip_p_value,
)
from dotcount.evaluation.matching import (
    THRESHOLDS,
    GreedyResult,
    GreedyScorer,
    OptimalResult,
    OptimalScorer,
    greedy_match,
    optimal_match,
    sigma_from_boxes,
)
from dotcount.evaluation.peaks import DEFAULT_THRESHOLD, ThresholdChoice, choose_threshold, find_peaks
from dotcount.evaluation.scaling import CountScale, fit_count_scale
from dotcount.evaluation.subsets import (
    COUNT_BINS,
    LUMINANCE_BINS,
    Bin,
    average,
    by_count,
    by_count_quantile,
    by_label,
    by_luminance,
    mean_luminance,
    subset_metrics,
)
from dotcount.evaluation.summary import metrics_summary

__all__ = [
    "COUNT_BINS",
    "DEFAULT_THRESHOLD",
    "LUMINANCE_BINS",
    "THRESHOLDS",
    "Bin",
    "Choice",
    "CountInterval",
    "CountScale",
    "CountingMetrics",
    "GreedyResult",
    "GreedyScorer",
    "OptimalResult",
    "OptimalScorer",
    "PairedComparison",
    "ThresholdChoice",
    "average",
    "bootstrap_mean",
    "by_count",
    "by_count_quantile",
    "by_label",
    "by_luminance",
    "calibrate",
    "choose_best",
    "choose_threshold",
    "compare_errors",
    "compare_paired",
    "counting_metrics",
    "find_peaks",
    "fit_count_scale",
    "game",
    "greedy_match",
    "mean_luminance",
    "metrics_summary",
    "optimal_match",
    "sigma_from_boxes",
    "sign_flip_p_value",
    "subset_metrics",
]
