"""The parts of ``metrics.json`` that evaluation answers for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy.typing as npt

from dotcount.metrics.counting import counting_metrics
from dotcount.metrics.matching import GreedyResult, OptimalResult
from dotcount.metrics.subsets import Grouping, average, subset_metrics


def metrics_summary(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    *,
    groupings: Mapping[str, Grouping] | None = None,
    greedy: GreedyResult | None = None,
    optimal: Mapping[str, OptimalResult] | None = None,
    seed: int = 0,
) -> dict[str, object]:
    """Build the JSON-ready parts "images", "counting", "localization" and "subsets".

    Parameters
    ----------
    predicted, true
        (n,) counts.
    groupings
        Family -> grouping; subsets are named ``family/subset``, with ``family/Avg.`` for the mean over its subsets.
    greedy
        The paper's localisation; "localization" is ``None`` without it.
    optimal
        Results of the optimal matching by a name that tells sigma, for example ``{"sigma 8 px": result}``.
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
    return {"images": counting.n, "counting": counting.to_dict(), "localization": localization, "subsets": subsets}
