from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dotcount.errors import InputError
from dotcount.losses import create


def reference_target(points, sigmas, rows, columns, stride):
    """Every cell of every kernel by the error function, divided by the kernel's sum over the cells."""
    target = [[0.0] * columns for _ in range(rows)]

    def share(k, centre, sigma):
        z = [(edge * stride - centre) / (sigma * math.sqrt(2)) for edge in (k, k + 1)]
        return (math.erf(z[1]) - math.erf(z[0])) / 2

    for (x, y), sigma in zip(points, sigmas):
        x, y = min(max(x, 0.0), columns * stride), min(max(y, 0.0), rows * stride)
        kernel = [[share(r, y, sigma) * share(c, x, sigma) for c in range(columns)] for r in range(rows)]
        total = sum(map(sum, kernel))
        for r in range(rows):
            for c in range(columns):
                target[r][c] += kernel[r][c] / total
    return torch.tensor(target, dtype=torch.float64)


def reference_adaptive(points, beta, neighbours):
    sigmas = []
    for i, p in enumerate(points):
        others = sorted(math.dist(p, q) for j, q in enumerate(points) if j != i)[:neighbours]
        sigmas.append(beta * sum(others) / len(others))
    return sigmas


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("kernel", ["fixed", "adaptive"])
def test_loss_equals_the_cell_by_cell_reference(kernel, stride):
    generator = torch.Generator().manual_seed(1)
    for m in (1, 2, 3, 9):
        density = torch.rand(1, 1, 6, 9, dtype=torch.float64, generator=generator)
        points = torch.rand(m, 2, dtype=torch.float64, generator=generator) * stride * 11 - stride
        sigmas = [5.0] * m if kernel == "fixed" or m == 1 else reference_adaptive(points.tolist(), 0.3, 3)
        target = reference_target(points.tolist(), sigmas, 6, 9, stride)
        loss = create("gaussian_l2", kernel=kernel, sigma=5.0, min_sigma=1e-3)
        out = loss(density, [points], stride=stride)
        assert out.total.item() == pytest.approx(((density[0, 0] - target) ** 2).sum().item() / 2)
        assert out.terms["sigma_px"] == pytest.approx(sum(sigmas) / m)
        mean = create("gaussian_l2", kernel=kernel, sigma=5.0, min_sigma=1e-3, reduction="mean")
        assert mean(density, [points], stride=stride).total.item() == pytest.approx(out.total.item() / 54)


coordinate = st.floats(-20, 100)


@given(
    st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=5),
    st.floats(0.01, 200),
    st.sampled_from([4, 8]),
    st.sampled_from([(80, 64), (61, 33), (9, 80)]),
)
def test_every_dot_adds_a_mass_of_one_at_the_border_and_outside_too(dots, sigma, stride, size):
    """With a target t, 1/2 |t + 1|^2 - 1/2 |t|^2 - n/2 is the sum of t over the n valid cells."""
    points = torch.tensor(dots, dtype=torch.float64)
    loss = create("gaussian_l2", sigma=sigma)
    h, w = 80 // stride, 80 // stride
    zeros, ones = torch.zeros(1, 1, h, w, dtype=torch.float64), torch.ones(1, 1, h, w, dtype=torch.float64)
    plain = loss(zeros, [points], stride=stride, image_size=[size]).total
    moved = loss(ones, [points], stride=stride, image_size=[size]).total
    cells = math.prod(int(side / stride + 0.499999) for side in size)
    assert (plain - moved + cells / 2).item() == pytest.approx(len(dots), rel=1e-9)


def test_adaptive_sigma_has_bounds_and_needs_a_neighbour():
    loss = create("gaussian_l2", kernel="adaptive", sigma=7.0, min_sigma=2.0, max_sigma=20.0)
    assert loss.sigmas(torch.tensor([[5.0, 5.0]])).tolist() == [7.0]
    assert loss.sigmas(torch.tensor([[5.0, 5.0], [5.0, 5.0]])).tolist() == [2.0, 2.0]
    assert loss.sigmas(torch.tensor([[0.0, 0.0], [1000.0, 0.0]])).tolist() == [20.0, 20.0]
    assert loss.sigmas(torch.tensor([[0.0, 0.0], [30.0, 0.0]])).tolist() == pytest.approx([9.0, 9.0])


@pytest.mark.parametrize(
    "options", [{"kernel": "round"}, {"reduction": "max"}, {"sigma": 0.0}, {"min_sigma": 3.0, "max_sigma": 2.0}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match="got"):
        create("gaussian_l2", **options)
