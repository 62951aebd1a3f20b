"""``mcnn``: three columns of different filter sizes (Zhang et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dotcount.models.base import DensityNetwork, Positive
from dotcount.models.names import models

COLUMNS = (
    ((9, 16), (7, 32), (7, 16), (7, 8)),
    ((7, 20), (5, 40), (5, 20), (5, 10)),
    ((5, 24), (3, 48), (3, 24), (3, 12)),
)
"""(kernel, channels) of the four convolutions of each column; poolings follow the first and the second."""


@models.register("mcnn")
class MCNN(DensityNetwork):
    """Multi-column network of Zhang et al. 2016 (Figure 3); stride 4.

    Three columns for large, medium and small heads, joined by a 1x1 convolution; 133,705 parameters. The published
    network ends linearly; here ``output`` keeps the density non-negative.
    """

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        # The widest column: 9x9 at stride 1, 7x7 at stride 2, two 7x7 at stride 4.
        super().__init__(stride=4, size_multiple=4, receptive_radius=34, output=Positive(output, output_scale))
        self.columns = nn.ModuleList(_column(spec) for spec in COLUMNS)
        self.last_layer = nn.Conv2d(sum(spec[-1][1] for spec in COLUMNS), 1, 1)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 4."""
        return self.last_layer(torch.cat([column(images) for column in self.columns], dim=1))


def _column(spec: tuple[tuple[int, int], ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for index, (kernel, width) in enumerate(spec):
        conv = nn.Conv2d(channels, width, kernel, padding=kernel // 2)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        layers += [conv, nn.ReLU(inplace=True)]
        if index < 2:
            layers.append(nn.MaxPool2d(2))
        channels = width
    return nn.Sequential(*layers)
