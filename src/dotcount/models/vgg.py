"""VGG feature extractors with torchvision's shapes and names, and ``vgg19``, the regressor of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.error import URLError

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, VGG19_Weights, WeightsEnum

from dotcount.errors import ModelError, UsageError
from dotcount.models.base import DensityNetwork, Positive
from dotcount.models.names import models

VGG19_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of 3x3 convolutions between the poolings of VGG-19."""

VGG16_CONV4_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3))
"""VGG-16 up to conv4_3, the front end of CSRNet and CAN."""


VGG16_STAGES = (*VGG16_CONV4_STAGES, (512, 3))
"""VGG-16 up to conv5_3."""


def vgg_layers(stages: tuple[tuple[int, int], ...]) -> nn.Sequential:
    """Return VGG's layers without the pooling after the last stage, numbered as in torchvision's ``features``."""
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in stages:
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    he_initialize(*layers)
    return nn.Sequential(*layers)


def dilated_back_end(channels: int, widths: tuple[int, ...] = (512, 512, 512, 256, 128, 64)) -> nn.Sequential:
    """Return CSRNet's back end: 3x3 convolutions of dilation 2, each with a ReLU (Li et al. 2018, Table 3, B)."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=2, dilation=2), nn.ReLU(inplace=True)]
        channels = width
    he_initialize(*layers)
    return nn.Sequential(*layers)


def he_initialize(*modules: nn.Module) -> None:
    """Start convolutions as He et al. 2015 do for networks with ReLU, with zero bias."""
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


class VGGNetwork(DensityNetwork):
    """A regressor whose :attr:`encoder` is the beginning of a VGG network, with torchvision's numbering.

    Weights: tensor ``features.N.weight|bias`` of torchvision's (or timm's) state dict becomes
    ``encoder.N.weight|bias``; later features and ``classifier.*`` are left out.
    """

    encoder: nn.Sequential
    published: WeightsEnum

    def load_published(self) -> None:
        """Load torchvision's ImageNet weights from its cache, or download them."""
        try:
            state = self.published.get_state_dict(progress=True, weights_only=True)
        except (URLError, OSError, RuntimeError) as error:
            raise ModelError(
                f"{self.published.url}: torchvision's weights can't be downloaded ({error}); fetch the file elsewhere "
                "and give pretrained its path"
            ) from error
        self.load_state(state, self.published.url)

    def encoder_state(self, state: Mapping[str, Tensor]) -> tuple[nn.Module, Mapping[str, Tensor]]:
        """Return the encoder and torchvision's tensors under its names."""
        last = len(self.encoder) - 1
        part = {
            name.removeprefix("features."): value
            for name, value in state.items()
            if name.startswith("features.") and int(name.split(".")[1]) <= last
        }
        return (self.encoder, part) if part else (self, state)


