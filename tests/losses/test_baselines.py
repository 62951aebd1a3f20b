"""What holds for every baseline: padding, empty images, ragged batches, cell centres (uot too), gradients, learning."""

from __future__ import annotations

import pytest
import torch

from dotcount.losses import create

BASELINES = {
    "gaussian_l2": {"sigma": 4.0},
    "bayesian": {},
    "dm_count": {},
    "generalized": {},
    "chfl": {},
    "pml": {},
    "p2r": {},
    "zip": {},
}
EXACT = {"tol": 1e-12, "max_iter": 20_000}


@pytest.fixture(params=BASELINES)
def name(request):
    return request.param


def make(name, **options):
    return create(name, **BASELINES.get(name, {}) | options)


def random_case(seed, m, h=6, w=7, stride=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(1, 1, h, w, generator=generator, dtype=dtype) * 0.4 + 0.01
    points = torch.rand(m, 2, generator=generator, dtype=dtype) * torch.tensor([w, h], dtype=dtype) * stride
    return density, points


def test_a_ragged_batch_is_the_mean_of_its_images(name):
    cases = [random_case(seed, m) for seed, m in enumerate([3, 0, 1])]
    loss = make(name, **({"length_scale": 56.0} if name == "generalized" else {}))
    together = loss(torch.cat([d for d, _ in cases]), [p for _, p in cases], stride=8)
    alone = torch.stack([loss(d, [p], stride=8).total for d, p in cases])
    assert torch.allclose(together.per_image, alone)
    assert torch.allclose(together.total, alone.mean())
    assert not together.per_image.requires_grad
    assert all(isinstance(value, float) for value in together.terms.values())


def test_padding_changes_nothing_and_gets_no_gradient(name):
    density, points = random_case(3, 4)
    loss = make(name, **({"length_scale": 56.0} if name == "generalized" else {}))
    padded = torch.full((1, 1, 9, 10), 3.0, dtype=torch.float64)
    padded[..., :6, :7] = density
    padded.requires_grad_()
    out = loss(padded, [points], stride=8, image_size=[(48, 56)])
    assert torch.allclose(out.total, loss(density, [points], stride=8).total)
    out.total.backward()
    outside = padded.grad.clone()
    outside[..., :6, :7] = 0
    assert not outside.any()
    assert padded.grad[..., :6, :7].any()


def test_without_dots_the_mass_goes_to_zero(name):
    density, _ = random_case(4, 0)
    density.requires_grad_()
    out = make(name)(density, [torch.zeros(0, 2, dtype=torch.float64)], stride=8)
    out.total.backward()
    assert out.total > 0
    if name == "chfl":  # waves overlap: less mass somewhere may cost more, but less of the same map costs less
        assert (density.grad * density.detach()).sum() > 0
    else:
        assert (density.grad > 0).all()
    nothing = make(name)(torch.zeros(1, 1, 6, 7), [torch.zeros(0, 2)], stride=8)
    assert nothing.total == 0


def test_an_image_below_half_a_cell_and_a_density_of_zeros_are_finite(name):
    density = torch.zeros(2, 1, 4, 4, requires_grad=True)
    out = make(name)(
        density, [torch.tensor([[1.0, 1.0]]), torch.tensor([[9.0, 9.0]])], stride=8, image_size=[(3, 3), (32, 32)]
    )
    out.total.backward()
    assert torch.isfinite(out.per_image).all()
    assert torch.isfinite(density.grad).all()


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("background", ["none", "ratio"])
def test_cell_centres_bayesian(stride, background):
    """With dots on the centres of cells (2, 1) and (2, 5), cell (2, 3) belongs to both alike; each owns its own."""
    loss = make("bayesian", background=background, sigma=stride / 4)
    points = torch.tensor([[stride * 1.5, stride * 2.5], [stride * 5.5, stride * 2.5]], dtype=torch.float64)
    density = torch.zeros(1, 1, 5, 7, dtype=torch.float64)
    density[0, 0, 2, 1] = density[0, 0, 2, 5] = 1.0
    assert loss(density, [points], stride=stride).total.item() == pytest.approx(0, abs=1e-12)
    density[0, 0, 2, 3] = 1.0
    posterior = make("bayesian", background="none")
    out = posterior(density, [points], stride=stride)
    assert out.total.item() == pytest.approx(1.0)
    assert loss.sigma == stride / 4
    density.requires_grad_()
    first = torch.autograd.grad(posterior(density, [points], stride=stride).total, density)[0]
    assert torch.allclose(first, first.flip(-1))


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 3), (5, 6)])
@pytest.mark.parametrize(
    ("which", "options"),
    [
        ("gaussian_l2", {"sigma": 0.05}),
        ("dm_count", {}),
        ("generalized", {}),
        ("uot", {"epsilon": 0.0, "tol": 1e-8}),
        ("chfl", {}),
        ("chfl", {"norm": "l2", "domain": "square"}),
        ("pml", {}),
    ],
)
def test_a_unit_of_mass_on_a_dot_in_its_cell_centre_costs_nothing(which, options, row, column, stride):
    density = torch.zeros(1, 1, 6, 7, dtype=torch.float64)
    density[0, 0, row, column] = 1.0
    points = torch.tensor([[stride * (column + 0.5), stride * (row + 0.5)]], dtype=torch.float64)
    out = make(which, **options)(density, [points], stride=stride)
    assert out.total.item() == pytest.approx(0, abs=1e-6)
    assert out.terms.get("transport", 0.0) == pytest.approx(0, abs=1e-6)
    inwards = stride / 2 if column < 3 else -stride / 2
    shifted = make(which, **options)(density, [points + inwards], stride=stride)
    assert shifted.total.item() > 1e-3


