"""From a density map to points: two ways to place them, both scored by mass in objects.

``"nms"`` is the paper's: local maxima of the density map. A peak's score is the mass of the window around it; where
windows overlap, a cell is shared in proportion to the peaks' densities, so that no mass counts twice.

``"mass"`` takes objects out one by one: at the strongest place left, one unit of mass (or what is there) is collected
from the nearest cells on and removed, and a point is put at its centre of mass. It finds objects that are nearer to
each other than two cells, where a map has no separate maxima, and the number of points is near the count. It ends
at one object per :data:`AREA_PER_OBJECT` px^2 on average: the map of a model gone wrong may hold millions.
"""

from __future__ import annotations

import heapq
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dotcount.density import cells_inside
from dotcount.errors import InputError
from dotcount.metrics._check import as_density
from dotcount.points import BoolArray, FloatArray

DEFAULT_THRESHOLD = 0.5
"""Least mass of a point, objects: half an object.

:func:`dotcount.calibration.choose_threshold` chooses a better one on validation images.
"""

METHODS = ("mass", "nms")
PLACING = (*METHODS, "count")
LARGE_CELLS = 2**22
"""Maps of more cells than this are searched in blocks, so that the memory it takes is bounded."""
_BLOCK, _AROUND = 1536, 48
"""Side of a block, and of what is seen around it, cells. Which cells a point takes depends on its neighbours, and
theirs on theirs; beyond this many cells it hardly does."""

LEAST_MASS = 0.1
"""Windows with less mass than this, in objects, yield no point whatever the threshold: they are background."""
AREA_PER_OBJECT = 16.0
"""Area per object, px^2, below which a whole map is no crowd but a mistake; at least one object a cell is allowed."""

# How much a cell looks to its neighbours when the strongest place is sought. On simulated maps of dense crowds
# (strides 4 and 8, units spread over one to nine cells) 0.25 gave a better F than 0.5 and 0.7.
_KERNEL = np.array([0.25, 1.0, 0.25])
_Found = tuple[FloatArray, FloatArray, FloatArray]  # x, y (cells) and mass (objects) of each point
_Taken = tuple[float, float, float]  # the same of one point
_Heap = list[tuple[float, int, int]]  # minus the strength, row and column of a place; the strongest is first


def _smooth(cells: FloatArray) -> FloatArray:
    once = ndimage.correlate1d(cells, _KERNEL, axis=0, mode="constant")
    return ndimage.correlate1d(once, _KERNEL, axis=1, mode="constant")


def _window_sum(cells: FloatArray, radius: int) -> FloatArray:
    ones = np.ones(2 * radius + 1)
    return ndimage.correlate1d(ndimage.correlate1d(cells, ones, axis=0, mode="constant"), ones, axis=1, mode="constant")


def _local_maxima(cells: FloatArray, radius: int) -> BoolArray:
    """Return (h, w) whether a cell comes first in its window, by value, then smoothed value, then reading order.

    The order is strict, so a plateau has one maximum, not none and not many; the map's border is like any other place.
    """
    order = np.lexsort((np.arange(cells.size), -_smooth(cells).ravel(), -cells.ravel()))
    flat = np.empty(cells.size, np.int64)
    flat[order] = np.arange(cells.size, 0, -1)
    rank = flat.reshape(cells.shape)
    return (rank == ndimage.maximum_filter(rank, size=2 * radius + 1, mode="constant", cval=0)) & (cells > 0)


def _by_nms(cells: FloatArray, radius: int) -> _Found:
    y, x = (np.arange(n) + 0.5 for n in cells.shape)
    peaks = _local_maxima(cells, radius)
    claimed = _window_sum(np.where(peaks, cells, 0.0), radius)
    share = np.divide(cells, claimed, out=np.zeros_like(cells), where=claimed > 0)
    row, column = np.nonzero(peaks)
    mass, mass_x, mass_y = (
        cells[row, column] * _window_sum(share * weight, radius)[row, column] for weight in (1.0, x, y[:, None])
    )
    return mass_x / mass, mass_y / mass, mass


class _Rings:
    """The cells of a (k, k) window grouped by distance from its centre."""

    def __init__(self, radius: int) -> None:
        rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        squared = (np.square(rows) + np.square(columns)).ravel()
        self.order = np.argsort(squared, kind="stable")
        self.starts = np.flatnonzero(np.diff(squared[self.order], prepend=-1))
        self.sizes = np.diff(self.starts, append=squared.size)

    def take_unit(self, window: FloatArray) -> FloatArray:
        """Return the part of a window that makes up one unit of mass, nearest cells first."""
        cells = window.ravel()[self.order]
        there = np.add.reduceat(cells, self.starts)
        wanted = 1.0 - (np.cumsum(there) - there)
        share = np.clip(wanted / np.maximum(there, 1e-300), 0.0, 1.0)
        taken = np.empty_like(cells)
        taken[self.order] = cells * np.repeat(share, self.sizes)
        return taken.reshape(window.shape)


