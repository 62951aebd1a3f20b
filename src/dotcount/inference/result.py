"""What a prediction is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dotcount.metadata import CountInterval
from dotcount.points import FloatArray


class NetworkOutput(NamedTuple):
    """What a network says of one image: (h, w) raw density, pooled features, mean brightness of what it saw."""

    density: npt.NDArray[np.float32]
    features: FloatArray | None
    brightness: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """Count, density and located points of one image.

    The count is the sum of the density and is what the model was trained for; the points are the density's peaks above
    a threshold chosen on validation images. The two answer different questions and needn't agree in number: where
    objects overlap so much that their peaks merge, the density still adds up.

    Parameters
    ----------
    count
        Expected number of objects: the sum of ``density``.
    interval
        Lower and upper end of the prediction interval of the count, or None if the model was not calibrated.
    points
        (n, 2) located objects (x, y) in px of the original image, strongest first.
    scores
        (n,) mass of each point, objects; see :func:`dotcount.inference.find_peaks`.
    density
        (h, w) float32, expected objects per cell; zero where a cell's centre lies outside the image.
    stride
        (sx, sy) size of a density cell in px of the original image; both are the model's stride unless the image was
        resized for the model.
    width, height
        Size of the original image, px, after its EXIF orientation.
    familiarity
        How like the training images the image is, 0 to 1; below 1/2 it is called unlike them. None if unknown. See
        :class:`dotcount.metadata.Familiarity`.
    warnings
        What sets the image or its count apart from the training images, a line each; the interval then promises
        nothing.
    features
        (k,) the network's pooled features of the image, see :mod:`dotcount.inference.features`, or None.
    brightness
        Mean of the image as the network saw it, 0 to 1, or None.
    rule
        What ``interval`` was computed from; None where there is none.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> image, dots = generate("cells", size=96)
    >>> prediction = dotcount.load("cells").predict(image)
    >>> prediction.density.shape, prediction.points.shape[1]
    ((24, 24), 2)
    >>> bool(abs(prediction.count - prediction.density.sum()) < 1e-3)
    True
    """

    count: float
    interval: tuple[float, float] | None
    points: FloatArray
    scores: FloatArray
    density: npt.NDArray[np.float32]
    stride: tuple[float, float]
    width: int
    height: int
    familiarity: float | None = None
    warnings: tuple[str, ...] = ()
    features: FloatArray | None = None
    brightness: float | None = None
    rule: CountInterval | None = None

    def part(self, count: float) -> tuple[float, float] | None:
        """Return the interval of the count in a part of the image, such as a region, or None if there is none."""
        return None if self.rule is None else self.rule.part(max(0.0, count))
