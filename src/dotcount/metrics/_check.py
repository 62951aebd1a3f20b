"""Argument checks shared by the evaluation modules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError
from dotcount.points import FloatArray


def as_counts(values: npt.ArrayLike, name: str) -> FloatArray:
    """Return a finite 1-D float64 array, or raise :class:`InputError` naming the argument."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(f"{name} must be one-dimensional, one value per image; got shape {array.shape}")
    if not np.isfinite(array).all():
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"{name}[{index}] is {array[index]}; leave out images without a result before scoring")
    return array


def as_aligned(predicted: npt.ArrayLike, true: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return predicted and true counts of equal length, which may be 0."""
    guess, truth = as_counts(predicted, "predicted"), as_counts(true, "true")
    if guess.shape != truth.shape:
        raise InputError(f"predicted and true must have one value per image each; got {guess.size} and {truth.size}")
    return guess, truth


def as_calibration(predicted: npt.ArrayLike, true: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return predicted counts >= 0 and true counts of equal length, which may be 0."""
    guess, truth = as_aligned(predicted, true)
    if (guess < 0).any():
        raise InputError(f"predicted counts must not be negative; got {guess.min():g}")
    return guess, truth


def as_pair(predicted: npt.ArrayLike, true: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return predicted and true counts of equal, positive length."""
    guess, truth = as_aligned(predicted, true)
    if not guess.size:
        raise InputError("predicted and true are empty: there is no image to score")
    return guess, truth


def as_xy(points: npt.ArrayLike, name: str) -> FloatArray:
    """Return an (n, 2) float64 array of finite coordinates; anything empty becomes (0, 2)."""
    xy = np.asarray(points, dtype=np.float64)
    xy = xy.reshape(0, 2) if xy.size == 0 else xy
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise InputError(f"{name} must have shape (n, 2) with columns x, y in px; got {xy.shape}")
    if not np.isfinite(xy).all():
        raise InputError(f"{name} holds a coordinate that is not finite; remove or correct it")
    return xy


def as_density(density: npt.ArrayLike, stride: float) -> FloatArray:
    """Return an (h, w) float64 density map that is finite and not negative, for a positive stride."""
    cells = np.asarray(density, dtype=np.float64)
    if cells.ndim != 2:
        raise InputError(f"density must have shape (h, w), the map of one image; got {cells.shape}")
    if not np.isfinite(cells).all() or (cells < 0).any():
        raise InputError("density must be finite and not negative; the map holds NaN, infinity or a negative value")
    if not stride > 0:
        raise InputError(f"stride must be a positive number of px; got {stride}")
    return cells