def _by_mass(cells: FloatArray, radius: int, most: float) -> _Found:
    rows, columns = np.nonzero(_window_sum(cells, radius) >= LEAST_MASS)
    # Strengths only fall as mass is removed: an entry that is out of date is put back with its present strength.
    heap = list(zip((-_smooth(cells)[rows, columns]).tolist(), rows.tolist(), columns.tolist()))
    heapq.heapify(heap)
    take = _take_nine if radius == 1 else partial(_take, radius=radius)
    x, y, masses = np.array(take(np.pad(cells, radius), heap, most=most)).reshape(-1, 3).T
    return x, y, masses.round(12)  # whole units score exactly 1, and so keep the order in which they were found


def _take(left: FloatArray, heap: _Heap, *, most: float, radius: int) -> list[_Taken]:
    """Take objects out of padded cells; return x, y (cells) and mass of each."""
    side, rings = 2 * radius + 1, _Rings(radius)
    reach = np.arange(side) - radius + 0.5
    kernel = np.zeros((side, side))
    kernel[radius - 1 : radius + 2, radius - 1 : radius + 2] = np.outer(_KERNEL, _KERNEL)
    found: list[_Taken] = []
    while heap and len(found) < most:
        stored, row, column = heapq.heappop(heap)
        window = left[row : row + side, column : column + side]
        if window.sum() < LEAST_MASS:
            continue
        strength = float(np.vdot(window, kernel))
        if strength < -stored - 1e-9:
            heapq.heappush(heap, (-strength, row, column))
            continue
        taken = rings.take_unit(window)
        mass = float(taken.sum())
        if mass < LEAST_MASS:  # when rounding alone decides; without this the loop might not end
            continue
        found.append((column + taken.sum(0) @ reach / mass, row + taken.sum(1) @ reach / mass, mass))
        window -= taken
        heapq.heappush(heap, (-float(np.vdot(window, kernel)), row, column))
    return found


def _take_nine(left: FloatArray, heap: _Heap, *, most: float) -> list[_Taken]:
    """Do what :func:`_take` does with windows of 3 x 3 cells, in numbers: arrays of nine cost 25 times as much."""
    width, cells = left.shape[1], left.ravel().tolist()
    near, far = float(_KERNEL[0] * _KERNEL[1]), float(_KERNEL[0] ** 2)
    found: list[_Taken] = []
    while heap and len(found) < most:
        stored, row, column = heapq.heappop(heap)
        a = row * width + column
        b, c = a + width, a + 2 * width
        nw, n, ne = cells[a : a + 3]
        w, o, e = cells[b : b + 3]
        sw, s, se = cells[c : c + 3]
        sides, corners = n + w + e + s, nw + ne + sw + se
        if o + sides + corners < LEAST_MASS:
            continue
        strength = o + near * sides + far * corners
        if strength < -stored - 1e-9:
            heapq.heappush(heap, (-strength, row, column))
            continue
        # The part of each ring that is taken: one unit of mass in all, nearest cells first.
        p = min(1.0, 1.0 / o) if o > 0 else 1.0
        q = min(1.0, max(0.0, 1.0 - o) / sides) if sides > 0 else 1.0
        r = min(1.0, max(0.0, 1.0 - o - sides) / corners) if corners > 0 else 1.0
        mass = p * o + q * sides + r * corners
        if mass < LEAST_MASS:  # when rounding alone decides; without this the loop might not end
            continue
        to_right, to_bottom = q * (e - w) + r * (ne + se - nw - sw), q * (s - n) + r * (sw + se - nw - ne)
        found.append((column + 0.5 + to_right / mass, row + 0.5 + to_bottom / mass, mass))
        cells[a : a + 3] = nw - r * nw, n - q * n, ne - r * ne
        cells[b : b + 3] = w - q * w, o - p * o, e - q * e
        cells[c : c + 3] = sw - r * sw, s - q * s, se - r * se
        left_over = (1 - p) * o + near * (1 - q) * sides + far * (1 - r) * corners
        heapq.heappush(heap, (-left_over, row, column))
    return found


def _by_count(cells: FloatArray, number: int) -> tuple[FloatArray, FloatArray]:
    """Return so many points (cells), placed by transport, and the mass of each."""
    from dotcount.inference.consistent import consistent_points  # torch, which nothing else here needs

    x, y, mass = _by_mass(cells, 1, max(1, number))
    return consistent_points(cells, np.stack([x, y], axis=1)[np.argsort(-mass, kind="stable")], number)


