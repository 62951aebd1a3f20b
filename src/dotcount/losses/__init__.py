"""Losses between a predicted density map and dots, behind one interface.

Every loss is called as ``loss(density, points, stride=...)`` and returns a :class:`LossOutput`.
"""

from __future__ import annotations

from dotcount.losses.base import Batch, DensityLoss, LossOutput, valid_cells
from dotcount.losses.bayesian import BayesianLoss
from dotcount.losses.dm_count import DMCountLoss
from dotcount.losses.gaussian_l2 import GaussianL2Loss
from dotcount.losses.generalized import GeneralizedLoss
from dotcount.losses.uot import PotentialCache, UOTLoss
from dotcount.registry import Registry

LOSSES: Registry[DensityLoss] = Registry("loss")
LOSSES.register("uot")(UOTLoss)
LOSSES.register("bayesian")(BayesianLoss)
LOSSES.register("dm_count")(DMCountLoss)
LOSSES.register("gaussian_l2")(GaussianL2Loss)
LOSSES.register("generalized")(GeneralizedLoss)


def create(name: str, **options: object) -> DensityLoss:
    """Build the loss called ``name`` with its options.

    Raises
    ------
    UnknownNameError, UsageError
        For a name or an option that does not exist; the message suggests the nearest.
    """
    return LOSSES.create(name, **options)


__all__ = [
    "LOSSES",
    "Batch",
    "BayesianLoss",
    "DMCountLoss",
    "DensityLoss",
    "GaussianL2Loss",
    "GeneralizedLoss",
    "LossOutput",
    "PotentialCache",
    "UOTLoss",
    "create",
    "valid_cells",
]
