"""Counts, spacings and sizes of a collection, and the settings that they suggest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dotcount.data.checks.dots import border_share
from dotcount.data.records import Collection
from dotcount.data.resizing import crop_for
from dotcount.points import nearest_distances


@dataclass(frozen=True)
class Statistics:
    """Figures of the annotated images.

    ``spacing`` holds the 10th, 50th and 90th percentile of the distance to the nearest other dot, px; ``None`` where no
    image has two dots; ``crop`` is the side of training crops that suits the sizes, px.
    """

    images: int
    dots: int
    empty: int
    count_min: int
    count_median: float
    count_mean: float
    count_max: int
    width: tuple[int, int]
    height: tuple[int, int]
    spacing: tuple[float, float, float] | None
    border_share: float
    classes: dict[str, int]
    splits: dict[str, tuple[int, int]]
    crop: int


@dataclass(frozen=True)
class Suggestions:
    """Settings to start from; px. ``None`` where the data says nothing."""

    crop: int
    stride: int
    sigma: float | None
    length_scale: float


def statistics(collection: Collection) -> Statistics | None:
    """Return the figures, or ``None`` without annotated images."""
    records = [r for r in collection.annotated().records if r.points is not None]
    if not records:
        return None
    all_points = [r.points for r in records if r.points is not None]
    counts = np.array([len(p) for p in all_points])
    apart = [nearest_distances(p.xy) for p in all_points if len(p) > 1]
    spacing = np.percentile(np.concatenate(apart), [10, 50, 90]).tolist() if apart else None
    widths, heights = [p.width for p in all_points], [p.height for p in all_points]
    splits = {s: (len(c := collection.split(s).annotated()), c.n_dots) for s in collection.splits}
    return Statistics(
        len(records),
        int(counts.sum()),
        int((counts == 0).sum()),
        int(counts.min()),
        float(np.median(counts)),
        float(counts.mean()),
        int(counts.max()),
        (min(widths), max(widths)),
        (min(heights), max(heights)),
        (spacing[0], spacing[1], spacing[2]) if spacing else None,
        float(np.average([border_share(p) for p in all_points], weights=np.maximum(counts, 1))),
        dict(Counter(name for r in records for name in r.classes).most_common()),
        splits,
        crop_for([min(p.width, p.height) for p in all_points]),
    )


def suggest(figures: Statistics) -> Suggestions:
    """Return settings to start from.

    Crop: that of :func:`dotcount.data.resizing.crop_for`. Stride: the largest of 8, 4, 2, 1 that is
    at most half the 10th percentile of the spacing, so that neighbours mostly fall into different cells. Sigma of a
    Gaussian pseudo-density: 0.3 of the median spacing, as the geometry-adaptive rule of Zhang et al. 2016 has it for
    one neighbour. Length scale of the transport: the crop, as in the published setting.
    """
    crop = figures.crop
    if figures.spacing is None:
        return Suggestions(crop, 8, None, float(crop))
    near, middle, _ = figures.spacing
    stride = next((s for s in (8, 4, 2) if s <= near / 2), 1)
    return Suggestions(crop, stride, round(0.3 * middle, 2), float(crop))
