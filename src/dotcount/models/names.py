"""The registry of models and :func:`create`."""

from __future__ import annotations

import os

from torch import nn

from dotcount.errors import UnknownNameError, UsageError
from dotcount.models.base import DensityNetwork
from dotcount.registry import Registry

models: Registry[nn.Module] = Registry("model")
"""Name -> factory; ``models.register("mine")(MyModel)`` adds a :class:`~dotcount.models.DensityModel` of one's own."""


TIMM = "timm/<name>"
"""Stands for every encoder of timm that gives a feature pyramid: ``timm/resnet18``, ``timm/convnext_atto``, ..."""


def available() -> list[str]:
    """Return the names that :func:`create` takes; ``timm/<name>`` stands for timm's encoders."""
    return list(models)


def create(name: str, pretrained: bool | str | os.PathLike[str] = False, **options: object) -> nn.Module:
    """Build a density regressor.

    Parameters
    ----------
    name
        One of :func:`available`.
    pretrained
        False: random weights. True: the architecture's published weights. Otherwise the path of a weights file or
        folder, or ``hf-hub:owner/name``; see :meth:`~dotcount.models.DensityNetwork.load_pretrained`.
    options
        The architecture's own options, such as ``stride`` and ``width``.

    Returns
    -------
    torch.nn.Module
        A :class:`~dotcount.models.DensityModel`.

    Raises
    ------
    UsageError
        If the name or an option is unknown; the message suggests the nearest.
    ModelError
        If the weights are missing or don't fit.
    """
    if name.startswith("timm/"):
        model = models.create(TIMM, encoder=name.removeprefix("timm/"), **options)
    else:
        if name not in models and _is_of_timm(name):
            raise UnknownNameError(f"unknown model {name!r}; as an encoder of timm it is called 'timm/{name}'")
        model = models.create(name, **options)
    if pretrained is not False:
        if not isinstance(model, DensityNetwork):
            raise UsageError(
                f"model {name!r} is not a DensityNetwork and can't load pretrained weights; load them yourself"
            )
        model.load_pretrained(pretrained)
    return model


def _is_of_timm(name: str) -> bool:
    import timm

    return bool(timm.is_model(name))
