"""Depthwise convolutions against PyTorch's own."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dotcount.models import create
from dotcount.models.depthwise import DepthwiseConv2d, depthwise, is_depthwise

GEOMETRIES = [
    (kernel, stride, padding, dilation)
    for kernel, stride, padding, dilation in itertools.product(
        ((3, 3), (5, 5), (5, 3), (1, 7)), ((1, 1), (2, 2), (2, 1), (3, 3)), ((0, 0), (2, 1)), ((1, 1), (2, 1))
    )
]


def gradients(convolve: object, *tensors: Tensor | None) -> list[Tensor]:
    """Return the result and the gradients of a random weighting of it."""
    leaves = [None if t is None else t.detach().clone().requires_grad_() for t in tensors]
    result = convolve(*leaves)  # type: ignore[operator]
    weighting = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    (result.double() * weighting).sum().backward()
    return [result.detach(), *(t.grad for t in leaves if t is not None and t.grad is not None)]


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("bias", [False, True])
def test_gradients_are_those_of_pytorch(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    bias: bool,
) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 6, 14, 13, dtype=torch.float64)
    weight = torch.randn(6, 1, *kernel, dtype=torch.float64)
    shift = torch.randn(6, dtype=torch.float64) if bias else None
    ours = gradients(lambda *t: depthwise(*t, stride, padding, dilation), x, weight, shift)
    theirs = gradients(lambda *t: F.conv2d(*t, stride, padding, dilation, 6), x, weight, shift)
    assert len(ours) == 3 + bias
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_bfloat16_is_as_exact_as_its_rounding(kernel: int, stride: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 8, 32, 32).contiguous(memory_format=layout)
    weight = torch.randn(8, 1, kernel, kernel)
    sizes = (stride, stride), (kernel // 2, kernel // 2), (1, 1)

    def mixed(*tensors: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return depthwise(*tensors, None, *sizes)

    ours = gradients(mixed, x, weight)
    assert ours[0].dtype == torch.bfloat16
    for a, b in zip(ours, gradients(lambda *t: F.conv2d(*t, None, *sizes, 8), x, weight), strict=True):
        assert float((a.float() - b).norm() / b.norm()) < 0.01


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    x, weight = torch.randn(1, 2, 8, 8), torch.randn(2, 1, 5, 5, requires_grad=True)
    depthwise(x, weight, None, (1, 1), (2, 2), (1, 1)).sum().backward()
    assert weight.grad is not None
    assert x.grad is None
    frozen = weight.detach()
    assert not depthwise(x, frozen, None, (1, 1), (2, 2), (1, 1)).requires_grad
    moved = x.clone().requires_grad_()
    depthwise(moved, frozen, None, (1, 1), (2, 2), (1, 1)).sum().backward()
    assert moved.grad is not None


def test_gradients_of_gradients_are_refused_not_wrong() -> None:
    x, weight = torch.randn(1, 2, 8, 8, requires_grad=True), torch.randn(2, 1, 5, 5, requires_grad=True)
    result = depthwise(x, weight, None, (1, 1), (2, 2), (1, 1)).square().sum()
    (first,) = torch.autograd.grad(result, weight, create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()


def test_padding_that_is_not_zero_is_left_to_pytorch() -> None:
    torch.manual_seed(0)
    for padding, mode in (("same", "zeros"), (2, "reflect")):
        ours = DepthwiseConv2d(4, 4, 5, padding=padding, padding_mode=mode, groups=4)
        plain = nn.Conv2d(4, 4, 5, padding=padding, padding_mode=mode, groups=4)
        plain.load_state_dict(ours.state_dict())
        x = torch.randn(2, 4, 9, 9)
        torch.testing.assert_close(ours(x), plain(x))


def test_an_encoder_has_the_same_gradients_names_and_copies() -> None:
    torch.manual_seed(0)
    network = create("lite0", pretrained=False)
    ours = [module for module in network.modules() if isinstance(module, DepthwiseConv2d)]
    assert len(ours) == sum(map(is_depthwise, network.modules())) == 16
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if isinstance(module, DepthwiseConv2d):
            module._conv_forward = nn.Conv2d._conv_forward.__get__(module)  # type: ignore[method-assign]
    x = torch.rand(2, 3, 64, 64)
    for one in (network, plain):
        one(x).square().sum().backward()
    assert list(network.state_dict()) == list(plain.state_dict())
    for (name, a), (_, b) in zip(network.named_parameters(), plain.named_parameters(), strict=True):
        assert a.grad is not None, name
        assert b.grad is not None, name
        assert float((a.grad - b.grad).norm()) <= 1e-4 * float(b.grad.norm()) + 1e-12, name


def test_a_network_in_training_can_be_traced() -> None:
    convolution = DepthwiseConv2d(4, 4, 5, padding=2, groups=4)
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(torch.jit.trace(convolution, x)(x), convolution(x))
