"""Depthwise convolutions whose gradients are fast on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]

SMALL = 3
"""Kernels up to this many cells wide leave their gradient by the weights to PyTorch, which is fast there."""


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with one filter for each channel, and :func:`depthwise` as its convolution."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if isinstance(self.padding, str) or self.padding_mode != "zeros":
            return super()._conv_forward(input, weight, bias)
        return depthwise(input, weight, bias, _pair(self.stride), _pair(self.padding), _pair(self.dilation))


def is_depthwise(module: nn.Module) -> bool:
    """Return whether a module is a convolution that gives each channel one filter of its own.

    Examples
    --------
    >>> is_depthwise(nn.Conv2d(8, 8, 3, groups=8)), is_depthwise(nn.Conv2d(8, 8, 3))
    (True, False)
    """
    return isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels == module.out_channels


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """Return the depthwise convolution of ``x``, as ``F.conv2d`` with as many groups as channels does.

    PyTorch computes two of its gradients slowly on a CPU: that by the weights of kernels wider than three cells, and in
    bfloat16 that by ``x`` where the stride is more than one. Here the first is itself a depthwise convolution, of ``x``
    by the gradient of the result,

        dL/dw[c, k] = sum over images n and places p of  x[n, c, stride p + dilation k] g[n, c, p],

    each image and channel a group, and the second is computed in float32.
    ``docs/decisions/0053-gradients-of-depthwise-convolutions.md`` has the times.

    Parameters
    ----------
    x
        Images, (N, C, H, W).
    weight
        Filters, (C, 1, h, w).
    bias
        (C,), or None.
    stride, padding, dilation
        Rows, columns.

    Returns
    -------
    Tensor
        (N, C, H', W').

    Notes
    -----
    Gradients of gradients are not available through this function on a CPU.

    Examples
    --------
    >>> depthwise(torch.ones(1, 2, 5, 5), torch.ones(2, 1, 5, 5), None, (1, 1), (0, 0), (1, 1)).flatten().tolist()
    [25.0, 25.0]
    """
    slow = x.device.type == "cpu" and torch.is_grad_enabled() and weight.requires_grad
    if not slow or torch.jit.is_tracing() or torch.compiler.is_compiling():
        return F.conv2d(x, weight, bias, stride, padding, dilation, x.shape[1])
    if torch.is_autocast_enabled("cpu"):
        kind = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(kind), weight.to(kind), None if bias is None else bias.to(kind)
    convolved: Tensor = _Depthwise.apply(x, weight, bias, stride, padding, dilation)
    return convolved


class _Depthwise(torch.autograd.Function):
    """The convolution with its own backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, dilation
        return F.conv2d(x, weight, bias, stride, padding, dilation, x.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]

        def native(g: Tensor, x: Tensor, weight: Tensor, *wanted: bool) -> list[Tensor | None]:
            found: list[Tensor | None] = torch.ops.aten.convolution_backward(
                g, x, weight, None, stride, padding, dilation, False, (0, 0), x.shape[1], [*wanted, False]
            )
            return found

        by_x = by_weight = None
        if of_x and g.dtype == torch.bfloat16 and max(stride) > 1:
            found = native(g.float(), x.float(), weight.float(), True, False)[0]
            by_x = None if found is None else found.to(x.dtype)
        elif of_x:
            by_x = native(g, x, weight, True, False)[0]
        if of_weight and max(weight.shape[2:]) <= SMALL:
            by_weight = native(g, x, weight, False, True)[1]
        elif of_weight:
            by_weight = _by_weight(g, x, weight, stride, padding, dilation)
        by_bias = _sum(g, (0, 2, 3)) if of_bias else None
        return by_x, by_weight, by_bias, None, None, None


def _by_weight(g: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """Return the gradient by the weights as a convolution of every channel of every image by its own gradient."""
    images, channels = x.shape[:2]
    height, width = weight.shape[2:]
    x = F.pad(x.contiguous(), (padding[1], padding[1], padding[0], padding[0]))
    found = F.conv2d(
        x.view(1, images * channels, *x.shape[2:]),
        g.contiguous().view(images * channels, 1, *g.shape[2:]),
        stride=dilation,
        dilation=stride,
        groups=images * channels,
    )
    found = found.view(images, channels, 1, *found.shape[2:])[..., :height, :width]
    return _sum(found, (0,))


def _sum(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return a sum that is rounded to the numbers' own type at its end only."""
    return x.sum(dims, dtype=torch.float32 if x.dtype == torch.bfloat16 else None).to(x.dtype)


def _pair(value: tuple[int, ...] | str) -> Pair:
    assert not isinstance(value, str), "padding by name is left to PyTorch"
    rows, columns = value
    return rows, columns
