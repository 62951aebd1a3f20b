"""The parts of ``metrics.json`` that evaluation answers for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy.typing as npt

from dotcount.metrics.baseline import compare_with_constant
from dotcount.metrics.counting import counting_metrics
from dotcount.metrics.matching import GreedyResult, OptimalResult
from dotcount.metrics.subsets import Grouping, average, subset_metrics


def metrics_summary(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    *,
    training_mean: float | None = None,
    groupings: Mapping[str, Grouping] | None = None,
    greedy: GreedyResult | None = None,
    optimal: Mapping[str, OptimalResult] | None = None,
    object_radius: tuple[float, OptimalResult] | None = None,
    seed: int = 0,
) -> dict[str, object]:
    """Build the JSON-ready parts "images", "counting", "baseline", "localization" and "subsets".

    Parameters
    ----------
    predicted, true
        (n,) counts.
    training_mean
        Mean count of the training images, see :func:`dotcount.metrics.compare_with_constant`.
    groupings
        Family -> grouping; subsets are named ``family/subset``, with ``family/Avg.`` for the mean over its subsets.
    greedy
        The paper's localisation; "localization" is ``None`` without it.
    optimal
        Results of the optimal matching by a name that tells sigma, for example ``{"sigma 8 px": result}``.
    object_radius
        Median radius of an object, px, see :func:`dotcount.metrics.object_radii`, and the optimal matching within the
        radii of the images.
    seed
        Of the bootstrap intervals.
    """
    counting = counting_metrics(predicted, true, seed=seed)
    subsets: dict[str, object] = {}
    for family, groups in (groupings or {}).items():
        scores = subset_metrics(predicted, true, groups, seed=seed)
        for name, score in scores.items():
            subsets[f"{family}/{name}"] = {"n": 0} if score is None else score.to_dict()
        subsets[f"{family}/Avg."] = average(scores)
    localization: dict[str, object] | None = None
    if greedy is not None:
        first, last = greedy.thresholds[[0, -1]]
        localization = greedy.to_dict() | {
            "matching": f"greedy one-to-one, nearest first, mean over {greedy.thresholds.size} thresholds "
            f"from {first:g} to {last:g} px",
            "optimal": {name: result.to_dict() for name, result in (optimal or {}).items()},
        }
        if object_radius is not None:
            localization["object_radius"] = {"median_px": object_radius[0]} | object_radius[1].to_dict()
    return {
        "images": counting.n,
        "counting": counting.to_dict(),
        "baseline": compare_with_constant(predicted, true, training_mean, seed=seed).to_dict(),
        "localization": localization,
        "subsets": subsets,
    }