@models.register("vgg19")
class VGG19(VGGNetwork):
    """The paper's regressor, which is that of Bayesian loss (Ma et al. 2019).

    VGG-19 before its last pooling (512 channels at stride 16), enlarged twofold to stride 8, then 3x3 512-256, 3x3
    256-128 and 1x1 128-1 convolutions with ReLU between, and the absolute value. 21,499,457 parameters.

    Parameters
    ----------
    output
        ``abs`` (as published), ``relu`` or ``softplus``.
    upsample
        ``bilinear`` or ``nearest``. Cells are areas (``align_corners=False``): unlike the published code, enlarging
        moves no mass by up to half a cell.

    Notes
    -----
    Head weights start as N(0, 0.01) with zero bias. The published recipe starts the encoder from ImageNet
    (``pretrained=True`` or a path); without, it starts from He's initialisation.
    """

    published = VGG19_Weights.IMAGENET1K_V1
    feature_layers = ("head.0", "last_layer")

    def __init__(self, output: str = "abs", upsample: str = "bilinear") -> None:
        if upsample not in ("bilinear", "nearest"):
            raise UsageError(f"model 'vgg19' enlarges by bilinear or nearest; got upsample={upsample!r}")
        # px: 2 x 1 + 2 x 2 + 4 x 4 + 4 x 8 + 4 x 16 in the encoder, 2 x 8 in the head, 8 or 16 by enlarging.
        radius = 134 + (16 if upsample == "bilinear" else 8)
        super().__init__(stride=8, size_multiple=16, receptive_radius=radius, output=Positive(output))
        self.upsample = upsample
        self.encoder = vgg_layers(VGG19_STAGES)
        self.head = nn.Sequential(
            nn.Conv2d(512, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 128, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.last_layer = nn.Conv2d(128, 1, 1)
        for parameter in [*self.head.parameters(), *self.last_layer.parameters()]:
            nn.init.normal_(parameter, std=0.01) if parameter.ndim > 1 else nn.init.zeros_(parameter)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        x = self.encoder(images)
        if self.upsample == "nearest":
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        else:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.last_layer(self.head(x))


@models.register("csrnet")
class CSRNet(VGGNetwork):
    """CSRNet (Li, Zhang & Chen 2018), configuration B; stride 8.

    VGG-16 to conv4_3, then six convolutions of dilation 2; 16,263,489 parameters. The published network ends linearly;
    here ``output`` keeps the density non-negative, and the back end starts from He's initialisation, so that it also
    trains without ImageNet weights.
    """

    published = VGG16_Weights.IMAGENET1K_V1
    feature_layers = ("back_end.0", "last_layer")

    def __init__(self, output: str = "softplus", output_scale: float = 0.1) -> None:
        # Front end 1 x 2 + 2 x 2 + 4 x 3 + 8 x 3 px, back end 6 x 16 px.
        super().__init__(stride=8, size_multiple=8, receptive_radius=138, output=Positive(output, output_scale))
        self.encoder = vgg_layers(VGG16_CONV4_STAGES)
        self.back_end = dilated_back_end(512)
        self.last_layer = nn.Conv2d(64, 1, 1)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        return self.last_layer(self.back_end(self.encoder(images)))


@models.register("can")
class CAN(VGGNetwork):
    """Context-aware network (Liu, Salzmann & Fua 2019), Eqs. 1 to 5; stride 8.

    Features ``f`` of VGG-16's conv4_3 are averaged over k x k blocks of the image for k = 1, 2, 3, 6; each average
    passes a 1x1 convolution and is enlarged again to ``s_k``. Contrasts ``c_k = s_k - f`` give weights
    ``w_k = sigmoid(conv(c_k))``, and ``[f, sum w_k s_k / sum w_k]`` goes through CSRNet's dilated back end.

    The blocks scale with the image, so a crop and the whole image do NOT see the same function: ``receptive_radius`` is
    None and tiles are not exact. The published back end has batch norms; here it has none.
    """

    published = VGG16_Weights.IMAGENET1K_V1
    feature_layers = ("back_end.0", "last_layer")

    def __init__(
        self, output: str = "softplus", output_scale: float = 0.1, blocks: tuple[int, ...] = (1, 2, 3, 6)
    ) -> None:
        super().__init__(stride=8, size_multiple=8, receptive_radius=None, output=Positive(output, output_scale))
        self.blocks = blocks
        self.encoder = vgg_layers(VGG16_CONV4_STAGES)
        self.context = nn.ModuleList(nn.Conv2d(512, 512, 1, bias=False) for _ in blocks)
        self.contrast = nn.Conv2d(512, 512, 1)
        self.join = nn.Conv2d(1024, 512, 1)
        self.back_end = dilated_back_end(512)
        self.last_layer = nn.Conv2d(64, 1, 1)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at stride 8."""
        f = self.encoder(images)
        total, weights = torch.zeros_like(f), torch.zeros_like(f)
        for k, conv in zip(self.blocks, self.context):
            scale = F.interpolate(conv(F.adaptive_avg_pool2d(f, k)), f.shape[-2:], mode="bilinear", align_corners=False)
            weight = torch.sigmoid(self.contrast(scale - f))
            total, weights = total + weight * scale, weights + weight
        x = F.relu(self.join(torch.cat([total / (weights + 1e-8), f], dim=1)))
        return self.last_layer(self.back_end(x))
