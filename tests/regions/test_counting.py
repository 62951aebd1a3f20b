import math
from itertools import pairwise

import numpy as np
import pytest
import shapely

from dotcount.errors import InputError
from dotcount.regions import Region, RegionCounter, count_regions


def by_cells(density, stride, shape, size):
    """Count cell by cell with GEOS: an oracle that shares nothing with the integrals along outlines."""
    rows, columns = density.shape
    r, c = np.mgrid[:rows, :columns]
    sx, sy = stride
    boxes = shapely.box(c * sx, r * sy, (c + 1) * sx, (r + 1) * sy)
    cells = shapely.intersection(boxes, shapely.box(0, 0, *size))
    share = np.divide(
        shapely.area(shapely.intersection(cells, shape)),
        shapely.area(cells),
        out=np.zeros(density.shape),
        where=shapely.area(cells) > 0,
    )
    return float((density * share).sum())


def star(random, centre, radius):
    angles = np.sort(random.uniform(0, 2 * math.pi, random.integers(3, 14)))
    reach = radius * random.uniform(0.3, 1, len(angles))
    return centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None]


def drawn(random, size):
    """Draw regions: some with holes, some of two parts, some that reach outside or cross themselves."""
    regions = []
    for k in range(random.integers(1, 5)):
        polygons = []
        for _ in range(random.integers(1, 3)):
            centre = random.uniform(-0.2, 1.2, 2) * size
            radius = random.uniform(0.05, 0.6) * max(size)
            rings = [star(random, centre, radius)]
            if random.random() < 0.3:
                rings.append(star(random, centre, 0.25 * radius))
            if random.random() < 0.2:
                rings[0] = random.permutation(rings[0])
            polygons.append(rings)
        regions.append(Region(f"r{k}", polygons))
    return regions


def valid(region):
    parts = [shapely.make_valid(shapely.Polygon(rings[0], rings[1:])) for rings in region.polygons]
    return shapely.union_all(parts)


def density_of(random, size, stride):
    rows, columns = math.ceil(size[1] / stride[1]), math.ceil(size[0] / stride[0])
    density = random.exponential(size=(rows, columns)) * (random.random((rows, columns)) < 0.5)
    density[(np.arange(rows) + 0.5) * stride[1] >= size[1]] = 0
    density[:, (np.arange(columns) + 0.5) * stride[0] >= size[0]] = 0
    return density.astype(np.float32)


@pytest.mark.parametrize("seed", range(200))
def test_regions_and_rest_are_the_total_and_each_is_what_geos_finds(seed):
    random = np.random.default_rng(seed)
    size = tuple(int(n) for n in random.integers(5, 120, 2))
    stride = (4.0, 4.0) if seed % 2 else tuple(random.uniform(2, 9, 2))
    density = density_of(random, size, stride)
    regions = drawn(random, size)
    found = count_regions(density, stride, regions, size)
    total = float(density.sum(dtype=np.float64))
    assert found.total == pytest.approx(total, rel=1e-9)
    summed = sum(region.count for region in found.regions) - found.shared + found.rest
    assert summed == pytest.approx(total, rel=1e-6)
    shapes = [valid(region) for region in regions]
    for region, shape in zip(found.regions, shapes):
        assert region.count == pytest.approx(by_cells(density, stride, shape, size), rel=1e-6, abs=1e-6 * total)
    rest = shapely.difference(shapely.box(0, 0, *size), shapely.union_all(shapes))
    assert found.rest == pytest.approx(by_cells(density, stride, rest, size), rel=1e-6, abs=1e-6 * total)
    assert found.rest_area == pytest.approx(rest.area, rel=1e-6, abs=1e-6)


def test_a_tiling_of_the_image_leaves_no_rest():
    random = np.random.default_rng(0)
    density = density_of(random, (101, 67), (4.0, 4.0))
    xs, ys = np.r_[0, np.sort(random.uniform(0, 101, 5)), 101], np.r_[0, np.sort(random.uniform(0, 67, 5)), 67]
    tiles = [[(a, c), (b, c), (b, d), (a, d)] for a, b in pairwise(xs) for c, d in pairwise(ys)]
    found = count_regions(density, 4, tiles, (101, 67))
    assert sum(r.count for r in found.regions) == pytest.approx(found.total, rel=1e-12)
    assert abs(found.rest) < 1e-9 * found.total
    assert found.overlaps == ()


def test_overlaps_parts_outside_and_crossed_outlines_are_told():
    square = [(0, 0), (8, 0), (8, 8), (0, 8)]
    shifted = [(4, 4), (12, 4), (12, 12), (4, 12)]
    bow = [(0, 0), (8, 8), (8, 0), (0, 8)]
    far = [(20, 20), (30, 20), (30, 30)]
    regions = [Region("a", [[square]]), Region("a", [[shifted]]), Region("bow", [[bow]]), Region("far", [[far]])]
    found = count_regions(np.ones((2, 2)), 4, regions, (8, 8))
    assert [region.name for region in found.regions] == ["a", "a (2)", "bow", "far"]
    assert [region.count for region in found.regions] == pytest.approx([4, 1, 2, 0])
    assert ("a", "a (2)", pytest.approx(1.0)) in found.overlaps
    assert "75.0% of it lies outside the image" in found.regions[1].notes
    assert "all of it lies outside the image" in found.regions[3].notes
    assert any("crosses itself" in note for note in found.regions[2].notes)
    assert sum(r.count for r in found.regions) - found.shared + found.rest == pytest.approx(4)
    assert found.regions[0].interval is None


def test_bands_give_what_the_whole_gives():
    random = np.random.default_rng(3)
    density, regions = density_of(random, (90, 110), (4.0, 4.0)), drawn(random, (90, 110))
    counter = RegionCounter(regions, 4, density.shape, (90, 110))
    for first in range(0, len(density), 5):
        counter.add(first, density[first : first + 5])
    assert counter.result().rest == pytest.approx(count_regions(density, 4, regions, (90, 110)).rest, rel=1e-12)


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ([(0, 0), (1, 1)], "fewer than three"),
        ([(0, 0), (4, 0), (math.nan, 4)], "not finite"),
        ([(0, 0), (1, 1), (2, 2)], "no area"),
    ],
)
def test_what_is_no_region_is_named(polygon, words):
    with pytest.raises(InputError, match=words):
        count_regions(np.ones((2, 2)), 4, [polygon], (8, 8))


def test_without_regions_all_is_rest():
    found = count_regions(np.ones((2, 2)), 4, [], (8, 8))
    assert (found.regions, found.rest, found.total, found.rest_area) == ((), 4.0, 4.0, 64.0)


def test_holes_are_left_out():
    ring = Region("ring", [[[(0, 0), (8, 0), (8, 8), (0, 8)], [(2, 2), (6, 2), (6, 6), (2, 6)]]])
    assert count_regions(np.ones((2, 2)), 4, [ring], (8, 8)).regions[0].count == pytest.approx(3)
