"""Scores on parts of a test set: count bins, labels, luminance, count quantiles.

A grouping is a mapping from a subset's name to an (n,) mask over the images. Subsets may overlap and need not cover all
images; "Avg." is the plain mean of the subsets' scores, as NWPU-Crowd reports it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError
from dotcount.metrics._check import as_counts, as_pair
from dotcount.metrics.counting import CountingMetrics, counting_metrics
from dotcount.points import BoolArray
from dotcount.registry import did_you_mean

Grouping = Mapping[str, BoolArray]


@dataclass(frozen=True)
class Bin:
    """Values in ``[low, high]``; without its lower end when ``open_low``.

    Examples
    --------
    >>> import numpy as np
    >>> Bin("Medium", 51, 500).mask(np.array([20.0, 51.0, 900.0])).tolist()
    [False, True, False]
    """

    name: str
    low: float
    high: float
    open_low: bool = False

    def mask(self, values: npt.NDArray[np.float64]) -> BoolArray:
        """Return (n,) whether each value lies in the bin."""
        return (values > self.low if self.open_low else values >= self.low) & (values <= self.high)


COUNT_BINS: dict[str, tuple[Bin, ...]] = {
    # JHU-CROWD++ (Sindagi et al. 2020): 0-50, 51-500, more than 500 heads.
    "jhu": (Bin("Low", 0, 50), Bin("Medium", 51, 500), Bin("High", 501, math.inf)),
    # NWPU-Crowd (Wang et al. 2020), scene level S0-S4.
    "nwpu": (
        Bin("S0", 0, 0),
        Bin("S1", 1, 100),
        Bin("S2", 101, 500),
        Bin("S3", 501, 5000),
        Bin("S4", 5001, math.inf),
    ),
}
# NWPU-Crowd, mean luminance of an image (Y of YUV, 0 to 1); the benchmark has no subset above 0.75.
LUMINANCE_BINS = (Bin("L0", 0, 0.25), Bin("L1", 0.25, 0.5, open_low=True), Bin("L2", 0.5, 0.75, open_low=True))


def by_count(true: npt.ArrayLike, bins: str | Sequence[Bin]) -> Grouping:
    """Group images by true count, with the bins of a benchmark ("jhu", "nwpu") or your own.

    Examples
    --------
    >>> {name: mask.tolist() for name, mask in by_count([12, 60, 700], "jhu").items()}
    {'Low': [True, False, False], 'Medium': [False, True, False], 'High': [False, False, True]}
    """
    counts = as_counts(true, "true")
    if isinstance(bins, str):
        if bins not in COUNT_BINS:
            raise InputError(f"unknown count bins {bins!r}.{did_you_mean(bins, COUNT_BINS)} Known: {list(COUNT_BINS)}")
        bins = COUNT_BINS[bins]
    return {b.name: b.mask(counts) for b in bins}


def by_count_quantile(true: npt.ArrayLike, parts: int = 4) -> Grouping:
    """Group images into ``parts`` groups of about equal size by true count; equal counts stay together.

    Names tell the range, for example ``Q1 9-45``. With many equal counts there may be fewer groups.

    Examples
    --------
    >>> list(by_count_quantile([3, 8, 20, 70], parts=2))
    ['Q1 3-8', 'Q2 20-70']
    """
    counts = as_counts(true, "true")
    if parts < 1:
        raise InputError(f"parts must be at least 1; got {parts}")
    if not counts.size:
        return {}
    inner = np.unique(np.quantile(counts, np.arange(1, parts) / parts, method="inverted_cdf"))
    codes = np.searchsorted(inner, counts, side="left")
    groups: dict[str, BoolArray] = {}
    for number, code in enumerate(np.unique(codes), start=1):
        mask = codes == code
        groups[f"Q{number} {counts[mask].min():g}-{counts[mask].max():g}"] = mask
    return groups


def by_label(labels: Sequence[str | None]) -> Grouping:
    """Group images by a label each; images labelled ``None`` are in no group.

    Examples
    --------
    >>> by_label(["rain", None, "sun"])["rain"].tolist()
    [True, False, False]
    """
    names = sorted({label for label in labels if label is not None})
    return {name: np.array([label == name for label in labels], dtype=bool) for name in names}


def by_luminance(luminance: npt.ArrayLike, bins: Sequence[Bin] = LUMINANCE_BINS) -> Grouping:
    """Group images by mean luminance (n,) in [0, 1], as :func:`mean_luminance` gives it.

    Examples
    --------
    >>> by_luminance([0.1, 0.4])["L0"].tolist()
    [True, False]
    """
    values = as_counts(luminance, "luminance")
    return {b.name: b.mask(values) for b in bins}


def mean_luminance(image: npt.ArrayLike) -> float:
    """Return the mean of ``Y = 0.299 R + 0.587 G + 0.114 B`` of an (H, W, 3) image in [0, 1] (ITU-R BT.601).

    Examples
    --------
    >>> import numpy as np
    >>> round(mean_luminance(np.full((2, 3, 3), 0.25)), 6)
    0.25
    """
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(f"image must have shape (H, W, 3) with values in [0, 1]; got {pixels.shape}")
    return float(pixels.reshape(-1, 3).mean(axis=0, dtype=np.float64) @ (0.299, 0.587, 0.114))


def subset_metrics(
    predicted: npt.ArrayLike, true: npt.ArrayLike, groups: Grouping, *, seed: int = 0
) -> dict[str, CountingMetrics | None]:
    """Score every subset of a grouping; a subset without images maps to ``None``.

    Parameters
    ----------
    predicted, true
        (n,) counts.
    groups
        Subset name -> (n,) mask.

    Examples
    --------
    >>> scores = subset_metrics([10, 21, 33], [10, 20, 30], by_label(["rain", "sun", "sun"]))
    >>> scores["rain"].mae, scores["sun"].mae
    (0.0, 2.0)
    """
    guess, truth = as_pair(predicted, true)
    scores: dict[str, CountingMetrics | None] = {}
    for name, mask in groups.items():
        chosen = np.asarray(mask)
        if chosen.shape != truth.shape or chosen.dtype != bool:
            raise InputError(f"subset {name!r} must be a boolean mask over {truth.size} images; got {chosen.shape}")
        scores[name] = counting_metrics(guess[chosen], truth[chosen], seed=seed) if chosen.any() else None
    return scores


@dataclass(frozen=True)
class SubsetAverage:
    """Means of the errors over subsets, each with the same weight; None where no subset has one.

    Examples
    --------
    >>> SubsetAverage(mae=1.0, rmse=1.5, nae=None).to_dict()
    {'mae': 1.0, 'rmse': 1.5, 'nae': None}
    """

    mae: float | None
    rmse: float | None
    nae: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Return plain values for JSON."""
        return {"mae": self.mae, "rmse": self.rmse, "nae": self.nae}


def average(scores: Mapping[str, CountingMetrics | None]) -> SubsetAverage:
    """Return "Avg.": the mean of mae, rmse and nae over the subsets that have them.

    Examples
    --------
    >>> average(subset_metrics([10, 21, 33], [10, 20, 30], by_label(["rain", "sun", "sun"]))).mae
    1.0
    """
    present = [score for score in scores.values() if score is not None]

    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return SubsetAverage(mean(s.mae for s in present), mean(s.rmse for s in present), mean(s.nae for s in present))
