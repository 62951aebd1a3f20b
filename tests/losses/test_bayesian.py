from __future__ import annotations

import math

import pytest
import torch

from dotcount.errors import InputError
from dotcount.losses import bayesian, create
from dotcount.losses._cells import image_cells
from dotcount.losses.base import check_batch


def reference(density, points, stride, sigma, background, ratio, side):
    """The loss from its definition, one cell and one dot at a time."""
    expected, background_mass = [0.0] * len(points), 0.0
    for r, row in enumerate(density):
        for c, mass in enumerate(row):
            centre = (stride * (c + 0.5), stride * (r + 0.5))
            squared = [math.dist(centre, p) ** 2 for p in points]
            if background == "ratio":
                squared.append((ratio * side) ** 2 / (min(squared) + 1e-5))
            elif background == "distance":
                squared.append((ratio * side - math.sqrt(min(squared))) ** 2)
            nearest = min(squared)
            likelihood = [math.exp((nearest - d) / (2 * sigma**2)) for d in squared]
            for j in range(len(points)):
                expected[j] += mass * likelihood[j] / sum(likelihood)
            if background != "none":
                background_mass += mass * likelihood[-1] / sum(likelihood)
    return sum(abs(1 - e) for e in expected) + background_mass


@pytest.mark.parametrize("background", ["none", "ratio", "distance"])
@pytest.mark.parametrize("stride", [4, 8])
def test_loss_equals_the_reference(background, stride):
    generator = torch.Generator().manual_seed(2)
    for m in (1, 2, 7):
        density = torch.rand(1, 1, 7, 5, dtype=torch.float64, generator=generator) * 0.2
        points = torch.rand(m, 2, dtype=torch.float64, generator=generator) * stride * 5
        ratio = {"ratio": 0.7, "distance": 0.2, "none": 0.0}[background]
        loss = create("bayesian", sigma=6.0, background=background, background_ratio=ratio)
        out = loss(density, [points], stride=stride)
        rows = density[0, 0].tolist()
        expected = reference(rows, points.tolist(), stride, 6.0, background, ratio, 5 * stride)
        assert out.total.item() == pytest.approx(expected)
        assert out.terms["dots"] + out.terms["background"] == pytest.approx(expected)
        mean = create("bayesian", sigma=6.0, background=background, background_ratio=ratio, reduction="mean")
        assert mean(density, [points], stride=stride).total.item() == pytest.approx(expected / m)


@pytest.mark.parametrize("background", ["none", "ratio", "distance"])
@pytest.mark.parametrize("where", ["everywhere", "corner", "outside", "coincident", "few"])
def test_blocks_of_cells_with_the_dots_near_them_give_the_same_loss(background, where, monkeypatch):
    """The same value, terms and gradient to rounding as with every dot for every cell, in both dtypes."""
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(3 if where == "few" else 300, 2, generator=generator, dtype=torch.float64) * 400
    if where == "corner":
        points = points / 8
    elif where == "outside":
        points = points * 4 - 700
    elif where == "coincident":
        points = points.div(100).round() * 100
    for dtype, rtol in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        density = torch.rand(2, 1, 53, 61, generator=generator, dtype=dtype).requires_grad_()
        loss = create("bayesian", background=background)
        results = []
        for pairs in (10**9, 0):
            monkeypatch.setattr(bayesian, "_WHOLE_PAIRS", pairs)
            out = loss(density, [points.to(dtype), points[:1].to(dtype)], stride=8, image_size=[(400, 480), (424, 488)])
            results.append((out.per_image, *torch.autograd.grad(out.total, density)))
        torch.testing.assert_close(results[1], results[0], rtol=rtol, atol=rtol)


def test_dots_are_left_out_where_they_cannot_matter():
    cells = image_cells(check_batch(torch.ones(1, 1, 64, 64), [torch.zeros(0, 2)], 8, None, None), 0)
    points = torch.rand(1000, 2, generator=torch.Generator().manual_seed(4)) * 512
    kept = [len(create("bayesian", sigma=4.0).near(block, points)) for block in cells.blocks(8)]
    assert len(kept) == 64
    assert max(kept) < 200
    assert sum(kept) > 1000


def test_too_many_overlapping_likelihoods_are_refused():
    points = [torch.full((2000, 2), 100.0)]
    with pytest.raises(InputError, match="lower sigma or choose smaller crops"):
        create("bayesian", sigma=500.0)(torch.rand(1, 1, 256, 256), points, stride=8)


def test_default_ratios_are_the_published_ones():
    assert create("bayesian").ratio == 1.0
    assert create("bayesian", background="distance").ratio == 0.15
    assert create("bayesian", background_ratio=0.1).ratio == 0.1


def test_the_short_side_can_be_that_of_the_image_before_cropping():
    density, points = torch.full((1, 1, 8, 8), 0.1), [torch.tensor([[32.0, 32.0]])]
    crop, whole = create("bayesian"), create("bayesian", short_side=1024.0)
    assert whole(density, points, stride=8).terms["background"] < crop(density, points, stride=8).terms["background"]
    same = create("bayesian", short_side=64.0)(density, points, stride=8)
    assert torch.equal(same.total, crop(density, points, stride=8).total)


@pytest.mark.parametrize("background", ["none", "ratio", "distance"])
def test_many_far_dots_do_not_underflow(background):
    points = torch.tensor([[0.5, 0.5], [5000.0, 5000.0]])
    out = create("bayesian", sigma=1.0, background=background)(torch.full((1, 1, 16, 16), 0.1), [points], stride=8)
    assert torch.isfinite(out.total)


@pytest.mark.parametrize(
    "options", [{"background": "sky"}, {"reduction": "max"}, {"sigma": 0}, {"short_side": 0}, {"background_ratio": -1}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match="got"):
        create("bayesian", **options)
