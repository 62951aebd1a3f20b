"""``mbttbf``: features joined from shallow to deep and from deep to shallow (Sindagi & Patel 2019)."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from dotcount.models.base import Positive
from dotcount.models.names import models
from dotcount.models.vgg import VGG16_STAGES, VGGNetwork, he_initialize, vgg_layers

TAPS = ((16, 256), (23, 512), (30, 512))
"""Where conv3, conv4 and conv5 of VGG-16 end in the encoder, after their ReLU, and their channels."""

WIDTH = 64
"""Channels of the paths."""


@models.register("mbttbf")
class MBTTBF(VGGNetwork):
    """Multi-level bottom-top and top-bottom fusion (Sindagi & Patel 2019); stride 8.

    Features of VGG-16's conv3, conv4, conv5 and a sixth stage are reduced to one width and size. Two paths join
    neighbours pair by pair, from the shallow end and from the deep end, by scale complementary blocks, and join their
    results again until one is left; then both are joined. The number of channels and the size at which they are joined
    are ours; we know the paper's figures, not its code. Its maps of several scales for training are left out.
    """

    published = VGG16_Weights.IMAGENET1K_V1

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__(stride=8, size_multiple=32, receptive_radius=None, output=Positive(output, output_scale))
        self.encoder = vgg_layers(VGG16_STAGES)
        self.sixth = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(512, 512, 3, padding=1), nn.ReLU(inplace=True))
        self.reductions = nn.ModuleList(nn.Conv2d(width, WIDTH, 1) for width in (256, 512, 512, 512))
        # Rounds of three, two and one joints for each of the two paths.
        self.up, self.down = (
            nn.ModuleList(nn.ModuleList(Complement() for _ in range(n)) for n in (3, 2, 1)) for _ in range(2)
        )
        self.join = nn.Sequential(nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1), nn.ReLU(inplace=True))
        self.last_layer = nn.Conv2d(WIDTH, 1, 1)
        he_initialize(self.sixth, self.reductions, self.join)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        features, x, start = [], images, 0
        for stop, _ in TAPS:
            x = self.encoder[start:stop](x)
            features.append(x)
            start = stop
        features.append(self.sixth(x))
        size = features[1].shape[-2:]
        levels = [
            F.interpolate(F.relu(reduce(feature)), size, mode="bilinear", align_corners=False)
            for feature, reduce in zip(features, self.reductions)
        ]
        joints: Any
        ends = []
        for path, order in ((self.up, levels), (self.down, levels[::-1])):
            for joints in path:
                order = [joint(a, b) for joint, (a, b) in zip(joints, itertools.pairwise(order))]
            ends.append(order[0])
        return self.last_layer(self.join(torch.cat(ends, dim=1)))


class Complement(nn.Module):
    """``relu(a + b + f(a) + g(b))``: two neighbouring levels, each completed by a residual function of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.gain = nn.Parameter(torch.full((WIDTH, 1, 1), 0.5))  # keeps the scale of what comes in

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return features of the same shape."""
        return F.relu(self.gain * (a + b + self.first(a) + self.second(b)))
