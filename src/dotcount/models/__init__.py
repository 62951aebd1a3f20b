"""Density regressors: images (B, 3, H, W) in [0, 1] to densities (B, 1, ceil(H/stride), ceil(W/stride)) >= 0."""

from __future__ import annotations

from dotcount.models import compact, mcnn, pyramid, vgg  # noqa: F401  (importing a model file registers it)
from dotcount.models.base import DensityModel, DensityNetwork, Positive, check_model
from dotcount.models.names import available, create, models

__all__ = ["DensityModel", "DensityNetwork", "Positive", "available", "check_model", "create", "models"]
