"""``sanet``: scale aggregation network (Cao et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dotcount.models.base import DensityNetwork, Positive
from dotcount.models.names import models
from dotcount.models.vgg import he_initialize

KERNELS = (1, 3, 5, 7)
"""Sides of the filters of a scale aggregation module, one branch each."""


@models.register("sanet")
class SANet(DensityNetwork):
    """Scale aggregation network (Cao et al. 2018, Figures 2 and 3); stride 1.

    Four modules of 1x1, 3x3, 5x5 and 7x7 branches with poolings between, then 9x9, 7x7, 5x5, 3x3 and 5x5 convolutions
    with transposed convolutions between that enlarge to the image's size. Every convolution but the last is followed by
    instance normalisation, as published: features are normalised over the extent of the image, so that a crop and the
    whole image do NOT see the same function, ``receptive_radius`` is None and tiles are not exact.

    Parameters
    ----------
    norm
        Instance normalisation, as published; without it the network is the same in training and in use.
    output, output_scale
        See :class:`~dotcount.models.base.Positive`; published is a ReLU.
    """

    def __init__(self, norm: bool = True, output: str = "softplus", output_scale: float = 0.01) -> None:
        # Without normalisation: 3 (1 + 2 + 4 + 8) px in the encoder, 8 x 4 + 4 x 3 + 2 x 2 + 1 + 2 in the decoder's
        # convolutions, 8 + 4 + 2 in its steps up.
        radius = None if norm else 45 + 51 + 14
        super().__init__(stride=1, size_multiple=8, receptive_radius=radius, output=Positive(output, output_scale))
        self.encoder = nn.Sequential(
            Aggregation(3, 16, norm),
            nn.MaxPool2d(2),
            Aggregation(64, 32, norm),
            nn.MaxPool2d(2),
            Aggregation(128, 32, norm),
            nn.MaxPool2d(2),
            Aggregation(128, 16, norm),
        )
        layers: list[nn.Module] = []
        channels = 64
        for width, kernel in ((64, 9), (32, 7), (16, 5)):
            layers += [_block(channels, width, kernel, norm), _enlarge(width)]
            layers += [*([InstanceNorm(width)] if norm else []), nn.ReLU(inplace=True)]
            channels = width
        layers += [_block(16, 16, 3, norm), _block(16, 16, 5, norm)]
        self.decoder = nn.Sequential(*layers)
        self.last_layer = nn.Conv2d(16, 1, 1)
        he_initialize(self.encoder, self.decoder)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.001)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 1."""
        return self.last_layer(self.decoder(self.encoder(images)))


class InstanceNorm(nn.Module):
    """``(x - mean) / sqrt(var + 1e-5) * weight + bias`` over each image's extent; also of a single pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised features."""
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-5) * self.weight + self.bias


class Aggregation(nn.Module):
    """Branches of four filter sizes, ``width`` channels each, side by side.

    But in the first module of the network, the branches above 1x1 halve the channels by a 1x1 convolution first.
    """

    def __init__(self, channels: int, width: int, norm: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList()
        for kernel in KERNELS:
            if channels == 3 or kernel == 1:
                self.branches.append(_block(channels, width, kernel, norm))
            else:
                half = channels // 2
                self.branches.append(nn.Sequential(_block(channels, half, 1, norm), _block(half, width, kernel, norm)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 4 width, h, w)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _enlarge(width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1)


def _block(channels: int, width: int, kernel: int, norm: bool) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, kernel, padding=kernel // 2)
    return nn.Sequential(conv, *([InstanceNorm(width)] if norm else []), nn.ReLU(inplace=True))
