"""Count scale, peak threshold and interval fitted again on a few dotted images, without training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from dotcount.calibration.familiarity import Looks, fit_familiarity
from dotcount.calibration.intervals import calibrate, images_needed
from dotcount.calibration.model import choose_peaks
from dotcount.calibration.parts import part_residuals
from dotcount.calibration.scaling import LARGEST, LEAST, fit_count_scale
from dotcount.errors import DataError, InputError
from dotcount.inference.result import Prediction
from dotcount.metadata import CalibrationFacts, CountingMetrics, Familiarity, ModelMetadata
from dotcount.metrics import counting_metrics
from dotcount.points import Points

PRIOR = 0.1
"""How far the totals of a model usually are off on another kind of image, as a share; see :func:`fit_count_scale`."""


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
    >>> 0 < found.bias_within < 0.1, found.images_for(found.bias_within / 2) >= 20
    (True, True)
    """

    metadata: ModelMetadata
    before: CountingMetrics
    after: CountingMetrics
    notes: tuple[str, ...] = ()

    @property
    def bias_within(self) -> float | None:
        """How far the mean error on many new images may lie from zero, as a share of their objects.

        ``t e`` with the standard error e of the count scale (:class:`~dotcount.calibration.CountScale`) and the
        quantile t of Student's law for n images and the level of the interval. None where no scale was found.
        """
        facts, interval = self.metadata.calibration, self.metadata.interval
        if facts is None or facts.scale_error is None or interval is None:
            return None
        return float(special.stdtrit(facts.images - 1, (1 + interval.level) / 2)) * facts.scale_error

    def images_for(self, within: float) -> int | None:
        """Return about how many images like these bring :attr:`bias_within` down to a share; None if that is unknown.

        Raises
        ------
        InputError
            If the share is not positive.
        """
        if not within > 0:
            raise InputError(f"within must be a positive share, for example 0.03; got {within}")
        facts, reach = self.metadata.calibration, self.bias_within
        return None if facts is None or reach is None else math.ceil(facts.images * (reach / within) ** 2)


def recalibrate(
    metadata: ModelMetadata,
    images: Iterable[tuple[Prediction, Points]],
    *,
    data: str,
    level: float = 0.9,
    confidence: float | None = 0.8,
    layers: Mapping[str, int] | None = None,
) -> Recalibration:
    """Fit count scale, peak threshold and interval of a trained model on dotted images of a new kind.

    The scale is ``sum c / sum c_hat`` (:func:`dotcount.calibration.fit_count_scale`, always), which leaves no mean
    error on these images, taken back towards the model's own by what chance may have added (:data:`PRIOR`). The
    interval rests on counts that are each scaled by the factor of the other images.

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
        Those of the predictions' features with their channels, see
        :meth:`dotcount.inference.runtimes.Runtime.feature_channels`: what makes an image familiar is then fitted to
        these images. None: that stays as it is.

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
    densities = [prediction.density.astype(np.float64) for prediction, _ in pairs]
    # Dots go along to the size at which the network saw the image: there a cell is a square of the stride.
    dots = [points.xy / prediction.stride * metadata.stride for prediction, points in pairs]
    true, counts = [len(points) for _, points in pairs], np.array([float(one.sum()) for one in densities])
    fitted = fit_count_scale(counts, true, always=True, prior=PRIOR)
    own = np.divide(fitted.held_out, counts, out=np.ones_like(counts), where=counts > 0)
    parts = part_residuals([k * one for k, one in zip(own, densities)], dots, metadata.stride)
    interval = calibrate(fitted.held_out, true, level=level, confidence=confidence, parts=parts)
    before, after = counting_metrics(counts, true), counting_metrics(fitted.held_out, true)
    peaks = metadata.peaks
    maps = [fitted.scale * one for one in densities]
    new = dataclasses.replace(
        metadata,
        count_scale=former * fitted.scale,
        peaks=choose_peaks(maps, dots, metadata.stride, method=peaks.method, radius=peaks.radius),
        interval=interval,
        familiarity=_familiarity(metadata, [prediction for prediction, _ in pairs], layers),
        calibration=CalibrationFacts(data, len(pairs), int(sum(true)), former, after, fitted.error),
    )
    return Recalibration(new, before, after, _notes(new, float(counts.sum()), float(sum(true)), level, confidence))


def _familiarity(
    metadata: ModelMetadata, predictions: Sequence[Prediction], layers: Mapping[str, int] | None
) -> Familiarity | None:
    """Return statistics of the new images; those of the old ones where the new ones are too few."""
    looks = Looks()
    for one in predictions:
        if one.brightness is not None:
            area = round(one.width * one.height * metadata.stride**2 / (one.stride[0] * one.stride[1]))
            looks.add(one.features, one.brightness, area)
    return fit_familiarity(layers or {}, Looks(), looks) or metadata.familiarity


def _notes(
    metadata: ModelMetadata, count: float, true: float, level: float, confidence: float | None
) -> tuple[str, ...]:
    notes, interval = [], metadata.interval
    if (count or true) and not count / LARGEST <= true <= count * LARGEST:
        ratio = f"{count / true:.2g} times as many as there are" if true else "objects where no dot is"
        notes.append(
            f"the model counts {ratio}, which no scale mends: the counts are left as they are; train on these images"
        )
    if interval is not None and not interval.finite:
        needed = images_needed(level, confidence)
        notes.append(f"no interval of a count: {interval.reason}; dot at least {needed} images, or ask for less")
    return tuple(notes)
