"""The one place where a network meets images in use: no gradient, no padding in counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dotcount.density import cells_inside


@torch.no_grad()
def density_maps(network: nn.Module, images: Tensor) -> Tensor:
    """Return float32 densities (B, 1, h, w) of images (B, 3, H, W) in [0, 1], on the network's device.

    Parameters
    ----------
    network
        Any module of the form of :class:`dotcount.models.DensityModel`, in eval mode.
    images
        RGB in [0, 1].

    Examples
    --------
    >>> import torch
    >>> from dotcount import models
    >>> network = models.create("compact", width=4).eval()
    >>> density_maps(network, torch.zeros(1, 3, 64, 48)).shape
    torch.Size([1, 1, 16, 12])
    """
    density: Tensor = network(images)
    return density.float()


def counts(density: Tensor, stride: int, image_sizes: Sequence[Sequence[int]]) -> Tensor:
    """Return (B,) float64 counts of densities (B, 1, h, w), on the CPU.

    Parameters
    ----------
    density
        As :func:`density_maps` returns it.
    stride
        Side of a cell, px.
    image_sizes
        (height, width) px of each image; cells with their centre outside are left out.

    Examples
    --------
    >>> import torch
    >>> counts(torch.full((1, 1, 2, 2), 0.5), stride=4, image_sizes=[(8, 4)]).tolist()
    [1.0]
    """
    maps = density.detach().cpu().double()
    _, _, rows, columns = maps.shape
    sums = [
        maps[k, 0, : cells_inside(rows, stride, height), : cells_inside(columns, stride, width)].sum()
        for k, (height, width) in enumerate(image_sizes)
    ]
    return torch.stack(sums)
