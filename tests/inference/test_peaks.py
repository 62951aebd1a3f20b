from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from dotcount.calibration import choose_threshold
from dotcount.errors import InputError
from dotcount.inference import find_peaks, peaks
from dotcount.inference.peaks import LEAST_MASS
from dotcount.metrics import GreedyScorer
from tests.metrics import references

METHODS = ("mass", "nms")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("cell", [(0, 0), (0, 7), (5, 0), (5, 7), (2, 3), (0, 4)])
def test_one_unit_in_one_cell_is_found_at_the_cell_centre_also_at_the_border(method, stride, cell):
    density = np.zeros((6, 8))
    density[cell] = 1.0
    xy, scores = find_peaks(density, stride, method=method)
    assert xy.tolist() == [[stride * (cell[1] + 0.5), stride * (cell[0] + 0.5)]]
    assert scores.tolist() == [1.0]


@pytest.mark.parametrize("method", METHODS)
def test_mass_spread_over_two_by_two_cells_is_one_point_at_its_centre_of_mass(method):
    density = np.zeros((6, 6))
    density[2:4, 3:5] = [[0.1, 0.2], [0.3, 0.4]]
    xy, scores = find_peaks(density, 8, method=method)
    assert scores == pytest.approx([1.0])
    assert xy[0] == pytest.approx([8 * (3.5 * 0.4 + 4.5 * 0.6), 8 * (2.5 * 0.3 + 3.5 * 0.7)])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (3, 3), (1, 3)])
def test_a_plateau_is_one_object(method, shape):
    density = np.zeros((7, 7))
    density[2 : 2 + shape[0], 3 : 3 + shape[1]] = 1 / (shape[0] * shape[1])
    xy, scores = find_peaks(density, 1, 0.3, method=method)
    assert len(xy) == 1
    assert scores[0] <= 1 + 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_objects_two_cells_apart_stay_apart(method):
    density = np.zeros((3, 7))
    density[1, [1, 3, 5]] = 1.0
    xy, scores = find_peaks(density, 2, method=method)
    assert sorted(xy.tolist()) == [[3, 3], [7, 3], [11, 3]]
    assert scores == pytest.approx([1, 1, 1])


def test_mass_finds_several_objects_in_one_cell():
    density = np.zeros((5, 5))
    density[2, 2] = 3.0
    xy, scores = find_peaks(density, 8)
    assert xy.tolist() == [[20, 20]] * 3
    assert scores == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("stride", "most"), [(4, 600), (8, 2400)])
def test_a_ruined_map_yields_no_more_points_than_the_largest_crowd_has(stride, most):
    """One for every 16 px^2, the strongest first; what a map within that bound holds is found whole."""
    density = np.full((20, 30), 1e6)
    density[3, 7] = 2e6
    xy, scores = find_peaks(density, stride)
    assert len(xy) == most
    assert (scores == 1).all()
    assert xy[0].tolist() == [7.5 * stride, 3.5 * stride]
    full = np.full((20, 30), most / 600)
    assert len(find_peaks(full, stride)[0]) == most


def test_nms_equals_the_cell_by_cell_reference():
    rng = np.random.default_rng(6)
    for _ in range(1000):
        shape = rng.integers(1, 8, 2)
        density = rng.random(shape) if rng.random() < 0.5 else rng.integers(0, 3, shape) / 4.0
        xy, scores = find_peaks(density, 1, 0.3, method="nms")
        expected = references.nms_peaks(density, 0.3)
        found = np.column_stack([xy, scores])
        by_place = np.array(expected).reshape(-1, 3)
        assert np.allclose(*(table[np.lexsort(table.T.round(9))] for table in (found, by_place)), rtol=0, atol=1e-9)


densities = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).gamma(0.1, 1.0, np.random.default_rng(seed).integers(1, 12, 2))
)


@given(densities, st.sampled_from(METHODS), st.integers(1, 2))
def test_scores_never_exceed_the_mass_and_points_lie_on_the_map(density, method, radius):
    xy, scores = find_peaks(density, 4, 0.1, method=method, radius=radius)
    assert scores.sum() <= density.sum() + 1e-6
    assert (np.diff(scores) <= 0).all()
    assert (xy >= 0).all()
    assert (xy <= np.array(density.shape[::-1]) * 4).all()


@given(densities, st.sampled_from(METHODS))
def test_a_higher_threshold_gives_a_subset(density, method):
    low, scores = find_peaks(density, 4, 0.2, method=method)
    high, _ = find_peaks(density, 4, 0.6, method=method)
    assert high.tolist() == low[scores >= 0.6].tolist()


