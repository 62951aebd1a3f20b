"""Images that carry the dots of another image: files that were renamed, tables that slipped by a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from dotcount.audit.explanation import transport_map
from dotcount.audit.judging import audit_settings, fit
from dotcount.audit.suspicions import ImageAudit, Suspicion
from dotcount.inference import Prediction
from dotcount.points import FloatArray

POOR = 0.6
"""Fit below which an image may carry the dots of another one."""

_BETTER = 0.2  # by how much the dots of the other image must fit better than its own
_APART = 0.1  # and than those of any third image
_FEWEST = 3  # dots: fewer fit many images
_TRIED = 4  # candidates whose transport is solved


def exchanged(audits: Sequence[ImageAudit], predictions: Mapping[str, Prediction]) -> list[Suspicion]:
    """Return which images the dots of one other image fit far better than their own.

    Parameters
    ----------
    audits
        All images of the set.
    predictions
        Of images whose fit is below :data:`POOR`, by name; only these are looked at.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.audit import examine
    >>> from dotcount.data.synthetic import generate
    >>> predictor, scenes = dotcount.load("cells"), [generate("cells", size=128, index=k) for k in range(3)]
    >>> predictions = {f"{k}.png": predictor.predict(image) for k, (image, _) in enumerate(scenes)}
    >>> order = {"0.png": 1, "1.png": 0, "2.png": 2}
    >>> audits = [examine(name, predictions[name], scenes[k][1].xy) for name, k in order.items()]
    >>> [(s.image, s.other) for s in exchanged(audits, predictions)]
    [('0.png', '1.png'), ('1.png', '0.png')]
    """
    found = []
    for audit in audits:
        prediction = predictions.get(audit.image)
        if prediction is None or audit.fit >= POOR:
            continue
        others = [other for other in audits if other.image != audit.image and _fits_in(other.dots, prediction)]
        first = sorted(others, key=lambda other: -_nearby(prediction, other.dots, audit.reach))[:_TRIED]
        fits = sorted(((_fit(prediction, other.dots, audit.reach), other.image) for other in first), reverse=True)
        if not fits or fits[0][0] < max(POOR, audit.fit + _BETTER):
            continue
        if len(fits) > 1 and fits[0][0] - fits[1][0] < _APART:
            continue
        best, name = fits[0]
        found.append(Suspicion(audit.image, "exchanged", min(1.0, best - audit.fit), other=name))
    return found


def _fits_in(dots: FloatArray, prediction: Prediction) -> bool:
    return len(dots) >= _FEWEST and bool((dots < (prediction.width, prediction.height)).all())


def _nearby(prediction: Prediction, dots: FloatArray, reach: float) -> float:
    """Return about what :func:`fit` would: mass within half the reach of each dot, at most one object."""
    rows, columns = prediction.density.shape
    sides = [max(1, round(reach / side)) for side in prediction.stride[::-1]]
    mass = ndimage.uniform_filter(prediction.density.astype(np.float64), sides, mode="constant") * np.prod(sides)
    x, y = np.minimum((dots / prediction.stride).astype(int), (columns - 1, rows - 1)).T
    return float(2 * np.minimum(mass[y, x], 1).sum() / (len(dots) + prediction.density.sum()))


def _fit(prediction: Prediction, dots: FloatArray, reach: float) -> float:
    side = float(np.sqrt(np.prod(prediction.stride)))
    return fit(transport_map(prediction, dots, side, audit_settings(reach)))
