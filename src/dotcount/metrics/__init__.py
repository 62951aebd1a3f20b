"""Scores of counts and of points: errors, subsets, localisation, and their uncertainty."""

from dotcount.metrics.baseline import BaselineComparison, compare_with_constant, constant_baseline
from dotcount.metrics.bootstrap import (
    PairedComparison,
    bootstrap_mean,
    compare_errors,
    compare_paired,
    sign_flip_p_value,
)
from dotcount.metrics.counting import CountingMetrics, count_errors, counting_metrics, game
from dotcount.metrics.matching import (
    THRESHOLDS,
    GreedyResult,
    GreedyScorer,
    OptimalResult,
    OptimalScorer,
    greedy_match,
    object_radii,
    optimal_match,
    sigma_from_boxes,
)
from dotcount.metrics.subsets import (
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
from dotcount.metrics.summary import metrics_summary

__all__ = [
    "COUNT_BINS",
    "LUMINANCE_BINS",
    "THRESHOLDS",
    "BaselineComparison",
    "Bin",
    "CountingMetrics",
    "GreedyResult",
    "GreedyScorer",
    "OptimalResult",
    "OptimalScorer",
    "PairedComparison",
    "average",
    "bootstrap_mean",
    "by_count",
    "by_count_quantile",
    "by_label",
    "by_luminance",
    "compare_errors",
    "compare_paired",
    "compare_with_constant",
    "constant_baseline",
    "count_errors",
    "counting_metrics",
    "game",
    "greedy_match",
    "mean_luminance",
    "metrics_summary",
    "object_radii",
    "optimal_match",
    "sigma_from_boxes",
    "sign_flip_p_value",
    "subset_metrics",
]
