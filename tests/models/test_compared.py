"""The networks of the tables: sizes as published, shapes, context, gradients, first counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from dotcount.models import check_model, create
from dotcount.models.dssinet import DSSINet

from .helpers import measured_reach, parameter_count

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "compared.md"
PUBLISHED = {"sanet": 0.91e6, "scar": 16.27e6, "sfcn": 38.60e6, "dssinet": 8.858e6, "asnet": 30.398e6}
NAMES = (*PUBLISHED, "cg_drcn", "mbttbf", "resnet74", "densenet63", "cl_cnn", "decidenet")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_the_first_count_is_the_one_asked_for_and_every_weight_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    model = create(name)
    if name in PUBLISHED:
        assert parameter_count(model) == pytest.approx(PUBLISHED[name], rel=0.01)
    model.initialize_density(0.002)
    check_model(model)
    density = model.train()(torch.rand(1, 3, 64, 64))
    assert density.mean().item() == pytest.approx(0.002, rel=0.5)
    density.sum().backward()
    without = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_the_page_tells_the_number_of_parameters(name: str) -> None:
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}`"))
    with torch.device("meta"):
        count = parameter_count(create(name))
    assert f"{count:,}" in row


@pytest.mark.parametrize(("name", "options"), [("sanet", {"norm": False}), ("cg_drcn", {}), ("decidenet", {})])
def test_no_cell_depends_on_more_than_the_context(name: str, options: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = create(name, **options)
    assert 0.8 * model.receptive_radius <= measured_reach(model) <= model.receptive_radius


def test_a_file_of_torchvision_fits_the_encoders() -> None:
    from torchvision.models import resnet101

    with torch.device("meta"):
        names = resnet101(weights=None).state_dict()
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in names.items()}
    model = create("sfcn")
    model.load_state(state, "resnet101")
    assert not model.encoder.layer3[22].conv3.weight.any()
    assert model.last_layer.weight.any()


def test_stages_of_dssinet_are_those_of_vgg() -> None:
    """Stage after stage gives what the encoder gives at once."""
    torch.manual_seed(0)
    model = create("dssinet")
    assert isinstance(model, DSSINet)
    images = torch.rand(1, 3, 32, 32)
    x = images
    for index in range(4):
        x = model.stage(index, x, relu=True)
    torch.testing.assert_close(x, model.encoder(images))


def test_sfcn_passes_features_to_the_far_corner() -> None:
    torch.manual_seed(0)
    model = create("sfcn").double().eval()
    images = torch.rand(1, 3, 16, 512, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(images)[..., -1].sum(), images)
    assert gradient[..., 0].any()


def test_the_page_names_what_is_left_out() -> None:
    text = PAGE.read_text()
    for name in ("S-DCNet", "Switch-CNN", "LSC-CNN"):
        assert name in text
    assert re.search(r"0020", text)
