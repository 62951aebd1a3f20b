"""What prediction asks of a network, whatever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from torch import nn

FloatImages = npt.NDArray[np.float32]


class Runtime(ABC):
    """A network in eval mode, as a function of arrays.

    Attributes
    ----------
    name
        ``torch``, ``onnx`` or ``openvino``.
    model
        Name of the architecture, for messages.
    stride
        Side of a density cell, px.
    size_multiple
        px; tiles start on multiples of it, so that they see the grid of the whole image.
    receptive_radius
        px of context that a cell depends on beyond its own border; ``None``: the whole image.
    batches
        Whether images of one size go through the network together, where they are small. On a CPU only where an image
        gets the same density to the last bit whatever its neighbours, so that a part of a job gives the rows of the
        whole.
    ground
        (3,) colour in [0, 1] that the network takes for zero; what lies beside a mirrored image has it.
    feature_layers
        Names of the layers whose features :meth:`run_with_features` returns, see :mod:`dotcount.inference.features`.

    Examples
    --------
    >>> import numpy as np
    >>> from dotcount import models
    >>> runtime = as_runtime(models.create("compact", width=4))
    >>> runtime.name, runtime.density(np.zeros((2, 64, 48, 3), np.float32)).shape
    ('torch', (2, 16, 12))
    """

    name: str
    model: str
    stride: int
    size_multiple: int
    receptive_radius: int | None
    batches: bool = True
    ground: npt.NDArray[np.float32]
    feature_layers: tuple[str, ...] = ()

    def density(self, images: FloatImages, *, mirror: bool = False) -> FloatImages:
        """Return the densities (B, h, w) of images (B, H, W, 3) float32 RGB in [0, 1], expected objects per cell.

        Parameters
        ----------
        images
            All of one size.
        mirror
            Test-time augmentation: the mean with the density of the mirror image, mirrored back; less chance in every
            count, at twice the time.
        """
        return self.density_and_features(images, mirror=mirror)[0]

    def density_and_features(
        self, images: FloatImages, *, mirror: bool = False
    ) -> tuple[FloatImages, list[FloatImages]]:
        """Return what :meth:`density` returns, and of the images as they are what each layer has, (B, C, h, w)."""
        density, features = self.run_with_features(images)
        if not mirror:
            return density, features
        rows, columns = density.shape[-2:]
        # Mirrored after padding, so that the cells of both fall on each other whatever the image's size.
        mirrored = self.run(np.ascontiguousarray(self._padded(images)[:, :, ::-1]))[..., ::-1]
        return 0.5 * (density + mirrored[:, :rows, :columns]), features

    @abstractmethod
    def run(self, images: FloatImages) -> FloatImages:
        """Return (B, ceil(H/stride), ceil(W/stride)) densities of images (B, H, W, 3)."""

    def run_with_features(self, images: FloatImages) -> tuple[FloatImages, list[FloatImages]]:
        """Return the densities, and what each of :attr:`feature_layers` has, (B, C, h, w)."""
        return self.run(images), []

    def feature_channels(self) -> dict[str, int]:
        """Return the number of channels of each of :attr:`feature_layers`, from a run on a small blank image."""
        if not self.feature_layers:
            return {}
        side = -(-64 // self.size_multiple) * self.size_multiple
        features = self.run_with_features(np.zeros((1, side, side, 3), np.float32))[1]
        return {name: one.shape[1] for name, one in zip(self.feature_layers, features)}

    @abstractmethod
    def digest(self) -> str:
        """Return a digest of the weights: the same for a network and for what was exported from it."""

    def _padded(self, images: FloatImages) -> FloatImages:
        """Pad right and bottom to whole steps of the network's coarsest grid, with what it normalises to zero."""
        count, height, width, channels = images.shape
        right, bottom = -width % self.size_multiple, -height % self.size_multiple
        if not (right or bottom):
            return images
        padded = np.empty((count, height + bottom, width + right, channels), np.float32)
        padded[:] = self.ground
        padded[:, :height, :width] = images
        return padded


def as_runtime(model: nn.Module | Runtime, device: str | torch.device | None = None) -> Runtime:
    """Return what runs a network: a runtime as it is, a module of the form of ``DensityModel`` by PyTorch.

    Parameters
    ----------
    model
        See :class:`dotcount.models.DensityModel`.
    device
        Where a module is moved to; absent: it stays where it is.
    """
    if isinstance(model, Runtime):
        return model
    from dotcount.inference.runtimes.pytorch import TorchRuntime

    return TorchRuntime(model, device)


def facts(runtime: Runtime) -> dict[str, Any]:
    """Return what a runtime must know of a network besides its graph, as plain values."""
    radius = runtime.receptive_radius
    return {
        "stride": int(runtime.stride),
        "size_multiple": int(runtime.size_multiple),
        "receptive_radius": None if radius is None else int(radius),
        "ground": [float(value) for value in np.asarray(runtime.ground, np.float32).ravel()],
        "feature_layers": list(runtime.feature_layers),
    }
