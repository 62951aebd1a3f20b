from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings

from dotcount.transport.cells import make_cells
from dotcount.transport.costs import Cost
from dotcount.transport.neighbours import find_neighbours

from . import problems as pb


def kept_matrix(cells, neighbours, m: int) -> torch.Tensor:
    """Return (n_blocks, m) bool for a single image."""
    kept = torch.zeros(len(cells.mass), m + 1, dtype=torch.bool)
    kept[neighbours.block[:, None], neighbours.dots] = True
    return kept[:, :m]


def pixel_positions(cells) -> torch.Tensor:
    return cells.corner[:, None] + cells.offsets[None] * cells.unit[:, None, None]


@pytest.mark.parametrize("own_lengths", [False, True])
@settings(max_examples=40, deadline=None)
@given(*pb.SEARCHES)
def test_the_bound_covers_every_pair_left_out(own_lengths, seed, rows, columns, m, name, epsilon, cutoff):
    g = torch.Generator().manual_seed(seed)
    unit = 1.0 / max(rows, columns)
    cells = make_cells([torch.rand(rows, columns, generator=g, dtype=torch.float64)], [unit])
    dots = torch.rand(1, m, 2, generator=g, dtype=torch.float64) * 1.2 - 0.1
    beta = 0.1 * torch.randn(1, m, generator=g, dtype=torch.float64)
    cost = Cost(name, 0.3 if name == "wfr" else None)
    shrink = torch.rand(1, m, generator=g, dtype=torch.float64) ** 2 if own_lengths else None
    found = find_neighbours(cells, dots, [m], beta, cost, epsilon, cutoff * epsilon, shrink)
    kept = kept_matrix(cells, found, m)
    d = pixel_positions(cells)[:, :, None] - dots[0]
    if shrink is not None:
        d = d * shrink[0, :, None]
    score = (beta[0] - cost.of_difference(d[..., 0], d[..., 1])) / epsilon
    dropped = torch.logsumexp(score.masked_fill(kept[:, None], -math.inf), -1)
    inside = torch.zeros_like(cells.mass, dtype=torch.bool)
    y, x = pixel_positions(cells)[..., 1], pixel_positions(cells)[..., 0]
    inside = (x < columns * unit) & (y < rows * unit)
    assert (dropped <= found.log_dropped[:, None] + 1e-9)[inside].all()
    assert kept.any(0).all(), "every dot is on some list"
    best = score.argmax(-1)
    reached = inside & torch.isfinite(score.amax(-1))
    assert kept.gather(1, best)[reached].all(), "the best dot of each cell is kept"


def test_an_infinite_cutoff_keeps_all_pairs_and_drops_nothing():
    cells = make_cells([torch.rand(9, 5, dtype=torch.float64)], [0.1])
    found = find_neighbours(
        cells, torch.rand(1, 7, 2).double(), [7], torch.zeros(1, 7).double(), Cost("l2"), 0.01, math.inf
    )
    assert kept_matrix(cells, found, 7).all()
    assert (found.log_dropped == -math.inf).all()


def test_far_pairs_are_really_left_out():
    cells = make_cells([torch.rand(64, 64, dtype=torch.float64)], [1 / 64])
    dots = torch.rand(1, 500, 2, generator=torch.Generator().manual_seed(0)).double()
    found = find_neighbours(cells, dots, [500], torch.zeros(1, 500).double(), Cost("l2"), 0.005, 0.06)
    assert kept_matrix(cells, found, 500).double().mean() < 0.2


def test_images_keep_to_their_own_dots():
    cells = make_cells(
        [torch.rand(8, 8).double(), torch.rand(3, 9).double(), torch.rand(5, 5).double()], [0.1, 0.1, 0.2]
    )
    dots = torch.rand(3, 6, 2).double()
    found = find_neighbours(cells, dots, [6, 0, 4], torch.zeros(3, 6).double(), Cost("l2"), 0.01, 0.1)
    image = cells.image[found.block]
    assert set(image.tolist()) == {0, 2}
    owner = torch.where(found.dots == 18, image[:, None], torch.div(found.dots, 6, rounding_mode="floor"))
    assert (owner == image[:, None]).all()


@pytest.mark.parametrize("m", [1, 33])
def test_unreachable_dots_still_get_a_place(m):
    """A dot far outside loses everywhere, but it must be possible to pay it."""
    cells = make_cells([torch.rand(8, 8).double()], [1 / 8])
    dots = torch.rand(1, m + 1, 2).double()
    dots[0, -1] = 5.0
    found = find_neighbours(cells, dots, [m + 1], torch.zeros(1, m + 1).double(), Cost("l2"), 0.01, 0.05)
    assert kept_matrix(cells, found, m + 1)[:, -1].sum() >= 1
