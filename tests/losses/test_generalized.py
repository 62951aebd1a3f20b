from __future__ import annotations

import numpy as np
import ot
import pytest
import torch

from dotcount.errors import InputError
from dotcount.losses import create


def divergence(p, q):
    """KL(p | q) of measures that need not have the same mass."""
    p, q = np.broadcast_arrays(p, q)
    log = np.log(np.where(p > 0, p, 1) / np.where(p > 0, q, 1))
    return (p * log - p + q).sum()


def problem(density, points, stride, scale_px):
    h, w = density.shape
    centres = np.array([[stride * (c + 0.5), stride * (r + 0.5)] for r in range(h) for c in range(w)])
    cost = np.exp(np.linalg.norm(centres[:, None] - points[None], axis=-1) / scale_px) - 1
    return density.ravel(), np.ones(len(points)), cost


def reference(density, points, stride, scale_px, epsilon, rho):
    """(transport, dot term, cell term) from another library's plan, in float64 numpy."""
    u, v, cost = problem(density, points, stride, scale_px)
    plan = ot.unbalanced.sinkhorn_knopp_unbalanced(
        u, v, cost, reg=epsilon, reg_m=rho, reg_type="kl", numItermax=50_000, stopThr=1e-13
    )
    product = u[:, None] * v[None]
    q, gamma = plan.sum(1), plan.sum(0)
    transport = (cost * plan).sum() + rho * (divergence(q, u) + divergence(gamma, v))
    transport += epsilon * ((plan * (np.log(plan / product) - 1)).sum() + u.sum())
    return transport, abs(gamma - 1).sum(), ((q - u) ** 2).sum()


@pytest.mark.parametrize("stride", [4, 8])
def test_loss_equals_the_reference(stride):
    rng = np.random.default_rng(5)
    for m in (1, 2, 6):
        density = rng.random((6, 5)) * 0.3
        points = rng.random((m, 2)) * (5 * stride, 6 * stride)
        options = {"scale": 0.6, "epsilon": 0.05, "rho": 0.5}
        loss = create("generalized", tau=0.3, tol=1e-12, max_iter=20_000, **options)
        out = loss(torch.tensor(density)[None, None], [torch.tensor(points)], stride=stride)
        expected = reference(density, points, stride, 0.6 * 6 * stride, 0.05, 0.5)
        assert list(out.terms.values()) == pytest.approx([*expected, 0.6 * 6 * stride], rel=1e-6)
        assert out.total.item() == pytest.approx(expected[0] + 0.3 * (expected[1] + expected[2]), rel=1e-6)


def test_default_iterations_come_near_the_converged_value_on_a_crop():
    generator = torch.Generator().manual_seed(6)
    density = torch.rand(1, 1, 16, 16, generator=generator).square() * 0.2
    points = [torch.rand(12, 2, generator=generator) * 128]
    quick = create("generalized")(density, points, stride=8).total.item()
    exact = create("generalized", tol=1e-11, max_iter=20_000)(density.double(), points, stride=8).total.item()
    assert quick == pytest.approx(exact, rel=1e-3)


def test_dot_and_cell_terms_have_the_gradient_of_constant_potentials():
    """With P_ij / u_i and q constant: d dots / du_i = sum_j sign(gamma_j - 1) P_ij / u_i, d cells / du = 2 (u - q)."""
    rng = np.random.default_rng(7)
    density, points, stride = rng.random((4, 4)) * 0.3, rng.random((3, 2)) * 32, 8
    u, v, cost = problem(density, points, stride, 0.6 * 32)
    plan = ot.unbalanced.sinkhorn_knopp_unbalanced(
        u, v, cost, reg=0.05, reg_m=0.5, reg_type="kl", numItermax=50_000, stopThr=1e-13
    )
    expected = (np.sign(plan.sum(0) - 1) * plan).sum(1) / u + 2 * (u - plan.sum(1))
    grads = []
    for tau in (1.0, 0.0):
        grid = torch.tensor(density)[None, None].requires_grad_()
        loss = create("generalized", tau=tau, epsilon=0.05, tol=1e-12, max_iter=20_000)
        loss(grid, [torch.tensor(points)], stride=stride).total.backward()
        grads.append(grid.grad.flatten().numpy())
    assert grads[0] - grads[1] == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_the_length_scale_is_the_longer_side_unless_given():
    density, points = torch.full((1, 1, 4, 8), 0.1), [torch.tensor([[20.0, 12.0]])]
    default = create("generalized")(density, points, stride=8)
    assert default.terms["scale_px"] == pytest.approx(0.6 * 64)
    given = create("generalized", length_scale=64.0)(density, points, stride=8)
    assert torch.equal(given.total, default.total)


def test_costs_beyond_every_number_stay_finite():
    out = create("generalized", scale=0.001)(torch.full((1, 1, 8, 8), 0.1), [torch.tensor([[3.0, 3.0]])], stride=8)
    assert torch.isfinite(out.total)


@pytest.mark.parametrize(
    "options",
    [{"scale": 0}, {"epsilon": 0}, {"rho": 0}, {"tau": -1}, {"length_scale": 0}, {"max_iter": 0}, {"tol": -1}],
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match="got"):
        create("generalized", **options)
