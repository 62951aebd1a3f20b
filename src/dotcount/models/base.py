"""What every density regressor shares: input normalisation, padding to whole cells, a non-negative output."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dotcount.density import grid_shape
from dotcount.errors import InputError, ModelError, UsageError
from dotcount.models.weights import fit_state, read_state

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@runtime_checkable
class DensityModel(Protocol):
    """What training and prediction ask of a model; any ``torch.nn.Module`` of this form works, ours or the user's.

    ``stride`` is the side of a density cell in px. Calling the model on images (B, 3, H, W), float32 RGB in [0, 1],
    returns the density (B, 1, ceil(H/stride), ceil(W/stride)), finite and >= 0, whose sum over an image is its count.

    Optional attributes, used where they are present: ``size_multiple`` (px; tiles start on multiples of it; ``stride``
    without it), ``receptive_radius`` (px of context that a cell depends on beyond its own border, or None where it is
    the whole image), ``feature_layers`` (names of modules whose inputs tell the kind of an image, see
    :mod:`dotcount.inference.features`) and ``initialize_density(mean_per_cell)``. :func:`check_model` says what a
    module lacks.

    Examples
    --------
    >>> from dotcount import models
    >>> isinstance(models.create("compact", width=4), DensityModel)
    True
    """

    stride: int

    def __call__(self, images: Tensor) -> Tensor:
        """Return the density (B, 1, ceil(H/stride), ceil(W/stride)) of images (B, 3, H, W)."""
        ...


NOTHING = -50.0
"""Where softplus ends: a density of 2e-22 of its scale.

Further down its slope becomes a subnormal number (below 1e-38), and on its way back through the network it meets
processors that take ten times as long for those: on one, the steps of a run on crowds came to take twice their time.
"""


class Positive(nn.Module):
    """The last step of a regressor: maps any real number to a density >= 0.

    Parameters
    ----------
    kind
        ``softplus``: ``scale * log(1 + exp(x))``, x >= -50, whose gradient hardly ever vanishes altogether;
        ``abs``: ``|x|`` (Bayesian loss, DM-Count and the paper); ``relu``: ``max(x, 0)``.
    scale
        Density per cell at which softplus turns from exponential to linear.

    Examples
    --------
    >>> import torch
    >>> end = Positive("softplus", scale=0.1)
    >>> round(float(end(torch.tensor(end.inverse(0.02)))), 6)
    0.02
    """

    def __init__(self, kind: str = "softplus", scale: float = 0.1) -> None:
        super().__init__()
        if kind not in ("softplus", "abs", "relu"):
            raise UsageError(f"output {kind!r} is not known; choose softplus, abs or relu")
        if not scale > 0:
            raise UsageError(f"output scale must be positive; got {scale}")
        self.kind, self.scale = kind, scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the density of the same shape."""
        if self.kind == "softplus":
            return self.scale * F.softplus(x.clamp(min=NOTHING))
        return x.abs() if self.kind == "abs" else F.relu(x)

    def inverse(self, density: float) -> float:
        """Return the number that is mapped to ``density`` > 0."""
        if self.kind != "softplus":
            return density
        ratio = density / self.scale
        return ratio + math.log(-math.expm1(-ratio))

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return self.kind + (f", scale={self.scale:g}" if self.kind == "softplus" else "")


