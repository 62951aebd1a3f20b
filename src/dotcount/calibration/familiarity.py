"""Fitting the statistics by which an image is called familiar; see :class:`dotcount.metadata.Familiarity`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from dotcount.calibration.intervals import conformal_rank
from dotcount.data import Batch
from dotcount.inference.tiling import density_and_features
from dotcount.metadata import Familiarity
from dotcount.metadata.familiarity import described
from dotcount.points import FloatArray

AXES = 24
"""Principal directions that are kept, at most; of few images, one for each :data:`IMAGES_PER_AXIS`."""

IMAGES_PER_AXIS = 4

GROUND = 0.05
"""What is added to a channel's standard deviation within an image, as a share of its mean over the training images:
below it differences say nothing."""

QUIET = 0.003
"""Share of the standard deviation of the mean channel that every channel is taken to have at least: one that is silent
in the training images must not make a stranger of an image in which it hardly stirs."""

FLOOR = 0.03
"""Least unit of what describes an image, in standard deviations within images, or their logarithm: what is nearly the
same in all training images must not make strangers of images that differ from them by a trifle."""

LEAST = 8
"""Images below which no statistics are kept."""

FALSE_ALARMS = 0.05
"""Share of images like the training images that may be called unlike them."""


@dataclass
class Looks:
    """What is gathered of images: their features, mean brightness and areas.

    Examples
    --------
    >>> import numpy as np
    >>> looks = Looks()
    >>> looks.add(np.zeros(4), 0.5, 64 * 48)
    >>> len(looks), looks.area
    (1, [3072])
    """

    features: list[FloatArray] = field(default_factory=list)
    brightness: list[float] = field(default_factory=list)
    area: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.features)

    def add(self, features: FloatArray | None, brightness: float, area: int) -> None:
        """Add one image; without features it is left out."""
        if features is not None:
            self.features.append(features)
            self.brightness.append(brightness)
            self.area.append(area)


def looks_of(
    network: nn.Module, batches: Iterable[Batch | None], device: str | torch.device = "cpu", most: int | None = None
) -> Looks:
    """Run a network on whole images, one a batch, and return their features; None entries are left out.

    Examples
    --------
    >>> from dotcount import data, models
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = data.open_collection(write_dataset("cells", train=3, val=0, test=0, size=64)).records
    >>> batches = (data.whole_batch(data.load_sample(record)) for record in records)
    >>> len(looks_of(models.create("compact", width=4), batches))
    3
    """
    found, network = Looks(), network.to(device).eval()
    for batch in batches:
        if most is not None and len(found) >= most:
            break
        if batch is None:
            continue
        for image, (height, width) in zip(batch.images, batch.image_sizes):
            pixels = image[:, :height, :width].permute(1, 2, 0).numpy()
            found.add(density_and_features(network, pixels)[1], float(pixels.mean()), height * width)
    return found


def fit_familiarity(layers: Mapping[str, int], training: Looks, held_out: Looks) -> Familiarity | None:
    """Fit the statistics on training images and the threshold on held-out ones.

    The threshold is the conformal quantile of the held-out distances for :data:`FALSE_ALARMS`, with 80 % confidence
    where they are enough for that (32), else on average (19), else the largest of them. Without training images, each
    held-out image is judged by statistics of four fifths of the others.

    Parameters
    ----------
    layers
        Name and number of channels of those that the features are of:
        :meth:`dotcount.inference.runtimes.Runtime.feature_channels`. The last one counts: what deeper ones have
        depends on how far the edges of an image are.
    training, held_out
        The images; ``training`` may be empty.

    Returns
    -------
    Familiarity or None
        None without layers, or with fewer than :data:`LEAST` images.

    Examples
    --------
    >>> import numpy as np
    >>> rng, looks = np.random.default_rng(0), Looks()
    >>> for row in rng.normal(0, 1, (40, 24)):
    ...     looks.add(abs(row), 0.5, 64 * 64)
    >>> rule = fit_familiarity({"last_layer": 12}, looks, looks)
    >>> rule.of_features(np.full(24, 9.0)) < 0.5 < rule.of_features(np.ones(24))
    True
    """
    known = training if len(training) >= LEAST else held_out
    if not layers or len(known) < LEAST or not len(held_out):
        return None
    rule = _statistics(layers, np.array(known.features))
    if known is training:
        distances = [rule.distance(one) for one in held_out.features]
    else:
        distances = _left_out(layers, np.array(held_out.features))
    threshold = max(_bound(distances), 1e-6)
    everyone = [*training.brightness, *held_out.brightness]
    return dataclasses.replace(
        rule,
        threshold=float(threshold),
        images=len(known),
        held_out=len(held_out),
        brightness=(round(min(everyone), 4), round(max(everyone), 4)),
        area=int(max([*training.area, *held_out.area])),
    )


def _statistics(layers: Mapping[str, int], features: FloatArray) -> Familiarity:
    name, channels = list(layers.items())[-1]
    within = features[:, features.shape[1] - channels :].mean(axis=0)
    ground = GROUND * np.maximum(within, QUIET * within.mean()) + 1e-12
    rows = described(features, ground)
    mean, unit = rows.mean(axis=0), np.sqrt(rows.var(axis=0) + FLOOR**2)
    z = (rows - mean) / unit
    number = min(AXES, len(z) // IMAGES_PER_AXIS, z.shape[1] - 1)
    _, singular, axes = np.linalg.svd(z, full_matrices=False)
    along = singular**2 / max(1, len(z) - 1)
    variances, rest = np.maximum(along[:number], 1e-6), along[number:].sum() / (z.shape[1] - number)
    return Familiarity.of([name], mean, unit, axes[:number], variances, float(max(rest, 1e-3)), 1.0, ground)


def _left_out(layers: Mapping[str, int], features: FloatArray) -> list[float]:
    fold = np.arange(len(features)) % 5
    rules = {k: _statistics(layers, features[fold != k]) for k in range(5)}
    return [rules[int(k)].distance(one) for k, one in zip(fold, features)]


def _bound(distances: list[float]) -> float:
    ordered, level = sorted(distances), 1 - FALSE_ALARMS
    rank = conformal_rank(len(ordered), level, 0.8) or conformal_rank(len(ordered), level) or len(ordered)
    return ordered[rank - 1]
