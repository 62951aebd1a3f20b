from __future__ import annotations

import numpy as np
import ot
import pytest
import torch

from dotcount.errors import InputError
from dotcount.losses import create


def reference(density, points, stride, weights, reg):
    """Count, transport by another library's plan, and total variation, in float64 numpy."""
    h, w = density.shape
    centres = np.array([[stride * (c + 0.5), stride * (r + 0.5)] for r in range(h) for c in range(w)])
    u, m = density.ravel(), len(points)
    cost = ((centres[:, None] - points[None]) ** 2).sum(-1)
    a, b = u / u.sum(), np.full(m, 1 / m)
    plan = ot.bregman.sinkhorn(a, b, cost, reg, method="sinkhorn_log", numItermax=20_000, stopThr=1e-12)
    product = a[:, None] * b[None]
    moved = plan > 0
    divergence = (plan[moved] * np.log(plan[moved] / product[moved])).sum()
    transport = (cost * plan).sum() + reg * divergence
    dots = np.zeros((h, w))
    for x, y in points:
        dots[int(y // stride), int(x // stride)] += 1
    variation = abs(a - dots.ravel() / m).sum() / 2
    return abs(u.sum() - m) + weights[0] * transport + weights[1] * m * variation


@pytest.mark.parametrize("stride", [4, 8])
def test_loss_equals_the_reference(stride):
    rng = np.random.default_rng(3)
    for m in (1, 2, 6):
        density = rng.random((6, 5))
        points = rng.random((m, 2)) * (5 * stride, 6 * stride)
        loss = create("dm_count", ot_weight=0.3, tv_weight=0.2, tol=1e-10, max_iter=10_000)
        out = loss(torch.tensor(density)[None, None], [torch.tensor(points)], stride=stride)
        assert out.total.item() == pytest.approx(reference(density, points, stride, (0.3, 0.2), 10.0), rel=1e-6)


def test_default_iterations_come_near_the_converged_value_on_a_crop():
    generator = torch.Generator().manual_seed(4)
    density = torch.rand(1, 1, 16, 16, generator=generator).square()
    points = [torch.rand(12, 2, generator=generator) * 128]
    quick = create("dm_count")(density, points, stride=8).terms["transport"]
    exact = create("dm_count", tol=1e-10, max_iter=20_000)(density.double(), points, stride=8).terms["transport"]
    assert quick == pytest.approx(exact, rel=0.01)


def test_the_units_are_pixels():
    """One unit of mass moved by 3 cells of 8 px costs 24^2 px^2, whatever the blur, since there is one dot only."""
    density = torch.zeros(1, 1, 4, 8, dtype=torch.float64)
    density[0, 0, 1, 5] = 1.0
    out = create("dm_count")(density, [torch.tensor([[20.0, 12.0]])], stride=8)
    assert out.terms["transport"] == pytest.approx(576)
    assert out.terms["total_variation"] == pytest.approx(1)
    assert out.terms["count"] == 0


def test_gradient_stays_finite_where_the_density_is_zero():
    density = torch.zeros(1, 1, 8, 8)
    density[0, 0, 2, 2] = 0.5
    density.requires_grad_()
    create("dm_count")(density, [torch.tensor([[60.0, 60.0], [20.0, 20.0]])], stride=8).total.backward()
    assert torch.isfinite(density.grad).all()
    assert density.grad[0, 0, 7, 7] < density.grad[0, 0, 0, 7]


@pytest.mark.parametrize("options", [{"ot_weight": -1}, {"reg": 0}, {"max_iter": 0}, {"tol": -1}, {"tv_weight": -1}])
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match="got"):
        create("dm_count", **options)
