"""Named areas of an image and the number of objects in each, from the density; needs neither torch nor an image.

A cell of the density that an outline cuts is shared by area: the region gets the part of the cell's mass that its part
of the cell's area is. So counts in regions that tile the image add up to its count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dotcount.density import cells_inside
from dotcount.errors import InputError
from dotcount.points import FloatArray, IntArray

if TYPE_CHECKING:
    from shapely import Geometry

_BAND = 2**22
"""Cells of the coverage of one region that are in memory at a time."""

_PAIRS = 10_000
"""Most overlaps of two regions that are told one by one."""

Ring = FloatArray
"""(k, 2) px corners."""


@dataclass(frozen=True, eq=False)
class Region:
    """A named area of an image: one polygon or several, with or without holes.

    Parameters
    ----------
    name
        What results call it.
    polygons
        Each a sequence of rings, (k, 2) px corners: the outline first, then its holes. Coordinates follow the
        convention of points: (x, y), the origin at the corner of the image.
    notes
        What a person should know of how the region was read.

    Raises
    ------
    InputError
        If a ring has fewer than three corners, or a coordinate is not finite.

    Examples
    --------
    >>> Region("left", [[[(0, 0), (20, 0), (20, 30), (0, 30)]]]).polygons[0][0].shape
    (4, 2)
    """

    name: str
    polygons: Sequence[Sequence[Ring]]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        made = tuple(tuple(self._ring(ring) for ring in rings) for rings in self.polygons)
        if not made or not all(made):
            raise InputError(f"region {self.name!r} has no outline; draw it again or remove it")
        object.__setattr__(self, "polygons", made)

    def _ring(self, corners: Any) -> Ring:
        try:
            ring = np.asarray(corners, dtype=np.float64)
        except (TypeError, ValueError):
            ring = np.zeros(0)
        if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
            raise InputError(f"region {self.name!r} has an outline of fewer than three corners (x, y); draw it again")
        if not np.isfinite(ring).all():
            raise InputError(f"region {self.name!r} has a corner that is not finite; correct or remove it")
        return ring

    def moved(self, move: Any) -> Region:
        """Return the region with its rings mapped by a function of (k, 2) coordinates."""
        return Region(self.name, [[move(ring) for ring in rings] for rings in self.polygons], self.notes)


@dataclass(frozen=True)
class RegionCount:
    """The objects in one region.

    Attributes
    ----------
    name
        Of the region.
    count
        Expected number of objects: the mass of the density in it.
    area
        Its area within the image, px^2.
    notes
        What a person should know: parts outside the image, an outline that crosses itself.
    interval
        Lower and upper end of the interval of the count; None where the model has none for parts of an image.

    Examples
    --------
    >>> RegionCount("plot 7", count=12.5, area=400.0).interval is None
    True
    """

    name: str
    count: float
    area: float
    notes: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class RegionCounts:
    """The objects of one image by region; ``sum of the regions - shared + rest = total``.

    Attributes
    ----------
    regions
        In the order given.
    rest
        Objects outside all regions.
    total
        Objects in the image.
    shared
        What the sum of the regions counts more than once, because they overlap; 0 where none do.
    overlaps
        (name, name, objects in both) of every two regions that overlap.
    rest_area
        Area outside all regions, px^2.
    rest_interval
        Of the objects outside all regions, as for a region.

    Examples
    --------
    >>> left, right = [(0, 0), (4, 0), (4, 8), (0, 8)], [(2, 0), (8, 0), (8, 8), (2, 8)]
    >>> found = count_regions([[1.0, 2.0], [3.0, 4.0]], 4, [left, right], size=(8, 8))
    >>> [region.count for region in found.regions], found.shared, found.rest
    ([4.0, 8.0], 2.0, 0.0)
    """

    regions: tuple[RegionCount, ...]
    rest: float
    total: float
    shared: float = 0.0
    overlaps: tuple[tuple[str, str, float], ...] = ()
    rest_area: float = 0.0
    rest_interval: tuple[float, float] | None = None

    def with_intervals(self, part: Callable[[float], tuple[float, float] | None]) -> RegionCounts:
        """Return the same with the intervals that a function gives for the count in a part of an image."""
        regions = tuple(replace(region, interval=part(region.count)) for region in self.regions)
        return replace(self, regions=regions, rest_interval=part(self.rest))


def count_regions(
    density: npt.ArrayLike,
    stride: float | tuple[float, float],
    polygons: Iterable[Region | npt.ArrayLike],
    size: tuple[int, int],
) -> RegionCounts:
    """Return the number of objects in each region of an image.

    The count of a region ``A`` is the sum over cells ``c`` of ``density[c] * area(c & A & image) / area(c & image)``.
    Areas are exact, whatever the shape: they are integrals along the outline, cell by cell.

    Parameters
    ----------
    density
        (h, w) expected objects per cell, as in a :class:`dotcount.inference.Prediction`.
    stride
        Size of a cell, px of the image; (sx, sy) where they differ.
    polygons
        Regions, or (k, 2) px corners of single outlines.
    size
        (width, height) of the image, px.

    Raises
    ------
    InputError
        If the density is not two-dimensional or an outline has no area.

    Examples
    --------
    >>> density = [[1.0, 2.0], [3.0, 4.0]]
    >>> left = [(0, 0), (6, 0), (6, 8), (0, 8)]
    >>> found = count_regions(density, 4, [left], size=(8, 8))
    >>> found.regions[0].count, found.rest, found.total
    (7.0, 3.0, 10.0)
    """
    cells = np.asarray(density)
    if cells.ndim != 2:
        raise InputError(f"a density has shape (h, w); got {cells.shape}")
    counter = RegionCounter(polygons, stride, (int(cells.shape[0]), int(cells.shape[1])), size)
    for first in range(0, cells.shape[0], 1024):
        counter.add(first, cells[first : first + 1024])
    return counter.result()


class RegionCounter:
    """Counts regions while the density comes in bands of rows; see :func:`count_regions`.

    Parameters
    ----------
    polygons, stride, size
        See :func:`count_regions`.
    shape
        (h, w) of the density.

    Examples
    --------
    >>> import numpy as np
    >>> counter = RegionCounter([[(0, 0), (6, 0), (6, 8), (0, 8)]], 4, (2, 2), (8, 8))
    >>> counter.add(0, np.array([[1.0, 2.0]]))
    >>> counter.add(1, np.array([[3.0, 4.0]]))
    >>> counter.result().rest
    3.0
    """

    def __init__(
        self,
        polygons: Iterable[Region | npt.ArrayLike],
        stride: float | tuple[float, float],
        shape: tuple[int, int],
        size: tuple[int, int],
    ) -> None:
        import shapely

        regions = _named(polygons)
        sx, sy = (stride, stride) if isinstance(stride, (int, float)) else stride
        self._cell = sx * sy
        self._grid = _Grid.of(shape, (float(sx), float(sy)), size)
        image = shapely.box(0, 0, *size)
        shapes, self._regions = [], []
        for region in regions:
            whole, notes = _geometry(region)
            inside = _areal(shapely.intersection(whole, image))
            outside = whole.area - inside.area
            if outside > 1e-9 * whole.area:
                part = "all" if inside.area == 0 else f"{outside / whole.area:.1%}"
                notes = (*notes, f"{part} of it lies outside the image")
            shapes.append(inside)
            self._regions.append((region.name, float(inside.area), notes))
        union = shapely.union_all(shapes) if shapes else shapely.MultiPolygon()
        self._rest_area = float(image.area - union.area)
        self._pairs = _overlapping(shapes)
        both = [_areal(shapely.intersection(shapes[a], shapes[b])) for a, b in self._pairs]
        self._union = _Coverage(union, self._grid)
        self._parts = [_Coverage(shape, self._grid) for shape in (*shapes, *both)]
        self._masses = np.zeros(len(self._parts))
        self._rest = self._total = self._covered = 0.0

    def add(self, first: int, band: npt.ArrayLike) -> None:
        """Add rows of the density, from row ``first`` on."""
        rows = np.asarray(band, dtype=np.float64)
        rows = rows[: max(0, self._grid.rows - first), : self._grid.columns]
        self._total += float(rows.sum())
        for k, part in enumerate(self._parts):
            self._masses[k] += part.mass(first, rows)
        inside = self._union.mass(first, rows)
        self._covered += inside
        self._rest += float(rows.sum()) - inside

    def result(self) -> RegionCounts:
        """Return the counts of what was added."""
        counts = tuple(
            RegionCount(name, float(mass), area, notes)
            for (name, area, notes), mass in zip(self._regions, self._masses)
        )
        names = [count.name for count in counts]
        overlaps = tuple(
            (names[a], names[b], float(mass)) for (a, b), mass in zip(self._pairs, self._masses[len(counts) :])
        )
        shared = float(sum(count.count for count in counts)) - self._covered if overlaps else 0.0
        return RegionCounts(counts, self._rest, self._total, shared, overlaps, self._rest_area)


@dataclass(frozen=True)
class _Grid:
    """The cells of a density that lie in the image, with the part of each last one that does, in cells."""

    rows: int
    columns: int
    stride: tuple[float, float]
    last_row: float
    last_column: float

    @classmethod
    def of(cls, shape: tuple[int, int], stride: tuple[float, float], size: tuple[int, int]) -> _Grid:
        rows, columns = cells_inside(shape[0], stride[1], size[1]), cells_inside(shape[1], stride[0], size[0])
        height, width = size[1] / stride[1], size[0] / stride[0]
        return cls(rows, columns, stride, min(1.0, height - rows + 1), min(1.0, width - columns + 1))


@dataclass
class _Coverage:
    """How much of each cell a shape covers, row by row.

    The area of a shape right of its outline is an integral along the outline (Green). It is cut at all borders of
    cells; a piece with the extent ``dy`` at the mean place ``x`` in its cell adds ``dy (1 - x)`` to that cell and
    ``dy`` to all cells right of it.
    """

    shape: Geometry
    grid: _Grid
    _row: IntArray = field(init=False)
    _column: IntArray = field(init=False)
    _near: FloatArray = field(init=False)
    _far: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        start, end = _edges(self.shape, self.grid.stride)
        row, column, near, far = _pieces(start, end)
        order = np.argsort(row, kind="stable")
        self._row, self._near, self._far = row[order], near[order], far[order]
        self._column = np.clip(column[order], 0, self.grid.columns)
        self._first = int(self._column.min(initial=self.grid.columns))
        self._last = int(self._column.max(initial=0)) + 1

    def mass(self, first: int, band: FloatArray) -> float:
        """Return the mass of the shape in rows of the density, from row ``first`` on."""
        width = self._last - self._first
        step = max(1, _BAND // max(1, width))
        found = 0.0
        for top in range(0, len(band), step):
            rows = band[top : top + step]
            below, above = np.searchsorted(self._row, (first + top, first + top + len(rows)))
            if below < above:
                found += self._mass(first + top, rows[:, self._first : self._last], slice(below, above))
        return found

    def _mass(self, first: int, rows: FloatArray, part: slice) -> float:
        count, width = len(rows), self._last - self._first
        place = (self._row[part] - first) * width + self._column[part] - self._first
        near, far = (np.bincount(place, v[part], count * width).reshape(count, width) for v in (self._near, self._far))
        covered = np.asarray(near + np.cumsum(far, axis=1) - far, dtype=np.float64)
        if first + count >= self.grid.rows:
            covered[self.grid.rows - 1 - first :] /= self.grid.last_row
        if self._last >= self.grid.columns:
            covered[:, self.grid.columns - 1 - self._first :] /= self.grid.last_column
        return float((rows * np.clip(covered[:, : rows.shape[1]], 0.0, 1.0)).sum())


def _edges(shape: Geometry, stride: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Return (n, 2) starts and ends of the edges, in cells; outlines run so that the shape's area is positive."""
    import shapely

    polygons = shapely.orient_polygons(shapely.get_parts(shape), exterior_cw=True)
    rings = shapely.get_rings(polygons)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    xy = xy / stride
    return xy[:-1][same], xy[1:][same]


