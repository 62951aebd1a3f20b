"""PyTorch: on GPUs, and for networks that can't be exported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from dotcount.devices import choose_device
from dotcount.inference.network import density_maps
from dotcount.inference.runtimes.base import FloatImages, Runtime


class TorchRuntime(Runtime):
    """A module of the form of :class:`dotcount.models.DensityModel`.

    Parameters
    ----------
    module
        Maps (B, 3, H, W) RGB in [0, 1] to a density of stride ``module.stride``; set to eval mode.
    device
        ``auto``, ``cpu``, ``cuda``, ``mps``, or a ``torch.device``; absent: where the module is.

    Raises
    ------
    UsageError
        If the device is not available.
    """

    name = "torch"

    def __init__(self, module: nn.Module, device: str | torch.device | None = None) -> None:
        if device is not None:
            module = module.to(choose_device(device))
        self.module = module.to(memory_format=torch.channels_last).eval()
        self.device = next((value.device for value in module.parameters()), torch.device("cpu"))
        self.model = type(module).__name__
        self.batches = self.device.type != "cpu"

    # Asked of the module each time: it is the caller's, who may set them.

    @property
    def stride(self) -> int:  # type: ignore[override]
        """Side of a density cell, px."""
        return int(self.module.stride)  # type: ignore[arg-type]

    @property
    def size_multiple(self) -> int:  # type: ignore[override]
        """Of the module, or its stride."""
        return int(getattr(self.module, "size_multiple", self.stride))

    @property
    def receptive_radius(self) -> int | None:  # type: ignore[override]
        """Of the module; one that doesn't say is taken for one whose cells depend on the whole image."""
        radius = getattr(self.module, "receptive_radius", None)
        return None if radius is None else int(radius)

    @property
    def ground(self) -> FloatImages:  # type: ignore[override]
        """The mean that the module subtracts, or black."""
        mean = getattr(self.module, "mean", None)
        known = isinstance(mean, Tensor) and mean.shape == (1, 3, 1, 1)
        return mean.detach().cpu().float().numpy().ravel() if known else np.zeros(3, np.float32)  # type: ignore[union-attr]

    @property
    def feature_layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """Of the module; none if it names none, or one that it lacks."""
        return feature_layers(self.module)

    def run(self, images: FloatImages) -> FloatImages:
        """See :meth:`Runtime.run`."""
        # (B, H, W, 3) seen as (B, 3, H, W) is what PyTorch calls channels last: nothing is copied.
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        found: FloatImages = density_maps(self.module, pixels.to(self.device))[:, 0].cpu().numpy()
        return found

    def run_with_features(self, images: FloatImages) -> tuple[FloatImages, list[FloatImages]]:
        """See :meth:`Runtime.run_with_features`."""
        with tapped(self.module) as features:
            density = self.run(images)
        return density, [one.float().cpu().numpy() for one in features]

    def digest(self) -> str:
        """See :meth:`Runtime.digest`."""
        return weights_digest(self.module)


def feature_layers(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the layers whose inputs are a network's features, see :mod:`dotcount.inference.features`.

    Examples
    --------
    >>> from dotcount import models
    >>> feature_layers(models.create("compact", width=4))
    ('laterals.2', 'last_layer')
    """
    names = tuple(getattr(module, "feature_layers", ()))
    known = dict(module.named_modules())
    return names if all(isinstance(name, str) and name in known for name in names) else ()


@contextmanager
def tapped(module: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that holds the features of the last run of a network in the block, a tensor for each layer."""
    names, found = feature_layers(module), dict[str, Tensor]()
    listed: list[Tensor] = []

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found[name] = inputs[0]
            listed[:] = [found[one] for one in names if one in found]

        return hook

    handles = [module.get_submodule(name).register_forward_pre_hook(keep(name)) for name in names]
    try:
        yield listed
    finally:
        for handle in handles:
            handle.remove()


def weights_digest(module: nn.Module) -> str:
    """Return a digest of names, shapes and values of all weights."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
