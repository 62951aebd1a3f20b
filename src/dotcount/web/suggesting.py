"""What a model sees in an image that is being annotated: points to accept, and how far its count may be off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from dotcount.active import Outlook, outlook
from dotcount.inference import Prediction
from dotcount.points import FloatArray

_NEAREST, _FARTHEST = 3.0, 40.0  # px


@dataclass(frozen=True)
class ImageSuggestions:
    """Points that a model suggests for one image.

    Attributes
    ----------
    points
        (x, y, mass) of each, px.
    count, interval
        What the model counts.
    radius
        A point this near to a dot is of the same object, px: half the usual distance between neighbours.
    outlook
        What the prediction says about annotating the image.
    """

    points: tuple[tuple[float, float, float], ...]
    count: float
    interval: tuple[float, float] | None
    radius: float
    outlook: Outlook


def make_suggester(run: Path, device: str) -> Callable[[tuple[str, str]], ImageSuggestions]:
    """Load a model and return what it does with (name, path) of an image; called in a process of its own."""
    from dotcount.prediction import load

    model = load(run, device=device)

    def suggest(image: tuple[str, str]) -> ImageSuggestions:
        name, path = image
        return suggestions_of(name, model.predict(path))

    return suggest


def suggestions_of(name: str, prediction: Prediction) -> ImageSuggestions:
    """Return what a prediction suggests; points on the far border are moved into the last pixel."""
    most = np.nextafter((prediction.width, prediction.height), 0)
    places = np.clip(prediction.points, 0, most).round(2) if len(prediction.points) else prediction.points
    places = np.minimum(places, most)
    rows = tuple((float(x), float(y), float(s)) for (x, y), s in zip(places, prediction.scores))
    return ImageSuggestions(rows, prediction.count, prediction.interval, reach_of(places), outlook(name, prediction))


def reach_of(places: FloatArray) -> float:
    """Return half the median distance of points to their nearest, within bounds, px."""
    if len(places) < 2:
        return 10.0
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    return float(np.clip(np.median(nearest) / 2, _NEAREST, _FARTHEST))
