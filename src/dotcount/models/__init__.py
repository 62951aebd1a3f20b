"""Density regressors: images (B, 3, H, W) in [0, 1] to densities (B, 1, ceil(H/stride), ceil(W/stride)) >= 0.

A network is one file of this folder with ``@models.register("name")`` on its class; the folder is searched.
"""

from __future__ import annotations

from dotcount.models.base import DensityModel, DensityNetwork, Positive, check_model
from dotcount.models.names import available, create, models
from dotcount.registry import import_folder

import_folder(__name__)

__all__ = ["DensityModel", "DensityNetwork", "Positive", "available", "check_model", "create", "models"]
