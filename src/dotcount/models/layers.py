"""Layers without statistics over the batch or the image: a crop and the whole image see the same function."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel on its own, (B, C, H, W) to the same shape.

    ``y = (x - mean_c x) / sqrt(var_c x + 1e-5) * weight + bias``; nothing is averaged over the extent or the batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised features."""
        x = x.permute(0, 2, 3, 1)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """``x + gain * conv(relu(conv(relu(x))))`` with 3x3 convolutions and a gain per channel that starts small.

    With a small gain the block starts near the identity, which keeps deep stacks trainable without normalisation in
    every layer (the idea of Fixup and LayerScale).
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.gain = nn.Parameter(torch.full((channels, 1, 1), 0.1))
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.second.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + self.gain * self.second(F.relu(self.first(F.relu(x))))


def upsample(x: Tensor, factor: int = 2) -> Tensor:
    """Return ``x`` enlarged bilinearly with cells kept as areas (``align_corners=False``), so that nothing shifts."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
