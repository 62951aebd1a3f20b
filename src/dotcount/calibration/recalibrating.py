"""Count scale, peak threshold and interval fitted again on a few dotted images, without training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dotcount.calibration.familiarity import Looks, fit_familiarity
from dotcount.calibration.intervals import calibrate, images_needed
from dotcount.calibration.model import choose_peaks
from dotcount.calibration.parts import part_residuals
from dotcount.calibration.scaling import LARGEST, LEAST, fit_count_scale
from dotcount.errors import DataError
from dotcount.inference.result import Prediction
from dotcount.metadata import CalibrationFacts, CountingMetrics, Familiarity, ModelMetadata
from dotcount.metrics import counting_metrics
from dotcount.points import Points


@dataclass(frozen=True)
class Recalibration:
    """A model's metadata after the fit, and what changed.

    Attributes
    ----------
    metadata
        With the new count scale, peak threshold, interval and :class:`~dotcount.metadata.CalibrationFacts`.
    before
        Errors of the model as it was on the same images.
    after
        Errors with the scale that the other images give, so that no image has a say in its own.
    notes
        What a person should know, a sentence each.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> predictor, images = dotcount.load("cells"), []
    >>> for seed in range(5):
    ...     image, dots = generate("cells", size=96, seed=seed)
    ...     images.append((predictor.predict(image), dots))
    >>> found = recalibrate(predictor.metadata, images, data="mine")
    >>> found.metadata.calibration.images, found.metadata.interval.finite
    (5, False)
    """

    metadata: ModelMetadata
    before: CountingMetrics
    after: CountingMetrics
    notes: tuple[str, ...] = ()


def recalibrate(
    metadata: ModelMetadata,
    images: Iterable[tuple[Prediction, Points]],
    *,
    data: str,
    level: float = 0.9,
    confidence: float | None = 0.8,
    layers: Sequence[str] = (),
) -> Recalibration:
    """Fit count scale, peak threshold and interval of a trained model on dotted images of a new kind.

    The scale is ``sum c / sum c_hat`` (:func:`dotcount.calibration.fit_count_scale`, always), which leaves no mean
    error on these images. The interval rests on counts that are each scaled by the factor of the other images.

    Parameters
    ----------
    metadata
        Of the model that made the predictions.
    images
        Predictions, and the dots of the same images.
    data
        Name of the data set, for the record.
    level, confidence
        Of the interval, see :func:`dotcount.calibration.calibrate`.
    layers
        Those of the predictions' features: what makes an image familiar is then fitted to these images. None
        given: that stays as it is.

    Raises
    ------
    DataError
        If there are fewer than :data:`LEAST` images.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> predictor = dotcount.load("cells")
    >>> drawn = [generate("cells", size=96, seed=seed) for seed in range(5)]
    >>> images = [(predictor.predict(image), dots) for image, dots in drawn]
    >>> found = recalibrate(predictor.metadata, images, data="mine")
    >>> found.metadata.calibration.data
    'mine'
    """
    pairs = list(images)
    if len(pairs) < LEAST:
        raise DataError(f"{len(pairs)} dotted images are too few to calibrate on; give at least {LEAST}")
    former = metadata.count_scale
    densities = [prediction.density.astype(np.float64) / former for prediction, _ in pairs]
    # Dots go along to the size at which the network saw the image: there a cell is a square of the stride.
    dots = [points.xy / prediction.stride * metadata.stride for prediction, points in pairs]
    true, raw = [len(points) for _, points in pairs], np.array([float(one.sum()) for one in densities])
    fitted = fit_count_scale(raw, true, always=True)
    own = np.divide(fitted.held_out, raw, out=np.ones_like(raw), where=raw > 0)
    parts = part_residuals([k * one for k, one in zip(own, densities)], dots, metadata.stride)
    interval = calibrate(fitted.held_out, true, level=level, confidence=confidence, parts=parts)
    before, after = counting_metrics(raw * former, true), counting_metrics(fitted.held_out, true)
    peaks = metadata.peaks
    maps = [fitted.scale * one for one in densities]
    new = dataclasses.replace(
        metadata,
        count_scale=fitted.scale,
        peaks=choose_peaks(maps, dots, metadata.stride, method=peaks.method, radius=peaks.radius),
        interval=interval,
        familiarity=_familiarity(metadata, [prediction for prediction, _ in pairs], layers),
        calibration=CalibrationFacts(data, len(pairs), int(sum(true)), former, after),
    )
    return Recalibration(new, before, after, _notes(new, float(raw.sum()), float(sum(true)), level, confidence))


def _familiarity(
    metadata: ModelMetadata, predictions: Sequence[Prediction], layers: Sequence[str]
) -> Familiarity | None:
    """Return statistics of the new images; those of the old ones where the new ones are too few."""
    looks = Looks()
    for one in predictions:
        if one.brightness is not None:
            area = round(one.width * one.height * metadata.stride**2 / (one.stride[0] * one.stride[1]))
            looks.add(one.features, one.brightness, area)
    return fit_familiarity(layers, Looks(), looks) or metadata.familiarity


def _notes(metadata: ModelMetadata, raw: float, true: float, level: float, confidence: float | None) -> tuple[str, ...]:
    notes, interval = [], metadata.interval
    if (raw or true) and not raw / LARGEST <= true <= raw * LARGEST:
        ratio = f"{raw / true:.2g} times as many as there are" if true else "objects where no dot is"
        notes.append(
            f"the model counts {ratio}, which no scale mends: the counts are left as they are; train on these images"
        )
    if interval is not None and not interval.finite:
        needed = images_needed(level, confidence)
        notes.append(f"no interval of a count: {interval.reason}; dot at least {needed} images, or ask for less")
    return tuple(notes)
