"""What is said of a count besides the count: its interval, how familiar the image is, and what to be wary of; no torch.

Whoever runs a network elsewhere, as an exported graph, calls the same function.
"""

from __future__ import annotations

from typing import NamedTuple

from dotcount.metadata import CountInterval, ModelMetadata
from dotcount.points import FloatArray

MARGIN = 0.1
"""How far beyond the counts of the training images a count may lie until it is told, as a share of them."""


class Judgement(NamedTuple):
    """Interval, familiarity and warnings of one count; see :class:`dotcount.inference.Prediction`."""

    interval: tuple[float, float] | None
    familiarity: float | None
    warnings: tuple[str, ...]
    rule: CountInterval | None = None


def judge(
    metadata: ModelMetadata, count: float, features: FloatArray | None, area: float, brightness: float
) -> Judgement:
    """Return what a model's metadata say of one count.

    Parameters
    ----------
    metadata
        Of the model.
    count
        The predicted count.
    features
        (k,) pooled features of the image, see :mod:`dotcount.inference.features`; None if there are none.
    area, brightness
        px and mean brightness of the image as the network saw it.

    Examples
    --------
    >>> from dotcount.metadata import CountInterval
    >>> found = judge(ModelMetadata("compact", 4, interval=CountInterval(0.9, 0.5, 40)), 8.0, None, 64 * 64, 0.4)
    >>> found.interval, found.familiarity, found.warnings
    ((6.5, 9.5), None, ())
    """
    interval, rule, warnings = metadata.interval, metadata.familiarity, []
    promised = interval is not None and interval.finite
    familiarity = None
    if rule is not None:
        familiarity = None if features is None else rule.of_features(features)
        warnings += rule.doubts(familiarity, area, brightness)
        # An image of many times the size is no draw from those that the interval was calibrated on.
        promised = promised and rule.larger(area) is None
    facts = metadata.training
    if facts is not None and facts.count.max:
        low, high = facts.count.min, facts.count.max
        if count > high * (1 + MARGIN) + 1 or count < low * (1 - MARGIN) - 1:
            warnings.append(f"count outside the {low:,} to {high:,} of the training images")
    if interval is None or not promised:
        return Judgement(None, familiarity, tuple(warnings))
    return Judgement(interval.interval(count), familiarity, tuple(warnings), interval)
