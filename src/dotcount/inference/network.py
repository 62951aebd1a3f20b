"""The one place where a network meets images in use: no gradient, test-time augmentation, no padding in counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dotcount.density import cells_inside


@torch.no_grad()
def density_maps(network: nn.Module, images: Tensor, *, mirror: bool = False) -> Tensor:
    """Return float32 densities (B, 1, h, w) of images (B, 3, H, W) in [0, 1], on the network's device.

    Parameters
    ----------
    network
        Any module of the form of :class:`dotcount.models.DensityModel`, in eval mode.
    images
        RGB in [0, 1].
    mirror
        Test-time augmentation: the mean with the density of the mirror image, mirrored back; less chance in every
        count, at twice the time.

    Examples
    --------
    >>> import torch
    >>> from dotcount import models
    >>> network = models.create("compact", width=4).eval()
    >>> density_maps(network, torch.zeros(1, 3, 64, 48), mirror=True).shape
    torch.Size([1, 1, 16, 12])
    """
    density: Tensor = network(images).float()
    if not mirror:
        return density
    rows, columns = density.shape[-2:]
    # Mirrored after padding, so that the cells of both fall on each other whatever the image's size.
    mirrored = network(_padded(network, images).flip(-1)).float().flip(-1)
    return 0.5 * (density + mirrored[..., :rows, :columns])


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


def _padded(network: nn.Module, images: Tensor) -> Tensor:
    """Pad right and bottom to whole steps of the network's coarsest grid, with what it normalises to zero."""
    multiple = int(getattr(network, "size_multiple", network.stride))  # type: ignore[arg-type]
    right, bottom = -images.shape[-1] % multiple, -images.shape[-2] % multiple
    if not (right or bottom):
        return images
    padded = F.pad(images, (0, right, 0, bottom))
    ground = getattr(network, "mean", None)
    if isinstance(ground, Tensor) and ground.shape == (1, images.shape[1], 1, 1):
        padded[..., images.shape[-1] :] = ground
        padded[..., images.shape[-2] :, :] = ground
    return padded