def find_peaks(
    density: npt.ArrayLike,
    stride: float,
    threshold: float = DEFAULT_THRESHOLD,
    *,
    method: str = "mass",
    radius: int = 1,
    image_size: tuple[int, int] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Locate objects in a density map, with sub-cell refinement by the centre of mass.

    Parameters
    ----------
    density
        (h, w) expected number of objects by cell, finite and >= 0.
    stride
        Side of a cell, px.
    threshold
        Least score of a point, objects; ``"count"`` has none. Points at a higher threshold are a subset of those at a
        lower one.
    method
        ``"mass"`` or ``"nms"``, see the module's text; ``"count"``: as many points as the rounded sum says, placed by
        transport, see :mod:`dotcount.inference.consistent`.
    radius
        Windows are ``(2 radius + 1)^2`` cells. 1 suits sharp maps; blurred ones, as Gaussian targets give, want more.
    image_size
        (height, width) of the image, px; cells with their centre outside are padding, and points are kept inside.

    Returns
    -------
    xy : (n, 2)
        Points, px, in the order of decreasing score.
    scores : (n,)
        Mass of each point, objects.

    Raises
    ------
    InputError
        If the map is not two-dimensional, not finite or negative, or an option is out of range.

    Examples
    --------
    >>> xy, scores = find_peaks([[0.0, 0.75, 0.25, 0.0, 0.1]], stride=4)
    >>> xy.tolist(), scores.tolist()
    ([[7.0, 2.0]], [1.0])
    """
    if radius < 1:
        raise InputError(f"radius must be at least 1 cell; got {radius}")
    if method not in PLACING:
        raise InputError(f"method must be one of {', '.join(PLACING)}; got {method!r}")
    if np.size(density) > LARGE_CELLS and np.ndim(density) == 2:
        return _in_blocks(np.asarray(density), stride, threshold, method, radius, image_size)
    cells = as_density(density, stride)
    if image_size is not None:
        inside = np.zeros_like(cells)
        window = tuple(slice(cells_inside(n, stride, side)) for n, side in zip(cells.shape, image_size))
        inside[window] = cells[window]
        cells = inside
    if not cells.any():
        return np.zeros((0, 2)), np.zeros(0)
    most = cells.size * max(1.0, stride**2 / AREA_PER_OBJECT)
    if method == "count":
        places, mass = _by_count(cells, min(round(float(cells.sum())), int(most)))
    else:
        x, y, mass = _by_mass(cells, radius, most) if method == "mass" else _by_nms(cells, radius)
        keep = np.flatnonzero(mass >= max(threshold, LEAST_MASS))
        places, mass = np.stack([x[keep], y[keep]], axis=1), mass[keep]
    order = np.argsort(-mass, kind="stable")
    xy = places[order] * stride
    if image_size is not None:
        xy = np.minimum(xy, np.nextafter((image_size[1], image_size[0]), 0.0))
    return xy, mass[order]


def _in_blocks(
    density: npt.NDArray[np.floating],
    stride: float,
    threshold: float,
    method: str,
    radius: int,
    image_size: tuple[int, int] | None,
) -> tuple[FloatArray, FloatArray]:
    """Return what :func:`find_peaks` does, block by block; a point belongs to the block that it lies in.

    With ``"count"`` the number of points is that of the whole map up to the rounding in each block.
    """
    height, width = image_size or (density.shape[0] * stride, density.shape[1] * stride)
    found: list[FloatArray] = [np.zeros((0, 2))]
    masses: list[FloatArray] = [np.zeros(0)]
    for top in range(0, density.shape[0], _BLOCK):
        for left in range(0, density.shape[1], _BLOCK):
            first_row, first_column = max(0, top - _AROUND), max(0, left - _AROUND)
            part = density[first_row : top + _BLOCK + _AROUND, first_column : left + _BLOCK + _AROUND]
            corner = np.array([first_column, first_row]) * stride
            size = (int(np.ceil(height - corner[1])), int(np.ceil(width - corner[0])))
            if min(size) <= 0:
                continue
            xy, mass = find_peaks(np.array(part), stride, threshold, method=method, radius=radius, image_size=size)
            xy += corner
            low, high = np.array([left, top]) * stride, np.array([left + _BLOCK, top + _BLOCK]) * stride
            mine = ((xy >= low) & (xy < high)).all(axis=1)
            found.append(xy[mine])
            masses.append(mass[mine])
    points, mass = np.concatenate(found), np.concatenate(masses)
    order = np.argsort(-mass, kind="stable")
    return points[order], mass[order]