@given(densities, st.integers(1, 2))
def test_mass_leaves_no_more_than_a_crumb_in_any_window(density, radius):
    _, scores = find_peaks(density, 4, 0.0, radius=radius)
    side = 2 * radius + 1
    windows = -(-density.shape[0] // side) * -(-density.shape[1] // side)
    assert density.sum() - scores.sum() < LEAST_MASS * windows + 1e-9
    assert (scores <= 1 + 1e-9).all()


@pytest.mark.parametrize("method", METHODS)
def test_transposing_a_map_without_ties_transposes_the_points(method):
    density = np.random.default_rng(7).random((9, 14)) ** 4
    xy, scores = find_peaks(density, 8, method=method)
    turned, turned_scores = find_peaks(density.T, 8, method=method)
    assert np.allclose(turned[:, ::-1], xy)
    assert np.allclose(turned_scores, scores)


@pytest.mark.parametrize("method", METHODS)
def test_padding_is_left_out_and_points_stay_inside_the_image(method):
    density = np.zeros((3, 3))
    density[0, 0] = density[2, 2] = density[0, 2] = 1.0
    xy, _ = find_peaks(density, 8, method=method, image_size=(19, 21))
    assert sorted(xy.tolist()) == [[4, 4], [20, 4]]
    xy, _ = find_peaks(np.ones((1, 1)), 8, method=method, image_size=(5, 5))
    assert xy == pytest.approx(np.array([[4.0, 4.0]]))


@pytest.mark.parametrize("density", [np.zeros((4, 4)), np.zeros((0, 4)), np.full((30, 30), 0.01)])
@pytest.mark.parametrize("method", METHODS)
def test_blank_maps_have_no_points(method, density):
    xy, scores = find_peaks(density, 8, 0.0, method=method)
    assert xy.shape == (0, 2)
    assert scores.shape == (0,)


def test_choose_threshold_separates_objects_from_noise():
    rng = np.random.default_rng(8)
    maps, dots = [], []
    for _ in range(5):
        density = np.zeros((20, 20))
        for row, column in [(2, 3), (10, 10), (17, 5)]:
            density[row, column] = rng.uniform(0.7, 0.9)
        density[5, 15] = density[14, 17] = 0.42
        maps.append(density)
        dots.append([[28, 20], [84, 84], [44, 140]])
    for options in ({}, {"sigma": 8.0}, {"method": "nms"}):
        choice = choose_threshold(maps, dots, 8, **options)
        assert choice.threshold == 0.5  # all from 0.45 to 0.7 are perfect
        assert choice.f == choice.f_by_candidate.max() == 1.0
        assert len(choice.candidates) == len(choice.f_by_candidate)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match=r"shape \(h, w\)"):
        find_peaks(np.zeros((1, 2, 2)), 8)
    with pytest.raises(InputError, match="not negative"):
        find_peaks(np.array([[np.nan]]), 8)
    with pytest.raises(InputError, match="radius"):
        find_peaks(np.zeros((2, 2)), 8, radius=0)
    with pytest.raises(InputError, match="mass, nms"):
        find_peaks(np.zeros((2, 2)), 8, method="max")
    with pytest.raises(InputError, match="stride"):
        find_peaks(np.zeros((2, 2)), 0)
    with pytest.raises(InputError, match="at least one validation image"):
        choose_threshold([], [], 8)
    with pytest.raises(InputError, match="candidates"):
        choose_threshold([np.zeros((2, 2))], [[]], 8, candidates=[])


def test_choose_threshold_gives_each_candidate_the_score_of_its_own_points():
    rng = np.random.default_rng(9)
    maps = [rng.gamma(0.1, 1.0, (12, 9)) for _ in range(4)]
    dots = [rng.random((int(rng.integers(0, 8)), 2)) * (72, 96) for _ in maps]
    choice = choose_threshold(maps, dots, 8, sigma=12.0)
    for candidate, f in zip(choice.candidates, choice.f_by_candidate):
        scorer = GreedyScorer([12.0])
        for density, points in zip(maps, dots):
            scorer.update(find_peaks(density, 8, float(candidate))[0], points)
        assert scorer.compute().f == pytest.approx(f)
    assert choice.f == choice.f_by_candidate.max()


def test_a_large_map_is_searched_in_blocks_with_the_same_points(monkeypatch):
    random = np.random.default_rng(0)
    density = np.zeros((300, 260), np.float32)
    density[random.integers(0, 300, 900), random.integers(0, 260, 900)] = random.uniform(0.2, 1.4, 900)
    density = gaussian_filter(density, 0.7)
    for method in ("mass", "nms"):
        whole = find_peaks(density, 4, 0.3, method=method, image_size=(1198, 1039))
        monkeypatch.setattr(peaks, "_BLOCK", 96)
        monkeypatch.setattr(peaks, "LARGE_CELLS", (96 + 2 * 48) ** 2)
        parts = find_peaks(density, 4, 0.3, method=method, image_size=(1198, 1039))
        monkeypatch.undo()
        assert len(whole[0]) == len(parts[0]) > 200
        for _, mass in (whole, parts):
            assert np.all(np.diff(mass) <= 0)
        order = [np.lexsort(np.round(xy, 6).T) for xy, _ in (whole, parts)]
        assert np.allclose(whole[0][order[0]], parts[0][order[1]], atol=1e-6)
        assert np.allclose(whole[1][order[0]], parts[1][order[1]], atol=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(1, 14), st.integers(1, 14)))
def test_windows_of_nine_cells_are_emptied_in_numbers_as_in_arrays(seed, shape):
    rng = np.random.default_rng(seed)
    cells = rng.gamma(0.2, 1.0, shape)  # without ties, in which rounding decides
    places = [(-float(v), *at) for at, v in np.ndenumerate(peaks._smooth(cells))]
    heaps = [sorted(places), sorted(places)]
    wanted = peaks._take(np.pad(cells, 1), heaps[0], most=1e9, radius=1)
    got = peaks._take_nine(np.pad(cells, 1), heaps[1], most=1e9)
    np.testing.assert_allclose(np.reshape(got, (-1, 3)), np.reshape(wanted, (-1, 3)), rtol=1e-9, atol=1e-9)
    assert sum(mass for *_, mass in got) <= cells.sum() * (1 + 1e-12)
