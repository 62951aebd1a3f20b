"""Dot annotations and the one coordinate convention of the package.

Points are ``(x, y)`` in pixels; the origin is the top-left CORNER of the image. Pixel (row i, column j) covers
``[j, j + 1) x [i, i + 1)`` and its centre is ``(j + 1/2, i + 1/2)``. All geometry below is exact in this convention: a
horizontal flip is ``x -> W - x``, a resize is ``x -> x W'/W``, a crop or pad is a translation. Nothing here clips or
drops a dot unless it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Points:
    """``n`` dots of one image together with the size of that image.

    Parameters
    ----------
    xy
        (n, 2) coordinates in pixels; anything that converts to a float64 array; ``[]`` for no dots.
    width, height
        Size of the image in pixels, both at least 1.
    ids
        (n,) integer identity of each dot, kept through every transformation; ``0..n-1`` when not given. The identity is
        what links a dot in a flipped crop to the annotation it came from.

    Raises
    ------
    InputError
        If shapes are wrong, a coordinate is not finite, or the image size is not positive.

    Examples
    --------
    >>> points = Points([[10.0, 4.0], [30.5, 20.0]], width=40, height=30)
    >>> points.flip_horizontal().xy.tolist()
    [[30.0, 4.0], [9.5, 20.0]]
    >>> points.crop(left=20, top=10, width=20, height=20).xy.tolist()
    [[10.5, 10.0]]
    """

    xy: FloatArray
    width: int
    height: int
    ids: IntArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        xy = np.asarray(self.xy, dtype=np.float64)
        xy = xy.reshape(0, 2) if xy.size == 0 else xy
        if xy.ndim != 2 or xy.shape[1] != 2:
            raise InputError(f"points must have shape (n, 2) with columns x, y; got {xy.shape}")
        if not np.isfinite(xy).all():
            row = int(np.flatnonzero(~np.isfinite(xy).all(axis=1))[0])
            raise InputError(f"point {row} is not finite: {tuple(xy[row])}; remove or correct it")
        if self.width < 1 or self.height < 1:
            raise InputError(f"image size must be at least 1 x 1 px; got {self.width} x {self.height}")
        ids = np.arange(len(xy), dtype=np.int64) if self.ids is None else np.asarray(self.ids, dtype=np.int64)
        if ids.shape != (len(xy),):
            raise InputError(f"ids must have shape ({len(xy)},), one per point; got {ids.shape}")
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.xy)

    @classmethod
    def empty(cls, width: int, height: int) -> Points:
        """Return no dots in an image of ``width`` x ``height`` px.

        >>> len(Points.empty(width=8, height=4))
        0
        """
        return cls(np.zeros((0, 2)), width, height)

    @classmethod
    def from_pixel_centres(cls, xy: npt.ArrayLike, width: int, height: int, *, first: int = 0) -> Points:
        """Build from sources that number pixels and put a dot at a pixel's centre.

        A dot on the first pixel has the coordinate ``first`` there (0 for most software, 1 for MATLAB) and 1/2 here:
        ``x = x_source - first + 1/2``.

        >>> Points.from_pixel_centres([[0, 3]], width=8, height=4).xy.tolist()
        [[0.5, 3.5]]
        """
        source = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        return cls(source - first + 0.5, width, height)

    def inside(self) -> BoolArray:
        """Return (n,) whether each dot lies in ``[0, W) x [0, H)``, so that it is in exactly one pixel.

        >>> Points([[1, 1], [8, 1]], width=8, height=4).inside().tolist()
        [True, False]
        """
        within = (self.xy >= 0) & (self.xy < (self.width, self.height))
        return np.asarray(within.all(axis=1), dtype=np.bool_)

    def select(self, keep: npt.ArrayLike) -> Points:
        """Return the dots chosen by a mask or an index array, with their identities.

        >>> Points([[1, 1], [2, 3]], width=8, height=4).select([False, True]).xy.tolist()
        [[2.0, 3.0]]
        """
        chosen = np.asarray(keep)
        return Points(self.xy[chosen], self.width, self.height, self.ids[chosen])

    def crop(self, left: int, top: int, width: int, height: int) -> Points:
        """Return the dots within ``[left, left + width) x [top, top + height)``, relative to its corner.

        Half-open, so that crops which tile an image share no dot and lose none.

        >>> Points([[1, 1], [5, 3]], width=8, height=4).crop(4, 0, 4, 4).xy.tolist()
        [[1.0, 3.0]]
        """
        moved = Points(self.xy - (left, top), width, height, self.ids)
        return moved.select(moved.inside())

    def pad(self, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> Points:
        """Return the dots in the image enlarged by the given borders (px, not negative).

        >>> Points([[1, 1]], width=8, height=4).pad(left=2, bottom=1).xy.tolist()
        [[3.0, 1.0]]
        """
        if min(left, top, right, bottom) < 0:
            raise InputError("pad takes borders >= 0; use crop to make an image smaller")
        return Points(self.xy + (left, top), self.width + left + right, self.height + top + bottom, self.ids)

    def flip_horizontal(self) -> Points:
        """Mirror left to right: ``x -> W - x``.

        >>> Points([[1, 1]], width=8, height=4).flip_horizontal().xy.tolist()
        [[7.0, 1.0]]
        """
        return Points(self.xy * (-1, 1) + (self.width, 0), self.width, self.height, self.ids)

    def flip_vertical(self) -> Points:
        """Mirror top to bottom: ``y -> H - y``.

        >>> Points([[1, 1]], width=8, height=4).flip_vertical().xy.tolist()
        [[1.0, 3.0]]
        """
        return Points(self.xy * (1, -1) + (0, self.height), self.width, self.height, self.ids)

    def rotate90(self, turns: int = 1) -> Points:
        """Turn by 90 degrees counter-clockwise ``turns`` times, as ``numpy.rot90`` turns the image.

        One turn maps ``(x, y)`` to ``(y, W - x)`` in an image of ``H x W`` (width x height).

        >>> Points([[1, 1]], width=8, height=4).rotate90().xy.tolist()
        [[1.0, 7.0]]
        """
        points = self
        for _ in range(turns % 4):
            x, y = points.xy.T
            turned = np.stack([y, points.width - x], axis=1)
            points = Points(turned, points.height, points.width, points.ids)
        return points

    def resize(self, width: int, height: int) -> Points:
        """Scale to an image of ``width`` x ``height`` px: ``x -> x width / W``, ``y -> y height / H``.

        >>> Points([[1, 1]], width=8, height=4).resize(16, 4).xy.tolist()
        [[2.0, 1.0]]
        """
        return Points(self.xy * (width / self.width, height / self.height), width, height, self.ids)


def nearest_distances(xy: npt.ArrayLike, neighbours: int = 1) -> npt.NDArray[np.float64]:
    """Return the (m,) mean distances of each point to the nearest ``neighbours`` others, px.

    Where there are fewer others it is the mean over all of them; infinite where there is none.

    >>> nearest_distances([[0, 0], [3, 4], [3, 10]]).tolist()
    [5.0, 5.0, 6.0]
    >>> nearest_distances([[0, 0], [3, 4], [3, 10]], 3).tolist()[1]
    5.5
    """
    from scipy.spatial import KDTree  # takes a tenth of a second

    places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    if len(places) < 2:
        return np.full(len(places), np.inf)
    k = min(neighbours, len(places) - 1)
    distances: npt.NDArray[np.float64] = KDTree(places).query(places, k=k + 1)[0][:, 1:].mean(axis=1)
    return distances  # the first of each is the point itself


def spacing(xy: npt.ArrayLike) -> float:
    """Return the median distance of a point to the nearest other, px; infinite for less than two points.

    >>> spacing([[0, 0], [3, 4], [3, 10]])
    5.0
    """
    distances = nearest_distances(xy)
    return float(np.median(distances)) if len(distances) > 1 else np.inf


def concatenate(parts: Sequence[Points]) -> Points:
    """Join dots of the SAME image (equal sizes); identities are kept as they are.

    >>> len(concatenate([Points([[1, 1]], width=8, height=4), Points([[2, 1]], width=8, height=4)]))
    2
    """
    if not parts:
        raise InputError("concatenate needs at least one Points")
    sizes = {(p.width, p.height) for p in parts}
    if len(sizes) != 1:
        raise InputError(f"concatenate needs points of one image size; got {sorted(sizes)}")
    width, height = sizes.pop()
    return Points(np.concatenate([p.xy for p in parts]), width, height, np.concatenate([p.ids for p in parts]))
