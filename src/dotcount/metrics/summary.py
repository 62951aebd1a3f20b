"""The scores of a set of images together: what ``metrics.json`` is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from dotcount.metadata import CountingMetrics
from dotcount.metrics.baseline import BaselineComparison, compare_with_constant
from dotcount.metrics.counting import counting_metrics
from dotcount.metrics.matching import GreedyResult, OptimalResult
from dotcount.metrics.subsets import Grouping, SubsetAverage, average, subset_metrics


@dataclass(frozen=True)
class ObjectRadiusResult:
    """The optimal matching within an object's radius; ``median_px`` is the median radius over the images.

    Examples
    --------
    >>> scorer = OptimalScorer()
    >>> scorer.update([[0.0, 0.0]], [[3.0, 0.0]], sigma=8.0)
    >>> ObjectRadiusResult(8.0, scorer.compute()).to_dict()["recall"]
    1.0
    """

    median_px: float
    matched: OptimalResult

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"median_px": self.median_px} | self.matched.to_dict()


@dataclass(frozen=True)
class Localization:
    """Located points against dots.

    Attributes
    ----------
    greedy
        The paper's matching, over distances.
    optimal
        The optimal matching by a name that tells the distance, for example ``sigma 8 px``.
    object_radius
        The optimal matching within an object's radius, see :func:`dotcount.metrics.object_radii`; None if not asked.

    Examples
    --------
    >>> scorer = GreedyScorer()
    >>> scorer.update([[0.0, 0.0]], [[3.0, 0.0]])
    >>> round(Localization(scorer.compute()).greedy.f, 2)
    0.98
    """

    greedy: GreedyResult
    optimal: Mapping[str, OptimalResult] = field(default_factory=dict)
    object_radius: ObjectRadiusResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        first, last = self.greedy.thresholds[[0, -1]]
        values = self.greedy.to_dict() | {
            "matching": f"greedy one-to-one, nearest first, mean over {self.greedy.thresholds.size} thresholds "
            f"from {first:g} to {last:g} px",
            "optimal": {name: result.to_dict() for name, result in self.optimal.items()},
        }
        return values if self.object_radius is None else values | {"object_radius": self.object_radius.to_dict()}


@dataclass(frozen=True)
class Scores:
    """Scores of a set of images.

    Attributes
    ----------
    counting
        Errors of the counts.
    baseline
        The counts against always answering one number.
    localization
        Located points; None if there are none to score.
    subsets
        Errors by part of the set, ``family/subset``; ``family/Avg.`` is the mean over a family. None: no image.

    Examples
    --------
    >>> metrics_summary([12, 8], [10, 10]).counting.mae
    2.0
    """

    counting: CountingMetrics
    baseline: BaselineComparison
    localization: Localization | None
    subsets: Mapping[str, CountingMetrics | SubsetAverage | None]

    @property
    def images(self) -> int:
        """Number of images that were scored."""
        return self.counting.n

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "images": self.images,
            "counting": self.counting.to_dict(),
            "baseline": self.baseline.to_dict(),
            "localization": None if self.localization is None else self.localization.to_dict(),
            "subsets": {name: {"n": 0} if score is None else score.to_dict() for name, score in self.subsets.items()},
        }


def metrics_summary(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    *,
    training_mean: float | None = None,
    groupings: Mapping[str, Grouping] | None = None,
    localization: Localization | None = None,
    seed: int = 0,
) -> Scores:
    """Score a set of images.

    Parameters
    ----------
    predicted, true
        (n,) counts.
    training_mean
        Mean count of the training images, see :func:`dotcount.metrics.compare_with_constant`.
    groupings
        Family -> grouping; subsets are named ``family/subset``, with ``family/Avg.`` for the mean over its subsets.
    localization
        Of the located points.
    seed
        Of the bootstrap intervals.

    Examples
    --------
    >>> metrics_summary([12, 8], [10, 10]).counting.mae
    2.0
    """
    subsets: dict[str, CountingMetrics | SubsetAverage | None] = {}
    for family, groups in (groupings or {}).items():
        scores = subset_metrics(predicted, true, groups, seed=seed)
        subsets |= {f"{family}/{name}": score for name, score in scores.items()}
        subsets[f"{family}/Avg."] = average(scores)
    return Scores(
        counting=counting_metrics(predicted, true, seed=seed),
        baseline=compare_with_constant(predicted, true, training_mean, seed=seed),
        localization=localization,
        subsets=subsets,
    )
