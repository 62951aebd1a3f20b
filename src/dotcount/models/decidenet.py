"""``decidenet``: the regression branch of DecideNet (Liu et al. 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from dotcount.models.base import DensityNetwork, Positive
from dotcount.models.names import models
from dotcount.models.vgg import he_initialize


@models.register("decidenet")
class RegNet(DensityNetwork):
    """DecideNet's RegNet (Liu et al. 2018, section 3.2); stride 4.

    Five convolutions: 20 of 7x7, 40, 20 and 10 of 5x5, one of 1x1, with poolings after the first two. The branch that
    detects heads and the attention that chooses between the two need boxes and are left out.
    """

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        # 3 px at stride 1, 2 cells at stride 2, twice 2 cells at stride 4.
        super().__init__(stride=4, size_multiple=4, receptive_radius=23, output=Positive(output, output_scale))
        self.layers = nn.Sequential(
            nn.Conv2d(3, 20, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 40, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(40, 20, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(20, 10, 5, padding=2),
            nn.ReLU(inplace=True),
        )
        he_initialize(self.layers)
        self.last_layer = nn.Conv2d(10, 1, 1)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 4."""
        return self.last_layer(self.layers(images))
