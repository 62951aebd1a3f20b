"""Calibrating a model again on annotated images: count them, then fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dotcount.calibration import Recalibration, recalibrate
from dotcount.data import Collection
from dotcount.errors import DataError
from dotcount.evaluation.reading import SetCounter
from dotcount.evaluation.scoring import select_split
from dotcount.inference.counter import ImageCounter


def calibrate_on(
    predictor: ImageCounter,
    collection: Collection,
    split: str | None = None,
    *,
    level: float = 0.9,
    confidence: float | None = 0.8,
    progress: Callable[[int, int], None] | None = None,
) -> Recalibration:
    """Count the annotated images of a collection and calibrate the model on them; no weight changes.

    Images that the model was trained on, as far as it knows them again, are left out: its errors on them are no
    measure of others. ``notes`` of what is returned say so.

    Parameters
    ----------
    predictor
        The model.
    collection, split
        Where the dots are; ``None`` takes all annotated images.
    level, confidence
        Of the interval, see :func:`dotcount.calibration.calibrate`.
    progress
        Called with (done, total).

    Raises
    ------
    DataError
        If there are too few annotated images that can be read.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = dotcount.open_collection(write_dataset("mine", train=6, val=0, test=0, size=96))
    >>> found = calibrate_on(dotcount.load("cells"), collection)
    >>> found.metadata.calibration.images, found.before.n
    (6, 6)
    """
    chosen = select_split(collection, split)
    reader, pairs, errors, learned = SetCounter(predictor, chosen), [], [], 0
    for done, record in enumerate(chosen.records, start=1):
        if reader.learned(record):
            learned += 1
            continue
        counted = reader.count(record)
        if counted.prediction is not None and record.points is not None:
            pairs.append((counted.prediction, record.points))
        elif counted.error is not None:
            errors.append(counted.error)
        if progress is not None:
            progress(done, len(chosen.records))
    known = f"the model was trained on {learned:,} of the {len(chosen.records):,} images, which were left out"
    try:
        found = recalibrate(
            predictor.metadata,
            pairs,
            data=collection.name,
            level=level,
            confidence=confidence,
            layers=predictor.runtime.feature_channels(),
        )
    except DataError as error:
        first = f" ({len(errors)} can't be read; the first: {errors[0]})" if errors else ""
        raise DataError(f"{error}{first}{f'; {known}' if learned else ''}") from error
    return replace(found, notes=(known, *found.notes)) if learned else found
