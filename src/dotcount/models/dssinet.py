"""``dssinet``: structured features of three scales of the image (Liu et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from dotcount.models.base import Positive
from dotcount.models.layers import upsample
from dotcount.models.names import models
from dotcount.models.vgg import VGG16_CONV4_STAGES, VGGNetwork, he_initialize, vgg_layers

STAGES = ((0, 3), (5, 8), (10, 15), (17, 22))
"""First layer of VGG-16's four stages in the encoder, after the pooling, and where their last convolution ends."""


@models.register("dssinet")
class DSSINet(VGGNetwork):
    """Deep structured scale integration network (Liu et al. 2019); stride 1.

    One VGG-16, to conv4_3, looks at the image enlarged twofold, as it is and halved. Features of the same size refine
    each other by two rounds of messages (mean field of a conditional random field), and each group gives a density that
    corrects the enlarged one of the coarser group. The published training adds a loss of structural similarity, of
    which nothing is taken over. With the enlarged image a step costs about five times one of CSRNet.
    """

    published = VGG16_Weights.IMAGENET1K_V1

    def __init__(self, output: str = "softplus", output_scale: float = 0.01) -> None:
        super().__init__(stride=1, size_multiple=16, receptive_radius=None, output=Positive(output, output_scale))
        self.encoder = vgg_layers(VGG16_CONV4_STAGES)
        groups = ((128, 64), (256, 128, 64), (512, 256, 128), (512, 256))
        self.messages = nn.ModuleList(Messages(channels) for channels in groups)
        # Of the halved image's deepest features, then of the groups, from coarse to fine.
        self.heads: Any = nn.ModuleList(_head(sum(channels)) for channels in ((512,), *reversed(groups)))
        self.passing: Any = nn.ModuleList(nn.Conv2d(1, 1, 3, padding=1) for _ in range(4))
        self.slopes = nn.ModuleList(nn.PReLU() for _ in range(4))
        he_initialize(self.messages, self.heads)
        for parameter in self.passing.parameters():  # begin as the enlarged coarser density
            nn.init.dirac_(parameter) if parameter.ndim > 1 else nn.init.zeros_(parameter)
        for parameter in self.messages.parameters():
            parameter.data *= 0.1  # messages correct features; at full strength these would double from group to group
        for parameter in [p for head in self.heads for p in list(head.parameters())[-2:]]:
            nn.init.normal_(parameter, std=0.001) if parameter.ndim > 1 else nn.init.zeros_(parameter)
        self.initialize_density(0.001)

    @property
    def last_layer(self) -> nn.Conv2d:  # type: ignore[override]
        """The convolution that gives the finest correction."""
        return self.heads[-1][-1]

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 1."""
        one, two, three, four = self.messages
        large, same, small = upsample(images), images, F.avg_pool2d(images, 2)
        large_2, same_1 = one([self.stage(1, self.stage(0, large, relu=True)), self.stage(0, same)])
        groups = [torch.cat([large_2, same_1], dim=1)]
        large_3, same_2, small_1 = two([self.stage(2, large_2), self.stage(1, same_1), self.stage(0, small)])
        groups.append(torch.cat([large_3, same_2, small_1], dim=1))
        large_4, same_3, small_2 = three([self.stage(3, large_3), self.stage(2, same_2), self.stage(1, small_1)])
        groups.append(torch.cat([large_4, same_3, small_2], dim=1))
        same_4, small_3 = four([self.stage(3, same_3), self.stage(2, small_2)])
        groups += [torch.cat([same_4, small_3], dim=1), self.stage(3, small_3, relu=True)]
        density = self.heads[0](groups.pop())
        for head, passing, slope in zip(list(self.heads)[1:], self.passing, self.slopes):
            density = head(groups.pop()) + passing(upsample(slope(density)))
        return density

    def stage(self, index: int, features: Tensor, relu: bool = False) -> Tensor:
        """Return what VGG-16's stage makes of features, before or after its last ReLU; later stages pool first."""
        start, stop = STAGES[index]
        x = F.max_pool2d(features, 2) if index else features
        out = self.encoder[start:stop](x)
        return F.relu(out) if relu else out


class Messages(nn.Module):
    """Features of one size: each is corrected by 1x1 convolutions of all others, twice with the same weights."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.convs: Any = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(source, target, 1) for j, source in enumerate(channels) if j != i)
            for i, target in enumerate(channels)
        )
        self.slope = nn.PReLU()

    def forward(self, states: Sequence[Tensor]) -> list[Tensor]:
        """Return the refined features, in the same order."""
        states = list(states)
        for _ in range(2):
            refined = []
            for i, convs in enumerate(self.convs):
                others = [state for j, state in enumerate(states) if j != i]
                messages = torch.stack([conv(other) for conv, other in zip(convs, others)]).sum(dim=0)
                refined.append(F.relu(states[i] + self.slope(messages)))
            states = refined
        return states


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 128, 1), nn.ReLU(inplace=True), nn.Conv2d(128, 1, 3, padding=1))
