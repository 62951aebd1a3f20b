"""The registry of models and :func:`create`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable

from torch import nn

from dotcount.errors import UnknownNameError, UsageError
from dotcount.models.base import DensityNetwork
from dotcount.registry import Registry

models: Registry[nn.Module] = Registry("model", group="dotcount.models", base=nn.Module)
"""Name -> factory; ``@models.register("mine")`` adds a :class:`~dotcount.models.DensityModel` of one's own.

Another package adds one by an entry point of the group ``dotcount.models``.
"""


TIMM_PREFIX = "timm/"

TIMM = "timm/<name>"
"""Stands for every encoder of timm that gives a feature pyramid: ``timm/resnet18``, ``timm/convnext_atto``, ..."""


def available() -> list[str]:
    """Return the names that :func:`create` takes; ``timm/<name>`` stands for timm's encoders.

    >>> "compact" in available()
    True
    """
    return list(models)


def check(name: str, options: Iterable[str] = ()) -> Callable[..., nn.Module]:
    """Return what builds the model called ``name``, after making sure that it takes ``options``; builds nothing.

    Raises
    ------
    UnknownNameError
        If there is no such model; the message suggests the nearest, also among timm's encoders.
    UsageError
        If it has no such option.

    Examples
    --------
    >>> check("resnet50")
    Traceback (most recent call last):
    ...
    dotcount.errors.UnknownNameError: unknown model 'resnet50'. Did you mean 'timm/resnet50'? ...
    """
    if name.startswith(TIMM_PREFIX):
        encoder = name.removeprefix(TIMM_PREFIX)
        if encoder.split(".")[0] not in _encoders():  # a name of a hub would be looked up there, weights or not
            raise UnknownNameError(f"unknown model {name!r}: timm has no {encoder!r}.{_near(encoder, [])}")
        return models.check(TIMM, options)
    if name not in models and name not in models.broken:
        known = ", ".join(models)
        raise UnknownNameError(f"unknown model {name!r}.{_near(name, models)} Known: {known}.")
    return models.check(name, options)


def _encoders() -> list[str]:
    import timm

    names: list[str] = timm.list_models()
    return names


def _near(name: str, own: Iterable[str]) -> str:
    """Return a suggestion: an encoder of timm of that very name, else the nearest of our own and of timm's names."""
    encoders = _encoders()
    wanted = name.lower().replace("-", "_")
    exact = [f"{TIMM_PREFIX}{wanted}"] if wanted in encoders else []
    ours = difflib.get_close_matches(wanted, list(own), n=1, cutoff=0.6)
    theirs = [f"{TIMM_PREFIX}{one}" for one in difflib.get_close_matches(wanted, encoders, n=1, cutoff=0.6)]
    best = [*exact, *ours, *theirs][:1]
    return f" Did you mean {best[0]!r}?" if best else ""


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

    Examples
    --------
    >>> import torch
    >>> model = create("compact", stride=8, width=4)
    >>> model(torch.rand(1, 3, 64, 48)).shape
    torch.Size([1, 1, 8, 6])
    """
    factory = check(name, options)
    if name.startswith(TIMM_PREFIX):
        options = {"encoder": name.removeprefix(TIMM_PREFIX), **options}
    model = factory(**options)
    if pretrained is not False:
        if not isinstance(model, DensityNetwork):
            raise UsageError(
                f"model {name!r} is not a DensityNetwork and can't load pretrained weights; load them yourself"
            )
        model.load_pretrained(pretrained)
    return model
