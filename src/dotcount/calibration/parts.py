"""Errors in parts of held-out images, for the interval of a region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dotcount.points import FloatArray

SHARES = (0.5, 0.25)
"""Sides of the parts, as shares of the image's."""


def part_residuals(densities: Sequence[FloatArray], dots: Sequence[FloatArray], stride: int) -> FloatArray:
    """Return (n, k) residuals ``(c - c_hat) / sqrt(c_hat + 1)`` of one part of each of :data:`SHARES` of every image.

    A part is a rectangle of whole cells at a place drawn at random (seed 0), so that a part of a new image is a draw
    like them.

    Parameters
    ----------
    densities, dots
        (h, w) maps and (m, 2) dots (px), one of each per image.
    stride
        Side of a cell, px.

    Examples
    --------
    >>> import numpy as np
    >>> part_residuals([np.full((8, 8), 0.25)], [np.zeros((0, 2))], stride=4).round(2).tolist()
    [[-1.79, -0.71]]
    """
    rng = np.random.default_rng(0)
    found = np.empty((len(densities), len(SHARES)))
    for k, (density, xy) in enumerate(zip(densities, dots, strict=True)):
        for j, share in enumerate(SHARES):
            height, width = (max(1, round(share * cells)) for cells in density.shape)
            top, left = (int(rng.integers(0, cells - side + 1)) for cells, side in zip(density.shape, (height, width)))
            guess = float(density[top : top + height, left : left + width].sum())
            cells = np.floor(xy / stride) - (left, top)
            true = int(((cells >= 0) & (cells < (width, height))).all(axis=1).sum())
            found[k, j] = (true - guess) / np.sqrt(guess + 1)
    return found
