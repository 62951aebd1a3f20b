"""``scar``: spatial and channel attention after CSRNet's layers (Gao, Wang & Yuan 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from dotcount.models.base import Positive
from dotcount.models.names import models
from dotcount.models.vgg import VGG16_CONV4_STAGES, VGGNetwork, dilated_back_end, he_initialize, vgg_layers


@models.register("scar")
class SCAR(VGGNetwork):
    """Spatial- and channel-wise attention regression (Gao, Wang & Yuan 2019); stride 8.

    CSRNet's front and back end, then two branches of 16 channels: in one every cell takes features from all cells
    that resemble it, in the other every channel from all channels. Both look at the whole image, so that
    ``receptive_radius`` is None, tiles are not exact, and time grows with the square of the image. The published
    network enlarges its density eightfold at the end; here it stays at stride 8.
    """

    published = VGG16_Weights.IMAGENET1K_V1

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__(stride=8, size_multiple=8, receptive_radius=None, output=Positive(output, output_scale))
        self.encoder = vgg_layers(VGG16_CONV4_STAGES)
        self.back_end = dilated_back_end(512)
        self.spatial = nn.Sequential(_block(64, 16, 3), SpatialAttention(16), _block(16, 16, 3))
        self.channel = nn.Sequential(_block(64, 16, 3), ChannelAttention(), _block(16, 16, 3))
        self.last_layer = nn.Conv2d(32, 1, 1)
        he_initialize(self.spatial, self.channel)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        x = self.back_end(self.encoder(images))
        return self.last_layer(torch.cat([self.spatial(x), self.channel(x)], dim=1))


class SpatialAttention(nn.Module):
    """``x + share * softmax(q k^T) v`` over cells; the share starts at 0, so that the block starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(1))
        self.query, self.key = (_block(channels, channels // 8, 1, relu=False) for _ in range(2))
        self.value = _block(channels, channels, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        query, key, value = (part(x).flatten(2).transpose(1, 2) for part in (self.query, self.key, self.value))
        out = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.share * out.transpose(1, 2).reshape(x.shape)


class ChannelAttention(nn.Module):
    """``x + share * softmax(x x^T) x`` over channels; the share starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        flat = x.flatten(2)
        out = torch.softmax(flat @ flat.transpose(1, 2), dim=-1) @ flat
        return x + self.share * out.reshape(x.shape)


def _block(channels: int, width: int, kernel: int, relu: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=kernel == 1)
    return nn.Sequential(conv, nn.BatchNorm2d(width), *([nn.ReLU(inplace=True)] if relu else []))