@pytest.mark.parametrize("options", [{}, {"background": "none"}, {"background": "distance"}])
def test_gradcheck_bayesian(options):
    density, points = random_case(6, 3, 3, 4)
    loss = make("bayesian", **options)
    assert torch.autograd.gradcheck(lambda u: loss(u, [points], stride=8).total, density.requires_grad_())


@pytest.mark.parametrize(
    ("which", "options"),
    [
        ("gaussian_l2", {}),
        ("gaussian_l2", {"kernel": "adaptive", "reduction": "mean"}),
        ("dm_count", EXACT | {"reg": 100.0}),
        ("generalized", EXACT | {"epsilon": 0.1, "tau": 0.0}),  # the other terms' gradient is not that of their value
        ("chfl", {}),
        ("chfl", {"norm": "l2", "domain": "square"}),
        ("pml", {}),
        ("p2r", {}),
        ("zip", {}),
        ("zip", {"inflation": 0.3}),
    ],
)
def test_gradcheck(which, options):
    density, points = random_case(7, 3, 3, 4)
    loss = make(which, **options)
    assert torch.autograd.gradcheck(lambda u: loss(u, [points], stride=8).total, density.requires_grad_(), atol=1e-4)


def test_float32_agrees_with_float64(name):
    density, points = random_case(8, 5)
    exact = make(name)(density, [points], stride=8).total
    single = make(name)(density.float(), [points.float()], stride=8).total
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(exact.item(), rel=1e-3)


def test_gradient_descent_on_one_batch_lowers_the_loss_and_finds_the_count(name):
    torch.manual_seed(9)
    points = [torch.tensor([[20.0, 20.0], [45.0, 30.0], [10.0, 50.0]]), torch.zeros(0, 2), torch.tensor([[30.0, 9.0]])]
    logits = torch.full((3, 1, 8, 8), -3.0, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    loss = make(name)
    history = []
    for _ in range(60):
        optimizer.zero_grad()
        out = loss(torch.nn.functional.softplus(logits), points, stride=8)
        out.total.backward()
        optimizer.step()
        history.append(out.total.item())
    assert history[-1] < 0.5 * history[0]
    counts = torch.nn.functional.softplus(logits).sum(dim=(1, 2, 3))
    # The transport of dm_count gathers mass at a single dot first and corrects its count later.
    assert torch.allclose(counts[:2], torch.tensor([3.0, 0.0]), atol=0.7)
    assert torch.isfinite(counts).all()
