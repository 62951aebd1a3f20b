"""``asnet``: attention scaling network (Jiang et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from dotcount.models.base import Positive
from dotcount.models.names import models
from dotcount.models.vgg import VGG16_STAGES, VGGNetwork, he_initialize, vgg_layers


@models.register("asnet")
class ASNet(VGGNetwork):
    """Attention scaling network (Jiang et al. 2020) of two levels of density; stride 8.

    A density attention network tells background and levels of density apart; a second network gives a map and a
    factor for each level. The density is ``sum_k mask_k * factor_k * map_k``. Both look at the image with a VGG-16 of
    their own, to conv5_3. The factors, between 0 and 2, are averages over the image, so that ``receptive_radius`` is
    None and tiles are not exact.

    The published attention network is trained apart, by classes of density, and its classes are then fixed, hard masks.
    Here masks are probabilities and learn with the rest, from the loss of the density alone.
    """

    published = VGG16_Weights.IMAGENET1K_V1

    def __init__(self, levels: int = 2, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__(stride=8, size_multiple=16, receptive_radius=None, output=Positive(output, output_scale))
        self.encoder, self.attention = vgg_layers(VGG16_STAGES), vgg_layers(VGG16_STAGES)
        self.reduce, self.attention_reduce = _reduce(), _reduce()
        self.masks = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(inplace=True))
        self.mask_layer = nn.Conv2d(128, levels + 1, 1)
        self.maps = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(inplace=True))
        self.last_layer = nn.Conv2d(128, levels, 1)
        self.factors = nn.Sequential(
            nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(128, levels, 1), nn.AdaptiveAvgPool2d(1)
        )
        he_initialize(self.reduce, self.attention_reduce, self.masks, self.maps, self.factors)
        for parameter in [*self.last_layer.parameters(), *self.mask_layer.parameters(), *self.factors[2].parameters()]:
            nn.init.normal_(parameter, std=0.01) if parameter.ndim > 1 else nn.init.zeros_(parameter)
        # Begin with nearly no background, so that every cell learns.
        next(iter(reversed(list(self.mask_layer.parameters())))).data[0] = -4.0
        self.initialize_density(0.01)

    def density(self, images: Tensor) -> Tensor:
        """Return densities at stride 8."""
        masks = torch.softmax(self.mask_layer(self.masks(self.attention_reduce(self.attention(images)))), dim=1)
        x = self.reduce(self.encoder(images))
        factors = 1 + torch.tanh(self.factors(x))  # published: clipped, which has no gradient beyond its ends
        return (masks[:, 1:] * factors * self.output(self.last_layer(self.maps(x)))).sum(dim=1, keepdim=True)

    def load_published(self) -> None:
        """Load torchvision's ImageNet weights into both encoders."""
        super().load_published()
        self.attention.load_state_dict(self.encoder.state_dict())


def _reduce() -> nn.Sequential:
    """Return the layers from conv5_3 to 128 channels at stride 8."""
    return nn.Sequential(
        nn.Conv2d(512, 256, 1), nn.ReLU(inplace=True), nn.ConvTranspose2d(256, 128, 2, stride=2), nn.ReLU(inplace=True)
    )
