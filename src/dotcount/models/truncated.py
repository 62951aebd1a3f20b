"""``resnet74``, ``densenet63`` and ``cl_cnn``: the backbones of UCF-QNRF's first tables (Idrees et al. 2018)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import DenseNet, ResNet
from torchvision.models.resnet import Bottleneck

from dotcount.models.base import DensityNetwork, Positive
from dotcount.models.names import models
from dotcount.models.vgg import he_initialize


@models.register("resnet74")
class ResNet74(DensityNetwork):
    """A ResNet of 74 layers (He et al. 2016), as Idrees et al. 2018 and Table 5 of the paper compare; stride 8.

    Stages of 3, 4 and 17 bottleneck blocks, the last kept at stride 8, and a convolution: 1 + 3 x 24 + 1 layers. The
    papers name the number of layers alone; with ResNet-101's first two stages, the third has 17 blocks. Batch norms
    keep to their stored statistics, so that without pretrained weights they are the identity.
    """

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__(stride=8, size_multiple=8, receptive_radius=None, output=Positive(output, output_scale))
        network: Any = ResNet(Bottleneck, [3, 4, 17, 1], zero_init_residual=True)
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        self.encoder = nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))
        first = network.layer3[0]
        for conv in (first.conv2, first.downsample[0]):
            conv.stride = (1, 1)
        self.last_layer = nn.Conv2d(1024, 1, 1)
        nn.init.normal_(self.last_layer.weight, std=0.001)
        self.initialize_density(0.01)
        self.train()

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        return self.last_layer(self.encoder(images))


class Dense(DensityNetwork):
    """A DenseNet (Huang et al. 2017) without its last pooling; at stride 8 as the third block's pooling is left out."""

    def __init__(self, blocks: tuple[int, ...], output: str, output_scale: float) -> None:
        super().__init__(stride=8, size_multiple=8, receptive_radius=None, output=Positive(output, output_scale))
        network: Any = DenseNet(32, (*blocks, 1), 64)
        kept = f"denseblock{len(blocks)}"
        names = list(network.features._modules)
        self.encoder = nn.Sequential(
            OrderedDict((name, network.features._modules[name]) for name in names[: names.index(kept) + 1])
        )
        network.features.transition2.pool = nn.Identity()
        self.channels = int(network.features._modules[f"transition{len(blocks)}"].norm.num_features)


@models.register("densenet63")
class DenseNet63(Dense):
    """A DenseNet of 63 layers (Huang et al. 2017), as Idrees et al. 2018 and Table 5 of the paper compare; stride 8.

    Blocks of 6, 12 and 12 layers of growth 32: 1 + 2 x 6 + 1 + 2 x 12 + 1 + 2 x 12 layers, and a 1x1 convolution. The
    papers name the number of layers alone. Batch norms keep to their stored statistics.
    """

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__((6, 12, 12), output, output_scale)
        self.last_layer = nn.Conv2d(self.channels, 1, 1)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)
        self.train()

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        return self.last_layer(F.relu(self.encoder(images)))


@models.register("cl_cnn")
class CLCNN(Dense):
    """The network of composition loss (Idrees et al. 2018) on DenseNet-201's first three blocks; stride 8.

    After the encoder, three densities one after the other, each from the features and all densities before it: the
    published ones are ever sharper, down to dots. The published composition loss compares each with its own blur and
    adds counts; here the loss sees the last density alone.
    """

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__((6, 12, 48), output, output_scale)
        self.reduce = nn.Conv2d(self.channels, 128, 1)
        self.branches: Any = nn.ModuleList(
            nn.Sequential(nn.Conv2d(128 + k, 64, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(64, 1, 1))
            for k in range(3)
        )
        he_initialize(self.reduce, self.branches)
        for branch in self.branches:
            nn.init.normal_(next(list(branch.children())[-1].parameters()), std=0.01)
        self.initialize_density(0.01)
        self.train()

    @property
    def last_layer(self) -> nn.Conv2d:  # type: ignore[override]
        """The convolution that gives the last density."""
        return self.branches[-1][-1]

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        x = F.relu(self.reduce(F.relu(self.encoder(images))))
        for branch in self.branches:
            density = branch(x)
            x = torch.cat([x, density], dim=1)
        return density