class DensityNetwork(nn.Module):
    """Base class of the shipped regressors.

    A subclass implements :meth:`regress` (normalised and padded images to raw densities, one channel) and names its
    last convolution in :attr:`last_layer`. This class normalises inside the model (mean and std are buffers and travel
    with the weights), pads right and bottom to ``size_multiple`` and cuts the output back to ceil(H/stride) x
    ceil(W/stride), so that any image size from 1 x 1 px works.

    Parameters
    ----------
    stride
        Side of a density cell, px.
    size_multiple
        Coarsest stride inside the network, px. Crops that start on multiples of it see the network at the same phase
        as the whole image.
    receptive_radius
        px: no cell depends on a pixel further than this from its own border; None if a cell depends on the whole image.
    output
        The non-negative end, see :class:`Positive`.
    mean, std
        Channel statistics subtracted from and divided out of images in [0, 1].

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> class Patches(DensityNetwork):
    ...     def __init__(self):
    ...         super().__init__(stride=8, size_multiple=8, receptive_radius=0, output=Positive())
    ...         self.last_layer = nn.Conv2d(3, 1, 8, stride=8)
    ...     def regress(self, images):
    ...         return self.last_layer(images)
    >>> Patches()(torch.rand(1, 3, 20, 33)).shape
    torch.Size([1, 1, 3, 5])
    """

    mean: Tensor
    std: Tensor
    last_layer: nn.Conv2d
    feature_layers: tuple[str, ...] = ("last_layer",)
    """Names of the modules whose inputs tell the kind of an image; see :mod:`dotcount.inference.features`."""

    def __init__(
        self,
        *,
        stride: int,
        size_multiple: int,
        receptive_radius: int | None,
        output: Positive,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.size_multiple = size_multiple
        self.receptive_radius = receptive_radius
        self.output = output
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1))

    def regress(self, images: Tensor) -> Tensor:
        """Return raw densities (B, 1, h, w) of normalised images whose sides are multiples of ``size_multiple``."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Return the density.

        Parameters
        ----------
        images
            (B, 3, H, W) float RGB in [0, 1]; any H, W >= 1.

        Returns
        -------
        Tensor
            (B, 1, ceil(H/stride), ceil(W/stride)), expected objects per cell, >= 0.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise InputError(f"images must have shape (B, 3, H, W); got {tuple(images.shape)}")
        height, width = images.shape[-2:]
        rows, columns = grid_shape(height, width, self.stride)
        x = (images - self.mean) / self.std
        right, bottom = -width % self.size_multiple, -height % self.size_multiple
        if right or bottom:
            x = F.pad(x, (0, right, 0, bottom))
        return self.density(x)[..., :rows, :columns]

    def density(self, images: Tensor) -> Tensor:
        """Return densities (B, 1, h, w) of normalised and padded images; by default :meth:`regress` and the end."""
        return self.output(self.regress(images))

    def train(self, mode: bool = True) -> Self:
        """Switch the mode; batch norms keep to their stored statistics, so that small batches can't disturb them.

        Their weights and biases are trained like any other.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def freeze(self, levels: int) -> None:
        """Keep the encoder's layers down to its ``levels``-th feature map, from the finest, as they are.

        Their weights leave the training (``requires_grad`` is off), and no gradient passes through them.

        Parameters
        ----------
        levels
            0 or more; 0 freezes nothing.

        Raises
        ------
        UsageError
            If the network has no such levels.
        """
        if levels:
            raise UsageError(f"{type(self).__name__} has no levels to freeze; leave model.frozen_levels out")

    def initialize_density(self, mean_per_cell: float) -> None:
        """Set the last bias so that the untrained network predicts about ``mean_per_cell`` objects in every cell.

        The first steps then learn where objects are instead of how many there are on average.
        """
        if not (mean_per_cell > 0 and math.isfinite(mean_per_cell)):
            raise UsageError(f"mean_per_cell must be positive and finite; got {mean_per_cell}")
        bias = self.last_layer.bias
        assert bias is not None, "the last convolution of a DensityNetwork has a bias"
        nn.init.constant_(bias, self.output.inverse(mean_per_cell))

    def load_pretrained(self, source: bool | str | os.PathLike[str]) -> None:
        """Load weights.

        Parameters
        ----------
        source
            True for the architecture's published weights, where there are any; otherwise a weights file (safetensors,
            or pickled tensors read with ``weights_only=True``), a folder that holds one, or ``hf-hub:owner/name``.
            The file may hold this whole model, or just its encoder in the layout of the library it comes from.

        Raises
        ------
        ModelError
            If there is no such file, or its tensors don't fit.
        """
        if source is True:
            self.load_published()
        elif source is not False:
            self.load_state(read_state(source), str(source))

    def load_published(self) -> None:
        """Load the architecture's published weights; the base class has none."""
        raise ModelError(
            f"model {type(self).__name__.lower()!r} has no published weights; train it from scratch, "
            "or give pretrained the path of a weights file"
        )

    def load_state(self, state: Mapping[str, Tensor], origin: str) -> None:
        """Load this whole model or its encoder from ``state``; ``origin`` names it in messages."""
        own = self.state_dict()
        if own.keys() == state.keys():
            fit_state(self, state, origin)
            return
        target, part = self.encoder_state(state)
        fit_state(target, part, origin)

    def encoder_state(self, state: Mapping[str, Tensor]) -> tuple[nn.Module, Mapping[str, Tensor]]:
        """Return the submodule that a foreign ``state`` is for, and the state in that module's names."""
        return self, state


def check_model(model: nn.Module, size: tuple[int, int] = (70, 45)) -> None:
    """Try a module on a small image and raise an error that says how it departs from :class:`DensityModel`.

    Parameters
    ----------
    model
        The module; it is run once in eval mode and left as it was.
    size
        Height and width of the trial image, px; not multiples of any usual stride, so that rounding shows.

    Raises
    ------
    ModelError
        If the stride is missing, the output has another shape, or it is negative or not finite.

    Examples
    --------
    >>> from torch import nn
    >>> from dotcount import models
    >>> check_model(models.create("compact", width=4))
    >>> check_model(nn.Conv2d(3, 1, 3))
    Traceback (most recent call last):
    ...
    dotcount.errors.ModelError: model Conv2d needs an integer attribute 'stride' >= 1 (px per density cell); got (1, 1)
    """
    name = type(model).__name__
    stride = getattr(model, "stride", None)
    if not isinstance(stride, int) or stride < 1:
        raise ModelError(f"model {name} needs an integer attribute 'stride' >= 1 (px per density cell); got {stride!r}")
    parameter = next(model.parameters(), torch.empty(0))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            density = model(torch.rand(1, 3, *size, device=parameter.device))
    finally:
        model.train(training)
    expected = (1, 1, *grid_shape(*size, stride))
    if not isinstance(density, Tensor) or tuple(density.shape) != expected:
        got = tuple(density.shape) if isinstance(density, Tensor) else type(density).__name__
        raise ModelError(
            f"model {name} returned {got} for an image of {size[0]} x {size[1]} px; "
            f"stride {stride} asks for {expected}: pad right and bottom, and round the number of cells up"
        )
    if not bool(torch.isfinite(density).all()) or bool((density < 0).any()):
        raise ModelError(f"model {name} returned negative or non-finite densities; end it with softplus, abs or relu")
