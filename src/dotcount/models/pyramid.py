"""timm encoders with a light pyramid decoder: ``timm/<name>``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from dotcount.errors import ModelError, UnknownNameError, UsageError
from dotcount.models.base import DensityNetwork, Positive
from dotcount.models.depthwise import DepthwiseConv2d, is_depthwise
from dotcount.models.layers import upsample
from dotcount.models.names import TIMM, models
from dotcount.registry import did_you_mean


@models.register(TIMM)
class Pyramid(DensityNetwork):
    """A timm encoder and a feature pyramid (Lin et al. 2017) down to the density's stride.

    Each level gets a 1x1 convolution to ``width`` channels; from the coarsest on, levels are enlarged and added; a 3x3
    convolution, ReLU and a 1x1 convolution give the density.

    Batch norms keep to their stored statistics (:meth:`DensityNetwork.train`), their weights and biases are trained. An
    encoder without pretrained weights has the statistics of no data, mean 0 and variance 1, and trains poorly.

    Parameters
    ----------
    encoder
        Name of a timm model with a feature pyramid, for example ``resnet18`` or ``convnext_atto``.
    stride
        4 or 8 px.
    width
        Channels of the decoder.
    output, output_scale
        See :class:`~dotcount.models.base.Positive`.

    Notes
    -----
    ``receptive_radius`` is None: many encoders pool over the whole image (squeeze and excitation).
    """

    def __init__(
        self,
        encoder: str,
        stride: int = 4,
        width: int = 64,
        output: str = "softplus",
        output_scale: float = 0.1,
        *,
        statistics: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        if stride not in (4, 8):
            raise UsageError(f"timm encoders have stride 4 or 8; got {stride}")
        network = build_encoder(encoder, stride)
        levels = list(network.feature_info.reduction())
        mean, std = statistics or (network.pretrained_cfg["mean"], network.pretrained_cfg["std"])
        super().__init__(
            stride=stride,
            size_multiple=max(levels),
            receptive_radius=None,
            output=Positive(output, output_scale),
            mean=mean,
            std=std,
        )
        self.encoder_name = encoder
        self.encoder = network
        self.factors = [coarse // fine for fine, coarse in itertools.pairwise([stride, *levels])]
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in network.feature_info.channels())
        self.feature_layers = (f"laterals.{len(self.laterals) - 1}", "last_layer")
        self.smooth = nn.Conv2d(width, width, 3, padding=1)
        self.last_layer = nn.Conv2d(width, 1, 1)
        nn.init.normal_(self.last_layer.weight, std=0.01)
        self.initialize_density(0.01)
        self.train()

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities at the model's stride."""
        x: Tensor | None = None
        for feature, lateral, factor in reversed(list(zip(self.encoder(images), self.laterals, self.factors))):
            x = lateral(feature) if x is None else x + lateral(feature)
            if factor > 1:
                x = upsample(x, factor)
        assert x is not None, "an encoder has at least one level"
        return self.last_layer(F.relu(self.smooth(F.relu(x))))

    def freeze(self, levels: int) -> None:
        """Keep every encoder weight on which the ``levels`` finest feature maps depend; they cost the most time.

        Examples
        --------
        >>> network = Pyramid("resnet18")
        >>> network.freeze(1)
        >>> [name for name, p in network.encoder.named_parameters() if p.requires_grad][0]
        'layer2.0.conv1.weight'
        """
        if levels > len(self.laterals):
            raise UsageError(f"{self.encoder_name} has {len(self.laterals)} levels; model.frozen_levels is {levels}")
        if not levels:
            return
        weights = list(self.encoder.parameters())
        finest = self.encoder(torch.zeros(1, 3, self.size_multiple, self.size_multiple))[levels - 1]
        found = torch.autograd.grad(finest.sum(), weights, allow_unused=True)
        for weight, gradient in zip(weights, found):
            weight.requires_grad_(gradient is None)

    def load_published(self) -> None:
        """Load timm's weights for the encoder from its cache, or download them."""
        try:
            published = build_encoder(self.encoder_name, self.stride, pretrained=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelError(
                f"model 'timm/{self.encoder_name}': the published weights can't be had ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}); give pretrained the path of a local file"
            ) from error
        self.encoder.load_state_dict(published.state_dict())

    def encoder_state(self, state: Mapping[str, Tensor]) -> tuple[nn.Module, Mapping[str, Tensor]]:
        """Return the encoder and the part of timm's state dict that it has; the classifier is left out."""
        own = self.encoder.state_dict()
        part = {name: state[name] for name in own if name in state}
        return (self.encoder, part) if part else (self, state)


def build_encoder(name: str, stride: int, pretrained: bool = False) -> Any:
    """Return timm's feature pyramid ``name`` (an ``nn.Module``; timm is untyped) without levels finer than ``stride``.

    Raises
    ------
    UnknownNameError
        If timm has no such model.
    ModelError
        If the model gives no pyramid, or only for a fixed image size.
    """
    if name.split(".")[0] not in timm.list_models():  # a name of a hub would be looked up there, weights or not
        near = did_you_mean(name, timm.list_models()).replace("'", "'timm/", 1)
        raise UnknownNameError(f"unknown model 'timm/{name}': timm {timm.__version__} has no {name!r}.{near}")
    try:
        probe: Any = timm.create_model(name, features_only=True)
        levels = [i for i, r in enumerate(probe.feature_info.reduction()) if r >= stride]
        network: Any = timm.create_model(name, features_only=True, pretrained=pretrained, out_indices=levels)
        _prepare(network)
        side = 2 * max(network.feature_info.reduction())
        with torch.no_grad():
            shapes = [tuple(f.shape[1:]) for f in network.eval()(torch.zeros(1, 3, side, side))]
    except (AssertionError, AttributeError, TypeError, RuntimeError, ValueError) as error:
        if pretrained:
            raise
        raise ModelError(
            f"model 'timm/{name}': this encoder gives no feature pyramid for images of any size ({error}); "
            "choose a convolutional one such as 'timm/resnet18'"
        ) from error
    info = network.feature_info
    if shapes != [(c, side // r, side // r) for c, r in zip(info.channels(), info.reduction())]:
        raise ModelError(
            f"model 'timm/{name}': its features have shapes {shapes}, not channels first; "
            "choose a convolutional encoder such as 'timm/resnet18'"
        )
    return network


class _SameConv2d(Conv2dSame):
    """TensorFlow's "same" convolution for inputs whose sides its stride divides; the padding is then a constant.

    timm computes it anew from every input's size, which tracing for export can't follow. The network's images are
    padded to its coarsest stride, so the sides are always divisible.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution, ceil(side / stride) on each side."""
        extra = [d * (k - 1) + 1 - s for k, s, d in zip(self.kernel_size, self.stride, self.dilation)]
        (top, bottom), (left, right) = ((max(e, 0) // 2, max(e, 0) - max(e, 0) // 2) for e in extra)
        return self._conv_forward(F.pad(x, (left, right, top, bottom)), self.weight, self.bias)


class _DepthwiseSameConv2d(DepthwiseConv2d, _SameConv2d):
    """The same for one filter a channel."""


def _prepare(network: nn.Module) -> None:
    """Give the convolutions of an encoder paddings that can be traced, and fast gradients."""
    for module in network.modules():
        same = isinstance(module, Conv2dSame)
        if same:
            module.__class__ = _DepthwiseSameConv2d if is_depthwise(module) else _SameConv2d
        elif type(module) is nn.Conv2d and is_depthwise(module):
            module.__class__ = DepthwiseConv2d