def _pieces(start: FloatArray, end: FloatArray) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Return row, column, ``dy (1 - x)`` and ``dy`` of the edges cut at all borders of cells."""
    step = end - start
    edges = np.arange(len(start))
    owners, places = [edges, edges], [np.zeros(len(start)), np.ones(len(start))]
    for axis in (0, 1):
        low, high = np.minimum(start, end)[:, axis], np.maximum(start, end)[:, axis]
        first = np.floor(low).astype(np.int64) + 1
        number = np.maximum(0, np.ceil(high).astype(np.int64) - first)
        owner = np.repeat(edges, number)
        line = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number) + first[owner]
        owners.append(owner)
        places.append(np.clip((line - start[owner, axis]) / step[owner, axis], 0.0, 1.0))
    owner, place = np.concatenate(owners), np.concatenate(places)
    order = np.lexsort((place, owner))
    owner, place = owner[order], place[order]
    same = owner[1:] == owner[:-1]
    owner, before, after = owner[:-1][same], place[:-1][same], place[1:][same]
    x, y = (start[owner] + step[owner] * (0.5 * (before + after))[:, None]).T
    dy = step[owner, 1] * (after - before)
    row, column = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    return row, column, dy * (1.0 - (x - column)), dy


def require_area(region: Region) -> Region:
    """Return a region that encloses an area; one that doesn't, as it runs back on itself, is an :class:`InputError`.

    >>> require_area(Region("left", [[[(0, 0), (20, 0), (20, 30)]]])).name
    'left'
    """
    _geometry(region)
    return region


def _named(polygons: Iterable[Region | npt.ArrayLike]) -> list[Region]:
    """Return regions whose names differ."""
    regions = [
        given if isinstance(given, Region) else Region(f"region {k}", [[np.asarray(given)]])
        for k, given in enumerate(polygons, 1)
    ]
    return [Region(name, region.polygons, region.notes) for name, region in zip(_unique(regions), regions)]


def _unique(regions: Sequence[Region]) -> Iterator[str]:
    taken: set[str] = set()
    for region in regions:
        name, k = region.name, 2
        while name in taken:
            name, k = f"{region.name} ({k})", k + 1
        taken.add(name)
        yield name


def _geometry(region: Region) -> tuple[Geometry, tuple[str, ...]]:
    """Return a valid shape of a region and what was done to make it so."""
    import shapely

    parts, notes = [], region.notes
    for outline, *holes in region.polygons:
        polygon = shapely.Polygon(outline, holes)
        if not polygon.is_valid:
            polygon = _areal(shapely.make_valid(polygon))
            notes = (*notes, "its outline crosses itself; what it encloses was taken")
        parts.append(polygon)
    shape = _areal(shapely.union_all(parts))
    if not shape.area > 0:
        raise InputError(f"region {region.name!r} encloses no area; draw it again or remove it")
    return shape, tuple(dict.fromkeys(notes))


def _areal(shape: Geometry) -> Geometry:
    """Return the polygons of a geometry; lines and points where shapes touch have no area."""
    import shapely

    parts = shapely.get_parts(shape)
    nested = shapely.get_parts(parts)
    return shapely.MultiPolygon([part for part in nested if part.geom_type == "Polygon" and not part.is_empty])


def _overlapping(shapes: Sequence[Geometry]) -> list[tuple[int, int]]:
    """Return the pairs of shapes that share an area, not only a border."""
    import shapely

    if len(shapes) < 2:
        return []
    left, right = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = [(int(a), int(b)) for a, b in zip(left, right) if a < b]
    least = [1e-9 * min(shapes[a].area, shapes[b].area) for a, b in pairs[:_PAIRS]]
    return [(a, b) for (a, b), area in zip(pairs, least) if shapely.intersection(shapes[a], shapes[b]).area > area]
