"""Do the dots sit on something? The pictures against systematic mistakes in the coordinates.

Objects differ from their surroundings, so brightness and local contrast of a picture at true dots deviate
systematically from their means: a cell is brighter, a head busier, a fat cell emptier. For each mistake that would keep
the dots inside the frame (x and y swapped, mirrored, scaled), this deviation under the dots as given is compared with
that under the dots corrected for the mistake, over all images. One picture says little; a hundred say it clearly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import ndimage

from dotcount.data.checks.finding import Finding
from dotcount.data.checks.pictures import ImageFacts
from dotcount.data.records import Record
from dotcount.points import FloatArray, Points

Correction = Callable[[Points], FloatArray]
_MISTAKES: dict[str, tuple[Correction, str]] = {
    "swapped_axes": (lambda p: p.xy[:, ::-1], "x and y swapped"),
    "mirrored_x": (lambda p: p.flip_horizontal().xy, "x mirrored"),
    "mirrored_y": (lambda p: p.flip_vertical().xy, "y mirrored (counted from the bottom)"),
    "turned": (lambda p: p.flip_vertical().flip_horizontal().xy, "x and y mirrored"),
    "halved": (lambda p: p.xy / 2, "x and y divided by 2"),
    "doubled": (lambda p: p.xy * 2, "x and y multiplied by 2"),
}
_MIN_IMAGES = 8
_MIN_GAIN = 0.1  # in standard deviations over a picture
_MIN_T = 6.0


def features(small: np.ndarray) -> FloatArray:
    """Return (2, h, w): brightness and local standard deviation over 5 x 5 px, each standardised over the picture."""
    small = small.astype(np.float64)
    mean = ndimage.uniform_filter(small, 5)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(small * small, 5) - mean * mean, 0))
    maps = np.stack([small, spread])
    deviation = maps.std(axis=(1, 2), keepdims=True)
    return np.asarray((maps - maps.mean(axis=(1, 2), keepdims=True)) / np.where(deviation > 1e-6, deviation, 1.0))


def check_relation(records: Sequence[Record], pictures: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Yield a warning where a mistake explains the pictures better than the dots as they are."""
    usable = [
        (record.points, features(picture.small))
        for record, picture in zip(records, pictures)
        if record.points is not None and len(record.points) >= 3 and picture.small is not None
    ]
    if len(usable) < _MIN_IMAGES:
        return
    gains = {name: _gain(usable, correct) for name, (correct, _) in _MISTAKES.items()}
    name, (gain, t, images) = max(gains.items(), key=lambda item: item[1][0])
    if images >= max(_MIN_IMAGES, len(usable) // 2) and gain > _MIN_GAIN and t > _MIN_T:
        how = _MISTAKES[name][1]
        message = f"over {images} images the dots fit the pictures better with {how}; look at some and correct them"
        yield Finding("swapped_axes" if name == "swapped_axes" else "misplaced", "error", "", message)


def _gain(usable: Sequence[tuple[Points, FloatArray]], correct: Correction) -> tuple[float, float, int]:
    """Return the mean gain in deviation, its t statistic and the number of images where dots stay inside."""
    pairs = []
    for points, maps in usable:
        moved = correct(points)
        inside = ((moved >= 0) & (moved < (points.width, points.height))).all(axis=1)
        if inside.mean() > 0.9 and points.inside().all():
            pairs.append((_at(maps, moved[inside], points), _at(maps, points.xy[inside], points)))
    if len(pairs) < _MIN_IMAGES:
        return 0.0, 0.0, len(pairs)
    values = np.array(pairs)  # (images, corrected or given, features)
    signs = np.sign(values.mean(axis=0)) * np.array([[1], [-1]])
    differences = (values * signs).sum(axis=(1, 2))
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    return mean, mean / max(spread / len(pairs) ** 0.5, 1e-12), len(pairs)


def _at(maps: FloatArray, xy: FloatArray, points: Points) -> FloatArray:
    _, rows, columns = maps.shape
    column = (xy[:, 0] * columns / points.width).astype(int).clip(0, columns - 1)
    row = (xy[:, 1] * rows / points.height).astype(int).clip(0, rows - 1)
    return np.asarray(maps[:, row, column].mean(axis=1))
