"""What held-out images decide about a trained network."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dotcount.calibration import choose_peaks
from dotcount.metadata import PeakRule


def maps(spread: float, n: int = 6) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Densities of stride 4 with one unit around each dot, ``spread`` cells wide, and crumbs of 0.4 in single cells."""
    rng, densities, dots = np.random.default_rng(0), [], []
    for _ in range(n):
        places = rng.permutation(np.stack(np.mgrid[4:60:9, 4:60:9], axis=-1).reshape(-1, 2))
        cells, crumbs = places[:30], places[30:]
        density = np.zeros((64, 64))
        density[tuple(cells.T)] = 1.0
        density = ndimage.gaussian_filter(density, spread) if spread else density
        density[tuple(crumbs.T)] += 0.4
        densities.append(density)
        dots.append(4.0 * (cells[:, ::-1] + 0.5))
    return densities, dots


@pytest.mark.parametrize(("spread", "radii"), [(0.0, {1}), (1.6, {2, 3, 4})])
def test_the_windows_are_as_wide_as_the_objects_in_the_map(spread: float, radii: set[int]) -> None:
    peaks = choose_peaks(*maps(spread), 4)
    assert peaks.radius in radii
    assert choose_peaks(*maps(spread), 4, radius=2).radius == 2


def test_without_a_dot_the_defaults_stay() -> None:
    peaks = choose_peaks([np.zeros((8, 8))], [np.zeros((0, 2))], 4)
    assert peaks == PeakRule("mass", 1, 0.5)
