"""``sfcn``: spatial fully convolutional network on ResNet-101 (Wang et al. 2019)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import ResNet101_Weights, resnet101

from dotcount.models.base import Positive
from dotcount.models.names import models
from dotcount.models.vgg import VGGNetwork, dilated_back_end


@models.register("sfcn")
class SFCN(VGGNetwork):
    """Spatial FCN (Wang et al. 2019, "Learning from synthetic data"), the variant on ResNet-101; stride 8.

    ResNet-101 to its third stage, kept at stride 8, CSRNet's dilated back end, and a spatial encoder that passes
    features from row to row, down and up, and from column to column, right and left. So every cell depends on the whole
    image: ``receptive_radius`` is None and tiles are not exact. Batch norms keep to their stored statistics. The
    published network enlarges its density eightfold at the end; here it stays at stride 8.

    Weights: torchvision's ResNet-101, tensors by name; the fourth stage and the classifier are left out.
    """

    published = ResNet101_Weights.IMAGENET1K_V1

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__(stride=8, size_multiple=8, receptive_radius=None, output=Positive(output, output_scale))
        network = resnet101(weights=None, zero_init_residual=True)
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        self.encoder = nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))
        first = network.layer3[0]
        for conv in (first.conv2, first.downsample[0]):
            conv.stride = (1, 1)
        self.back_end = dilated_back_end(1024)
        self.rows, self.columns = Recurrence(64, dim=2), Recurrence(64, dim=3)
        self.last_layer = nn.Conv2d(64, 1, 1)
        for recurrence in (self.rows, self.columns):
            nn.init.normal_(recurrence.conv.weight, std=0.1 * (2 / (9 * 64)) ** 0.5)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)
        self.train()

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        x = self.back_end(self.encoder(images))
        return self.last_layer(self.columns(self.rows(x)))

    def encoder_state(self, state: Mapping[str, Tensor]) -> tuple[nn.Module, Mapping[str, Tensor]]:
        """Return the encoder and torchvision's tensors that it has."""
        part = {name: state[name] for name in self.encoder.state_dict() if name in state}
        return (self.encoder, part) if part else (self, state)


class Recurrence(nn.Module):
    """``x_k <- x_k + relu(conv(x_{k - 1}))`` over rows (``dim`` 2) or columns (3), there and back.

    The convolution, 9 cells wide, is the same in both directions. It starts with a tenth of He's deviation: over a
    hundred rows a larger one would grow without bound.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        size = (1, 9) if dim == 2 else (9, 1)
        self.conv = nn.Conv2d(channels, channels, size, padding=(size[0] // 2, size[1] // 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        lines = list(x.split(1, dim=self.dim))
        last = len(lines) - 1
        for k, before in [*((k, k - 1) for k in range(1, last + 1)), *((k, k + 1) for k in range(last - 1, -1, -1))]:
            lines[k] = lines[k] + F.relu(self.conv(lines[before]))
        return torch.cat(lines, dim=self.dim)
