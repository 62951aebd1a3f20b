"""Predictions of images that are too large to be drawn pixel by pixel, in fewer and larger cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dotcount.inference.result import Prediction

MOST = 2048
"""Cells along the longer side from which on a density is drawn in larger ones."""


def in_larger_cells(prediction: Prediction, most: int = MOST) -> Prediction:
    """Return a prediction whose density has at most ``most`` cells a side: sums of squares of cells.

    The sum of the density stays. It is read in bands, so that one that is a file is never in memory as a whole.
    """
    rows, columns = prediction.density.shape
    step = -(-max(rows, columns) // most)
    if step <= 1:
        return prediction
    summed = np.zeros((-(-rows // step), -(-columns // step)), np.float32)
    width = summed.shape[1] * step
    for k in range(len(summed)):
        band = np.asarray(prediction.density[k * step : (k + 1) * step], dtype=np.float64).sum(axis=0)
        summed[k] = np.pad(band, (0, width - columns)).reshape(-1, step).sum(axis=1)
    sx, sy = prediction.stride
    return replace(prediction, density=summed, stride=(sx * step, sy * step))


def at_size(prediction: Prediction, width: int, height: int) -> Prediction:
    """Return a prediction whose coordinates are px of the image reduced to ``width`` x ``height`` px."""
    if (width, height) == (prediction.width, prediction.height):
        return prediction
    scale = (width / prediction.width, height / prediction.height)
    stride = (prediction.stride[0] * scale[0], prediction.stride[1] * scale[1])
    return replace(prediction, points=prediction.points * scale, stride=stride, width=width, height=height)
