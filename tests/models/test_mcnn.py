"""The multi-column network."""

from __future__ import annotations

import torch

from dotcount.models import create

from .helpers import measured_reach, parameter_count


def test_size_count_and_reach() -> None:
    torch.manual_seed(0)
    model = create("mcnn")
    assert parameter_count(model) == 133_705
    density = model(torch.rand(2, 3, 21, 34))
    assert density.shape == (2, 1, 6, 9)
    assert (density > 0).all()
    assert 28 <= measured_reach(model) <= model.receptive_radius == 34


def test_each_column_receives_a_gradient() -> None:
    torch.manual_seed(1)
    model = create("mcnn")
    model(torch.rand(1, 3, 32, 32)).sum().backward()
    for column in model.columns:
        assert column[0].weight.grad.abs().sum() > 0
