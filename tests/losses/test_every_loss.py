"""What holds for every registered loss: hostile densities, torch.compile, many dots, examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import warnings

import pytest
import torch

from dotcount import losses
from dotcount.errors import InputError

SCALES = (0.0, 1e-45, 1e-40, 1e-30, 1e-10, 1e10, 1e19, 1e30, 3e38)
DOTS = {"two": [[5.0, 5.0], [20.0, 9.0]], "none": [], "coincident": [[3.0, 3.0]] * 3, "far": [[1e6, 1e6], [-1e6, 3.0]]}


@pytest.fixture(params=list(losses.LOSSES))
def name(request):
    return request.param


def maps(scale):
    mixed = torch.full((1, 1, 5, 6), 0.3)
    mixed[..., ::2, :] = scale
    single = torch.zeros(1, 1, 5, 6)
    single[..., 2, 2] = scale
    return [torch.full((1, 1, 5, 6), scale), single, mixed]


@pytest.mark.filterwarnings("ignore:.*transport solves did not reach tol")
@pytest.mark.parametrize("dots", DOTS)
@pytest.mark.parametrize("scale", SCALES)
def test_any_density_gives_a_finite_loss_and_gradient_or_a_clear_error(name, scale, dots):
    loss = losses.create(name)
    for density in maps(scale):
        density.requires_grad_()
        points = torch.tensor(DOTS[dots]).reshape(-1, 2)
        try:
            out = loss(density, [points], stride=8)
        except InputError as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert scale >= 1e19
            assert "density holds up to" in refusal
            assert "\n" not in refusal
            continue
        out.total.backward()
        assert torch.isfinite(out.total)
        assert torch.isfinite(density.grad).all()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_loss_is_the_loss_and_a_training_step_compiles_around_it(name, backend):
    torch.manual_seed(0)
    loss, layer = losses.create(name), torch.nn.Conv2d(3, 1, 1)
    compiled = torch.compile(loss, backend=backend)

    def step(images, points):
        return loss(torch.nn.functional.softplus(layer(images)), points, stride=8).total * 2

    for dots in ((3, 0), (1,), (5, 2, 4)):  # ragged batches must not be traced anew each time
        images, points = torch.rand(len(dots), 3, 8, 8), [torch.rand(m, 2) * 64 for m in dots]
        density = torch.rand(len(dots), 1, 8, 8, requires_grad=True)
        out = compiled(density, points, stride=8)
        out.total.backward()
        assert torch.equal(out.total, loss(density, points, stride=8).total)
        assert torch.isfinite(density.grad).all()
        assert out.terms == loss(density.detach(), points, stride=8).terms
        total = torch.compile(step, backend=backend)(images, points)
        total.backward()
        torch.testing.assert_close(total, step(images, points))
        assert torch.isfinite(layer.weight.grad).all()
    torch.compiler.reset()


@pytest.mark.parametrize("stride", [4, 8])
def test_20_000_dots_in_a_crop_of_1024_px_are_counted_or_refused(name, stride):
    generator = torch.Generator().manual_seed(1)
    side = 1024 // stride
    density = torch.rand(1, 1, side, side, generator=generator).square().requires_grad_()
    points = [torch.rand(20_000, 2, generator=generator) * 1024]
    loss = losses.create(name)
    if name in ("dm_count", "generalized"):
        with pytest.raises(InputError, match="smaller crop or a larger stride"):
            loss(density, points, stride=stride)
    else:
        loss(density, points, stride=stride).total.backward()
        assert torch.isfinite(density.grad).all()
        assert density.grad.any()


def test_the_folder_holds_what_is_registered():
    files = {module.name for module in pkgutil.iter_modules(losses.__path__)} - {"base"}
    assert {name for name in files if not name.startswith("_")} == set(losses.LOSSES)


def test_every_class_and_create_have_an_example_that_runs(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = importlib.import_module(f"dotcount.losses.{name}")
        assert ">>>" in losses.LOSSES.get(name).__doc__
        assert doctest.testmod(module).failed == 0
    assert ">>>" in losses.create.__doc__
    assert doctest.testmod(losses).failed == 0
