"""Normalisation, padding, the non-negative end, and the check of user modules."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dotcount.density import grid_shape
from dotcount.errors import InputError, ModelError, UsageError
from dotcount.models import DensityModel, DensityNetwork, Positive, check_model, create


class Affine(DensityNetwork):
    """One 4x4 convolution of stride 4: small enough to compute by hand."""

    def __init__(self, output: str = "abs", size_multiple: int = 8) -> None:
        super().__init__(stride=4, size_multiple=size_multiple, receptive_radius=0, output=Positive(output))
        self.last_layer = nn.Conv2d(3, 1, 4, stride=4)

    def regress(self, images: Tensor) -> Tensor:
        assert images.shape[-1] % self.size_multiple == 0
        assert images.shape[-2] % self.size_multiple == 0
        return self.last_layer(images)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40))
def test_any_size_gives_the_grid_and_padding_changes_no_full_cell(height: int, width: int) -> None:
    torch.manual_seed(0)
    model = Affine()
    images = torch.rand(2, 3, height, width)
    density = model(images)
    assert density.shape == (2, 1, *grid_shape(height, width, 4))
    whole = model(torch.cat([images, torch.rand(2, 3, height, 5)], dim=3))
    torch.testing.assert_close(density[..., : height // 4, : width // 4], whole[..., : height // 4, : width // 4])


def test_images_are_normalised_inside_and_the_statistics_travel_with_the_weights() -> None:
    model = Affine()
    images = torch.rand(1, 3, 4, 4)
    by_hand = model.last_layer((images - model.mean) / model.std).abs()
    torch.testing.assert_close(model(images), by_hand)
    assert {"mean", "std"} <= set(model.state_dict())


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 8, 8, 3)])
def test_wrong_image_shape_is_an_input_error_that_names_the_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(B, 3, H, W\)"):
        Affine()(torch.zeros(shape))


@given(st.sampled_from(["softplus", "abs", "relu"]), st.floats(1e-5, 50.0))
def test_positive_inverse_is_its_inverse(kind: str, density: float) -> None:
    output = Positive(kind)
    value = output(torch.tensor(output.inverse(density), dtype=torch.float64)).item()
    assert math.isclose(value, density, rel_tol=1e-9)


def test_positive_is_non_negative_and_softplus_has_no_dead_half() -> None:
    x = torch.linspace(-10, 10, 101, requires_grad=True)
    for kind in ("softplus", "abs", "relu"):
        assert (Positive(kind)(x) >= 0).all()
    (gradient,) = torch.autograd.grad(Positive("softplus")(x).sum(), x)
    assert (gradient > 0).all()


def test_softplus_hands_no_subnormal_numbers_back() -> None:
    x = torch.linspace(-150, 20, 1701, requires_grad=True)
    density = Positive("softplus")(x)
    (gradient,) = torch.autograd.grad(density.sum(), x)
    assert not bool(((gradient != 0) & (gradient < 1e-30)).any())
    exact = 0.1 * torch.nn.functional.softplus(x.detach().double())
    torch.testing.assert_close(density.detach().double(), exact, rtol=1e-6, atol=1e-22)


def test_unknown_output_and_scale_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="softplus, abs or relu"):
        Positive("exp")
    with pytest.raises(UsageError, match="scale"):
        Positive("softplus", scale=0.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_initialize_density_rejects_what_is_no_density(bad: float) -> None:
    with pytest.raises(UsageError, match="mean_per_cell"):
        Affine().initialize_density(bad)


class Mine(nn.Module):
    """A user's module: no base class of ours, one parameter, average pooling with the size rounded up."""

    stride = 8

    def __init__(self, scale: float = 0.01, ceil: bool = True) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.pool = nn.AvgPool2d(8, ceil_mode=ceil)

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * self.pool(images.mean(dim=1, keepdim=True))


def test_a_user_module_of_the_same_form_passes_and_stays_in_its_mode() -> None:
    module = Mine().train()
    assert isinstance(module, DensityModel)
    check_model(module)
    assert module.training
    check_model(create("compact", width=4))


def test_check_model_says_what_is_wrong() -> None:
    with pytest.raises(ModelError, match="'stride' >= 1"):
        check_model(nn.Conv2d(3, 1, 3))
    with pytest.raises(ModelError, match=r"returned \(1, 1, 8, 5\).*asks for \(1, 1, 9, 6\)"):
        check_model(Mine(ceil=False))
    with pytest.raises(ModelError, match="negative"):
        check_model(Mine(scale=-1.0))
