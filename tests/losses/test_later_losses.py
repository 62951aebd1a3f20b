"""The losses published after the paper, each against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dotcount.errors import InputError
from dotcount.losses import create
from dotcount.losses._cells import image_cells, nearest_dots
from dotcount.losses.base import check_batch

from .definitions import CASES, STRIDE, case, problem


@pytest.mark.parametrize("m", [0, 1, 5, 60])
@pytest.mark.parametrize(
    ("name", "reference", "options"),
    CASES,
)
def test_loss_equals_its_definition(name, reference, options, m):
    density, points = problem(name, options, m)
    out = create(name, **options)(density, [points], stride=STRIDE)
    assert out.total.item() == pytest.approx(reference(density, points, **options), rel=1e-9, abs=1e-9)
    single = create(name, **options)(density.float(), [points.float()], stride=STRIDE)
    assert single.total.item() == pytest.approx(out.total.item(), rel=1e-4)


def test_a_mean_over_cells_is_the_sum_by_their_number():
    density, points = case(3, 4)
    mean = create("p2r", reduction="mean")(density, [points], stride=STRIDE).total
    assert mean.item() == pytest.approx(create("p2r")(density, [points], stride=STRIDE).total.item() / 42)


@pytest.mark.parametrize("m", [1, 40])
def test_the_nearest_dots_are_the_same_with_and_without_the_tree(m):
    """Elsewhere than on the CPU they are found row by row."""
    density, points = case(11, m, 9, 5)
    here = image_cells(check_batch(density, [points], STRIDE, None, None), 0)

    class Elsewhere:
        device = torch.device("cuda")

    other = type(here)(Elsewhere(), here.x, here.y, here.stride)  # type: ignore[arg-type]
    for one, two in zip(nearest_dots(here, points), nearest_dots(other, points), strict=True):
        torch.testing.assert_close(one, two)


def test_the_best_cell_of_a_flat_map_is_the_one_that_holds_the_dot():
    """Half a cell more or less would choose another: the dot is 0.45 cells from the middle of its own."""
    density = torch.full((1, 1, 6, 7), 0.02, dtype=torch.float64, requires_grad=True)
    for dx, dy in ((0.45, 0), (-0.45, 0), (0, 0.45), (0, -0.45)):
        point = torch.tensor([[(3.5 + dx) * STRIDE, (2.5 + dy) * STRIDE]], dtype=torch.float64)
        (gradient,) = torch.autograd.grad(create("p2r")(density, [point], stride=STRIDE).total, density)
        assert (gradient < 0).nonzero().tolist() == [[0, 0, 2, 3]]


def test_blocks_hold_the_dots_of_their_cells():
    """A dot just before and just behind the border between blocks of 16 px."""
    for x, column in ((15.9, 0), (16.1, 1)):
        density = torch.full((1, 1, 4, 4), 0.01, dtype=torch.float64, requires_grad=True)
        loss = create("zip", count_weight=0.0, inflation=0.0)(density, [torch.tensor([[x, 8.0]])], stride=STRIDE)
        (gradient,) = torch.autograd.grad(loss.total, density)
        assert (gradient[0, 0] < 0).nonzero()[:, 1].unique().tolist() == [2 * column, 2 * column + 1]


@pytest.mark.parametrize("name", ["pml", "p2r", "zip"])
def test_more_dots_than_cells_are_all_counted(name):
    """On the map that the loss likes best, found by descent, the mass is the number of dots."""
    generator = torch.Generator().manual_seed(5)
    points = torch.rand(40, 2, generator=generator, dtype=torch.float64) * 32
    logits = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    loss = create(name)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 400)
        total = loss(logits.exp(), [points], stride=STRIDE).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert logits.exp().sum().item() == pytest.approx(40, abs=0.5)
    assert total.item() >= -1e-9


def test_pml_is_never_negative_whatever_the_regions():
    """Dots at one corner, far from nearly all of their cells: surplus mass never pays."""
    density, _ = case(6, 0, 12, 12)
    for scale in (0.01, 1.0, 30.0):
        for points in ([[1.0, 1.0]], [[1.0, 1.0], [2.0, 3.0]], [[-400.0, 3.0], [90.0, 90.0]]):
            points = torch.tensor(points, dtype=torch.float64)
            out = create("pml", weight=0.58)(density * scale, [points], stride=STRIDE)
            assert out.total.item() >= 0


def test_between_cell_centres_exact_waves_ask_for_too_much_mass_and_shared_dots_do_not():
    points = torch.tensor([[30.0, 9.0]], dtype=torch.float64)
    masses = {}
    for placement in ("cells", "exact"):
        logits = torch.full((1, 1, 8, 8), -3.0, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([logits])
        loss = create("chfl", step=0.02, placement=placement)
        for step in range(300):
            optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 300)
            optimizer.zero_grad()
            loss(torch.nn.functional.softplus(logits), [points], stride=STRIDE).total.backward()
            optimizer.step()
        masses[placement] = torch.nn.functional.softplus(logits).sum().item()
    assert masses["cells"] == pytest.approx(1, abs=0.1)
    assert masses["exact"] > 1.5


def test_an_image_longer_than_the_period_of_its_waves_takes_finer_ones():
    """At the published spacing mass 628 px from a dot would match it."""
    density = torch.zeros(1, 1, 8, 100, dtype=torch.float64)
    density[..., 4, 90] = 1.0
    period = 2 * math.pi / 0.01
    points = torch.tensor([[90.5 * STRIDE - period, 4.5 * STRIDE]], dtype=torch.float64)
    out = create("chfl", placement="exact")(density, [points], stride=STRIDE)
    assert out.terms["step"] < 0.01
    assert out.total.item() > 0.1


def test_inflation_is_high_for_an_ignorant_map_and_none_for_one_that_knows():
    points = torch.tensor([[20.0, 20.0], [100.0, 90.0]])
    flat = torch.full((1, 1, 16, 16), 16 / 256)
    assert create("zip")(flat, [points], stride=STRIDE).terms["inflation"] > 0.3
    known = torch.zeros(1, 1, 16, 16)
    known[..., 2, 2] = known[..., 11, 12] = 1.0
    assert create("zip")(known, [points], stride=STRIDE).terms["inflation"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("inflation", [0.0, None])
def test_zip_counts_objects_seen_in_half_of_the_blocks_without_bias(inflation):
    """Blocks that look alike, half of them with an object: the likeliest mass of each is one half."""
    dots = torch.stack(torch.meshgrid(torch.arange(8) * 16.0 + 8, torch.arange(8) * 16.0 + 8, indexing="xy"), dim=-1)
    points = dots.reshape(-1, 2)[::2].double()
    loss = create("zip", count_weight=0.0, inflation=inflation)
    masses = torch.linspace(0.05, 1.2, 116, dtype=torch.float64)
    values = [loss(torch.full((1, 1, 16, 16), float(u) / 4), [points], stride=STRIDE).total.item() for u in masses]
    assert masses[int(np.argmin(values))].item() == pytest.approx(0.5, abs=0.011)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("chfl", {"domain": "cube"}),
        ("chfl", {"norm": "l3"}),
        ("chfl", {"placement": "near"}),
        ("chfl", {"step": 0.5}),
        ("pml", {"weight": 1.0}),
        ("pml", {"least_radius": 0}),
        ("p2r", {"reduction": "max"}),
        ("p2r", {"min_radius": 100}),
        ("zip", {"inflation": 1.0}),
        ("zip", {"block": 0}),
    ],
)
def test_bad_options_are_refused(name, options):
    with pytest.raises(InputError, match="got"):
        create(name, **options)
