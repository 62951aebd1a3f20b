"""vgg19 (the paper's), csrnet and can: shapes, counts, weights in torchvision's layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import vgg16, vgg19
from torchvision.models.vgg import cfgs, make_layers

from dotcount.errors import ModelError, UsageError
from dotcount.models import create

from .helpers import measured_reach, parameter_count


@pytest.fixture(scope="module")
def vgg19_shapes() -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: value.shape for name, value in vgg19(weights=None).state_dict().items()}


@pytest.fixture(scope="module")
def vgg19_state(vgg19_shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """A state dict as torchvision's, with one of the three large classifier layers left out to keep it small."""
    torch.manual_seed(0)
    return {n: 0.01 * torch.randn(s) for n, s in vgg19_shapes.items() if n.split(".")[:2] not in (["classifier", "0"],)}


def test_vgg19_has_the_parameter_shapes_of_torchvisions_features(vgg19_shapes: dict[str, torch.Size]) -> None:
    model = create("vgg19")
    theirs = {n.removeprefix("features."): s for n, s in vgg19_shapes.items() if n.startswith("features.")}
    assert {n: v.shape for n, v in model.encoder.state_dict().items()} == theirs
    assert parameter_count(model.encoder) == 20_024_384
    assert parameter_count(model) == 21_499_457


@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 1), (41, 70)])
def test_vgg19_output_has_stride_8(height: int, width: int) -> None:
    model = create("vgg19")
    with torch.no_grad():
        density = model(torch.rand(1, 3, height, width))
    assert model.stride == 8
    assert density.shape == (1, 1, -(-height // 8), -(-width // 8))
    assert (density >= 0).all()


def test_vgg19_takes_torchvisions_state_dict_from_a_file(vgg19_state: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / "vgg19-dcbb9e9d.pth"
    torch.save(vgg19_state, file)
    for source in (str(file), tmp_path):
        model = create("vgg19", pretrained=source)
        for name, value in model.encoder.state_dict().items():
            assert torch.equal(value, vgg19_state[f"features.{name}"])


def test_vgg19_published_weights_come_through_torchvisions_cache(
    vgg19_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    cached.parent.mkdir(parents=True)
    torch.save(vgg19_state, cached)
    model = create("vgg19", pretrained=True)
    assert torch.equal(model.encoder[34].weight, vgg19_state["features.34.weight"])


def test_vgg19_computes_what_torchvisions_features_compute() -> None:
    torch.manual_seed(1)
    theirs = make_layers(cfgs["E"], batch_norm=False)[:36]  # torchvision's features without its classifier
    model = create("vgg19")
    model.load_state({f"features.{n}": v for n, v in theirs.state_dict().items()}, "test")
    images = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(model.encoder(images), theirs(images))


def test_vgg19_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with torch.device("meta"):
        smaller = vgg16(weights=None).features.state_dict()
    state = {f"features.{n}": torch.zeros(v.shape) for n, v in smaller.items()}
    save_file(state, tmp_path / "vgg16.safetensors")
    with pytest.raises(ModelError, match=r"vgg16.safetensors: does not fit .*missing") as caught:
        create("vgg19", pretrained=tmp_path / "vgg16.safetensors")
    assert "\n" not in str(caught.value)


def test_vgg19_whole_model_is_saved_and_loaded_again(tmp_path: Path) -> None:
    model = create("vgg19", upsample="nearest")
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    again = create("vgg19", pretrained=tmp_path, upsample="nearest")
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(again(images), model(images), rtol=0, atol=0)


def test_vgg19_options_are_checked() -> None:
    with pytest.raises(UsageError, match="bilinear or nearest"):
        create("vgg19", upsample="bicubic")


def test_vgg19_head_starts_as_published_and_enlarging_moves_nothing() -> None:
    torch.manual_seed(2)
    model = create("vgg19")
    assert model.head[0].weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert all((m.bias == 0).all() for m in (model.head[0], model.head[2], model.last_layer))
    with torch.no_grad():  # mirrored images give mirrored densities only if no step shifts the grid
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.copy_((module.weight + module.weight.flip(-1)) / 2)
        images = torch.rand(1, 3, 32, 64)
        torch.testing.assert_close(model(images.flip(-1)), model(images).flip(-1), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "options"), [("vgg19", {}), ("vgg19", {"upsample": "nearest"}), ("csrnet", {})], ids=str
)
def test_receptive_radius_is_exact(name: str, options: dict[str, object]) -> None:
    torch.manual_seed(3)
    model = create(name, **options)
    assert model.receptive_radius - 16 <= measured_reach(model) <= model.receptive_radius


@pytest.mark.parametrize(("name", "count"), [("csrnet", 16_263_489), ("can", 18_099_521)])
def test_csrnet_and_can_take_vgg16(name: str, count: int, tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {n: v.shape for n, v in vgg16(weights=None).features.state_dict().items()}
    state = {f"features.{n}": 0.02 * torch.randn(s) for n, s in shapes.items()}
    save_file(state, tmp_path / "vgg16.safetensors")
    model = create(name, pretrained=tmp_path / "vgg16.safetensors")
    assert parameter_count(model) == count
    assert torch.equal(model.encoder[21].weight, state["features.21.weight"])
    with torch.no_grad():
        density = model(torch.rand(2, 3, 33, 50))
    assert density.shape == (2, 1, 5, 7)
    assert (density > 0).all()


def test_can_sees_the_whole_image() -> None:
    torch.manual_seed(4)
    model = create("can")
    assert model.receptive_radius is None
    images = torch.rand(1, 3, 16, 400, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(images)[..., 0].sum(), images)
    assert gradient[..., -1].abs().sum() > 0
