"""The network's own features of an image, pooled over its cells, from the same pass as the density; no torch here.

Which features they are the network says: ``feature_layers`` names modules, and their *inputs* (B, C, h, w) are what is
pooled. Of the shipped networks these are the output of the encoder, if it has one, and what the last convolution sees.
An exported graph has them as outputs ``features_0``, ``features_1``, ... An image's features are the means of all
channels of all layers over the cells inside the image, then their standard deviations (of the population). Cells near
an edge see padding, and the larger an image the fewer they are, so along sides that are long enough they are left out:
otherwise every image of another size would look like a stranger.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dotcount.density import Tile, cells_inside
from dotcount.points import FloatArray

EDGE = 32
"""What is left out at each edge, px of the image as the network sees it, along sides of at least four times this."""

Moments = tuple[FloatArray, FloatArray, int]
"""Sums of the features and of their squares over cells, (C,) each, and the number of cells."""


class FeaturePool:
    """Pools the features of one image, whole or in tiles.

    Parameters
    ----------
    multiple
        The network's coarsest stride, px: it pads its input to multiples of it.
    height, width
        Of the image, px as the network sees it.

    Examples
    --------
    >>> import numpy as np
    >>> from dotcount.density import tiles
    >>> pool, features = FeaturePool(32, height=64, width=100), np.arange(8, dtype=np.float32).reshape(1, 2, 4)
    >>> for tile in tiles(64, 100, size=128, overlap=0, multiple=32):
    ...     pool.add([features], tile)  # of the four columns the last is padding
    >>> pool.features().round(3).tolist()
    [3.0, 2.16]
    """

    def __init__(self, multiple: int, height: int, width: int) -> None:
        self._multiple, self._rows, self._columns = multiple, _inner(height), _inner(width)
        self._parts: list[list[Moments]] = []

    def add(self, features: Sequence[npt.NDArray[np.float32]], tile: Tile) -> None:
        """Add what each layer (C, h, w) has, of the window of a tile, in cells with their centre in the tile's core."""
        self._parts.append([self._moments(one, tile) for one in features])

    def features(self) -> FloatArray | None:
        """Return (2 C,) means and standard deviations over the image; None where there is no layer."""
        if not self._parts or not all(self._parts):
            return None
        means, deviations = zip(*(_mean_and_deviation(layer) for layer in zip(*self._parts)))
        return np.concatenate([*means, *deviations])

    def _moments(self, features: npt.NDArray[np.float32], tile: Tile) -> Moments:
        rows = self._inside(
            features.shape[1], tile.top, tile.bottom, *_within(tile.core_top, tile.core_bottom, self._rows)
        )
        columns = self._inside(
            features.shape[2], tile.left, tile.right, *_within(tile.core_left, tile.core_right, self._columns)
        )
        inside = features[:, rows, columns].reshape(len(features), -1)
        # In float64 only while adding up: a copy of the whole map would cost more than the sums.
        return inside.sum(1, dtype=np.float64), np.einsum("ij,ij->i", inside, inside, dtype=np.float64), inside.shape[1]

    def _inside(self, number: int, low: int, high: int, first: int, last: int) -> slice:
        stride = -(-(high - low) // self._multiple) * self._multiple / number
        stop = cells_inside(number, stride, last - low)
        # An image smaller than half a cell has one all the same.
        return slice(cells_inside(number, stride, first - low), max(stop, int(first == low)))


def _inner(side: int) -> tuple[int, int]:
    """Return the ends of what is pooled along a side, px."""
    return (EDGE, side - EDGE) if side >= 4 * EDGE else (0, side)


def _within(first: int, last: int, inner: tuple[int, int]) -> tuple[int, int]:
    """Return the part of a core that is pooled, px; an empty one where the core lies at the edge."""
    first, last = max(first, inner[0]), min(last, inner[1])
    return first, max(first, last)


def _mean_and_deviation(parts: Sequence[Moments]) -> tuple[FloatArray, FloatArray]:
    number = max(1, sum(n for _, _, n in parts))
    mean = np.sum([total for total, _, _ in parts], axis=0) / number
    square = np.sum([total for _, total, _ in parts], axis=0) / number
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))
