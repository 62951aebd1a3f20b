"""The compact encoder-decoder: same function on a crop and on the whole, stated context, options, learning."""

from __future__ import annotations

import pytest
import torch

from dotcount.errors import UsageError
from dotcount.models import create

from .helpers import measured_reach


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_size_and_initial_density(stride: int) -> None:
    torch.manual_seed(1)
    model = create("compact", stride=stride, width=8)
    model.initialize_density(0.03)
    density = model(torch.rand(2, 3, 37, 65))
    assert density.shape == (2, 1, -(-37 // stride), -(-65 // stride))
    assert (density >= 0).all()
    assert density.mean().item() == pytest.approx(0.03, rel=0.25)


def test_a_crop_and_the_whole_image_see_the_same_function() -> None:
    torch.manual_seed(2)
    model = create("compact", width=4).double().eval()
    for block in model.modules():
        if hasattr(block, "gain"):
            torch.nn.init.ones_(block.gain)  # full strength, so that distant context counts
    margin = -(-model.receptive_radius // model.size_multiple) * model.size_multiple
    images = torch.rand(1, 3, 2 * margin + 96, 2 * margin + 128, dtype=torch.float64)
    crop = images[..., 32:-32, 32:-32]
    with torch.no_grad():
        whole, part = model(images)[..., 8:-8, 8:-8], model(crop)
    inner = slice((margin - 32 + 32) // 4, -(margin // 4))
    assert whole[..., inner, inner].numel() > 0
    torch.testing.assert_close(part[..., inner, inner], whole[..., inner, inner], rtol=1e-12, atol=1e-15)
    assert not torch.allclose(part[..., :8, :8], whole[..., :8, :8], rtol=1e-6, atol=0)  # borders do differ


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_receptive_radius_bounds_the_true_one_and_is_not_idle(stride: int) -> None:
    torch.manual_seed(3)
    model = create("compact", stride=stride, width=4)
    assert model.receptive_radius - 64 <= measured_reach(model) <= model.receptive_radius


def test_no_state_but_parameters_and_the_image_statistics() -> None:
    model = create("compact", width=4)
    assert {name for name, _ in model.named_buffers()} == {"mean", "std"}  # nothing running, nothing of the batch
    images = torch.rand(3, 3, 40, 40)
    torch.testing.assert_close(model.train()(images)[:1], model.eval()(images[:1]))


def test_unknown_stride_and_width_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="stride 2, 4 or 8"):
        create("compact", stride=3)
    with pytest.raises(UsageError, match="width"):
        create("compact", width=5)


def test_it_learns_where_the_objects_are() -> None:
    torch.manual_seed(4)
    model = create("compact", width=8)
    images = torch.full((2, 3, 64, 64), 0.2)
    target = torch.zeros(2, 1, 16, 16)
    for b, r, c in [(0, 3, 4), (0, 10, 12), (1, 7, 7)]:
        images[b, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = 0.9
        target[b, 0, r, c] = 1.0
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        loss = (model(images) - target).square().sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5  # predicting nothing costs 3
    assert model(images)[1].flatten().argmax() == 7 * 16 + 7
