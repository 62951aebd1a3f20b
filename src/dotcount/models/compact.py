"""``compact``: an encoder-decoder that trains from scratch in minutes on two CPU cores."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from dotcount.errors import UsageError
from dotcount.models.base import DensityNetwork, Positive
from dotcount.models.layers import ChannelNorm, ResidualBlock, upsample
from dotcount.models.names import models

BLOCKS = (0, 1, 2, 2, 2)
"""Residual blocks of the encoder at strides 2, 4, 8, 16 and 32; most at the coarse ones, where context is cheap."""


@models.register("compact")
class Compact(DensityNetwork):
    """A residual encoder down to stride 32 and a pyramid decoder up to the density's stride.

    Dense 3x3 convolutions (depthwise ones are bound by memory on a CPU and gain little), channel normalisation once a
    stage, nothing normalised over the batch or the image's extent.

    Parameters
    ----------
    stride
        2, 4 or 8 px. 4 is the default: located points need cells smaller than objects, and at 2 the fine level costs
        about as much as all others together.
    width
        Channels at stride 4; 16, 32, 64, 96, 128 from stride 2 to 32 for the default of 32. Cost grows with its square.
    output, output_scale
        See :class:`~dotcount.models.base.Positive`.
    """

    def __init__(self, stride: int = 4, width: int = 32, output: str = "softplus", output_scale: float = 0.1) -> None:
        if stride not in (2, 4, 8):
            raise UsageError(f"model 'compact' has stride 2, 4 or 8; got {stride}")
        if width < 4 or width % 2:
            raise UsageError(f"model 'compact' needs an even width of at least 4; got {width}")
        super().__init__(
            stride=stride, size_multiple=32, receptive_radius=_radius(stride), output=Positive(output, output_scale)
        )
        channels = (width // 2, width, 2 * width, 3 * width, 4 * width)
        finest = {2: 0, 4: 1, 8: 2}[stride]
        self.stem = nn.Conv2d(3, channels[0], 5, stride=2, padding=2)
        self.downs = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Conv2d(a, b, 3, stride=2, padding=1), ChannelNorm(b))
            for a, b in itertools.pairwise(channels)
        )
        self.encoder = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(c) for _ in range(n))) for c, n in zip(channels, BLOCKS)
        )
        # Level i of the decoder joins level i of the encoder with what came up from level i + 1.
        self.laterals = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(channels[finest:], channels[finest + 1 :]))
        self.decoder = nn.ModuleList(ResidualBlock(c) for c in channels[finest:-1])
        self.feature_layers = (f"laterals.{len(self.laterals) - 1}", "last_layer")
        self.last_layer = nn.Conv2d(channels[finest], 1, 1)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at the model's stride."""
        x = self.encoder[0](self.stem(images))
        levels = [x]
        for down, stage in zip(self.downs, list(self.encoder)[1:]):
            x = stage(down(x))
            levels.append(x)
        for depth in reversed(range(len(self.decoder))):
            skip = levels[len(levels) - 1 - len(self.decoder) + depth]
            x = self.decoder[depth](skip + upsample(self.laterals[depth](x)))
        return self.last_layer(F.relu(x))


def _radius(stride: int) -> int:
    """Return the px of context along the longest path, down to stride 32 and back up to ``stride``.

    A convolution of size k at stride s adds s (k // 2), a step down from s adds s, a bilinear step up to s adds 2 s.
    """
    radius = 2
    for level, blocks in enumerate(BLOCKS):
        s = 2 << level
        radius += 2 * s * blocks
        if s < 32:
            radius += s  # the step down
            radius += 2 * s + 2 * s if s >= stride else 0  # the step up and the decoder's block
    return radius
