"""``cg_drcn``: residual densities weighted by their confidence (Sindagi, Yasarla & Patel 2019, 2020)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from dotcount.models.base import Positive
from dotcount.models.layers import upsample
from dotcount.models.names import models
from dotcount.models.vgg import VGG16_STAGES, VGGNetwork, he_initialize, vgg_layers

TAPS = ((16, 256), (23, 512), (30, 512))
"""Where conv3, conv4 and conv5 of VGG-16 end in the encoder, after their ReLU, and their channels."""


@models.register("cg_drcn")
class CGDRCN(VGGNetwork):
    """Confidence guided deep residual counting network (Sindagi et al. 2019, of JHU-CROWD++); stride 4.

    A sixth stage after VGG-16 gives a density at stride 32. At conv5, conv4 and conv3 it is enlarged and corrected by
    ``residual * confidence``, both estimated there; the confidence lies between 0 and 1. The published training
    compares every level's density and rewards confidence; here the loss sees the last density alone.
    """

    published = VGG16_Weights.IMAGENET1K_V1

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        # px: 90 in VGG-16, 64 in the sixth stage, 64 in its estimator, 56 in the steps up.
        super().__init__(stride=4, size_multiple=32, receptive_radius=274, output=Positive(output, output_scale))
        self.encoder = vgg_layers(VGG16_STAGES)
        self.sixth = nn.Sequential(
            nn.MaxPool2d(2),
            nn.Conv2d(512, 512, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(512, 512, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.coarse: Any = _estimator(512)
        self.residuals = nn.ModuleList(_estimator(width) for _, width in TAPS)
        self.reductions = nn.ModuleList(nn.Conv2d(width, 32, 1) for _, width in TAPS)
        self.confidences = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(33, 32, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(32, 16, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(16, 16, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(16, 1, 1),
            )
            for _ in TAPS
        )
        he_initialize(self.sixth, self.coarse, self.residuals, self.reductions, self.confidences)
        for estimator in (self.coarse, *self.residuals):
            nn.init.normal_(estimator[-1].weight, std=0.01)
        self.initialize_density(0.01)

    @property
    def last_layer(self) -> nn.Conv2d:  # type: ignore[override]
        """The convolution that gives the coarsest density; what follows corrects it."""
        return self.coarse[-1]

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 4."""
        features, x, start = [], images, 0
        for stop, _ in TAPS:
            x = self.encoder[start:stop](x)
            features.append(x)
            start = stop
        density = self.coarse(self.sixth(x))
        levels = zip(features, self.residuals, self.reductions, self.confidences)
        for feature, residual, reduction, confidence in reversed(list(levels)):
            correction = residual(feature)
            seen = torch.cat([F.relu(reduction(feature)), correction], dim=1)
            density = upsample(density) + correction * torch.sigmoid(confidence(seen))
        return density


def _estimator(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 32, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 1, 3, padding=1),
    )
