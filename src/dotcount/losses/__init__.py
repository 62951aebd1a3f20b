"""Losses between a predicted density map and dots, behind one interface.

Every loss is called as ``loss(density, points, stride=...)`` and returns a :class:`LossOutput`. A loss is one file of
this folder with ``@LOSSES.register("name")`` on its class; the folder is searched, no list is kept.
"""

from __future__ import annotations

from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput, valid_cells
from dotcount.losses.bayesian import BayesianLoss
from dotcount.losses.dm_count import DMCountLoss
from dotcount.losses.gaussian_l2 import GaussianL2Loss
from dotcount.losses.generalized import GeneralizedLoss
from dotcount.losses.uot import PotentialCache, UOTLoss
from dotcount.registry import import_folder

import_folder(__name__)


def create(name: str, **options: object) -> DensityLoss:
    """Build the loss called ``name`` with its options.

    Raises
    ------
    UnknownNameError, UsageError
        For a name or an option that does not exist; the message suggests the nearest.

    Examples
    --------
    >>> import torch
    >>> loss = create("uot", epsilon=0.02)
    >>> out = loss(torch.full((1, 1, 8, 8), 0.05), [torch.tensor([[20.0, 30.0]])], stride=8)
    >>> bool(out.total > 0)
    True
    """
    return LOSSES.create(name, **options)


__all__ = [
    "LOSSES",
    "BayesianLoss",
    "DMCountLoss",
    "DensityLoss",
    "GaussianL2Loss",
    "GeneralizedLoss",
    "LossInput",
    "LossOutput",
    "PotentialCache",
    "UOTLoss",
    "create",
    "valid_cells",
]
