"""Whether intervals keep what they promise on a set of images, by part of it, and when the promise is void."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dotcount.calibration.sums import STRANGERS
from dotcount.evaluation.results import IntervalCoverage, Row
from dotcount.metadata import CountInterval
from dotcount.metadata.familiarity import WARN_BELOW
from dotcount.metrics.subsets import Grouping

LIKE, UNLIKE = "like the training images", "unlike the training images"


def by_familiarity(rows: Sequence[Row]) -> dict[str, Grouping]:
    """Group images by whether they are familiar; nothing where that is unknown, or where all are.

    Examples
    --------
    >>> rows = [Row("a", 1, 1.0, None, 1, familiarity=0.9), Row("b", 1, 1.0, None, 1, familiarity=0.1)]
    >>> {name: mask.tolist() for name, mask in by_familiarity(rows)["familiarity"].items()}
    {'like the training images': [True, False], 'unlike the training images': [False, True]}
    """
    known = np.array([np.nan if row.familiarity is None else row.familiarity for row in rows])
    masks = {LIKE: known >= WARN_BELOW, UNLIKE: known < WARN_BELOW}
    return {"familiarity": masks} if masks[UNLIKE].any() else {}


def coverage(interval: CountInterval | None, rows: Sequence[Row]) -> IntervalCoverage | None:
    """Return the share of images whose true count lies in the predicted interval; None without any."""
    held = [row.held for row in rows if row.held is not None]
    if interval is None or not held:
        return None
    return IntervalCoverage(interval.level, float(np.mean(held)), len(held))


def coverage_by_subset(
    interval: CountInterval | None, rows: Sequence[Row], groupings: Mapping[str, Grouping]
) -> dict[str, IntervalCoverage]:
    """Return ``family/subset`` -> coverage, for the subsets that have images with an interval."""
    found = {}
    for family, groups in groupings.items():
        for name, mask in groups.items():
            one = coverage(interval, [row for row, inside in zip(rows, mask) if inside])
            if one is not None:
                found[f"{family}/{name}"] = one
    return found


def void_promises(held: IntervalCoverage | None, rows: Sequence[Row], learned: int = 0) -> tuple[str, ...]:
    """Return why the promise of the interval does not hold on these images, a sentence each.

    ``learned`` is the number of them that the model was trained on.

    Examples
    --------
    >>> void_promises(IntervalCoverage(0.9, 0.5, 40), [])
    ('The intervals hold 50% of the 40 true counts, where 90% were promised: chance does not explain that. ...',)
    """
    found, strange = [], sum(row.familiarity is not None and row.familiarity < WARN_BELOW for row in rows)
    if rows and strange > max(1, STRANGERS * len(rows)):
        found.append(
            f"{strange:,} of {len(rows):,} images are unlike the training images: intervals promise nothing for them."
        )
    if learned:
        found.append(
            f"The model was trained on {learned:,} of the {len(rows):,} images: errors on them are smaller than on "
            "others, and no interval is promised for them."
        )
    if held is not None and held.fails:
        found.append(
            f"The intervals hold {held.coverage:.0%} of the {held.n:,} true counts, where {held.level:.0%} were "
            "promised: chance does not explain that. Calibrate on some of these images, or train on them."
        )
    return tuple(found)
