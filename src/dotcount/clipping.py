"""A clip of gradients that bites every loss alike: a quantile of the norms before."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class QuantileClip(nn.Module):
    """Upper end of a gradient's norm: a quantile of the norms before; part of the state that a resumed run needs.

    Parameters
    ----------
    quantile
        In (0, 1).

    Examples
    --------
    >>> clip = QuantileClip(0.5)
    >>> for norm in range(1, 22):
    ...     clip.add(torch.tensor(float(norm)))
    >>> clip.bound()
    11.0
    """

    STEPS, FIRST = 200, 20
    recent: Tensor

    def __init__(self, quantile: float) -> None:
        super().__init__()
        self.quantile = quantile
        self.register_buffer("recent", torch.full((self.STEPS,), math.nan, dtype=torch.float64))

    def limit(self) -> Tensor:
        """Return :meth:`bound` as a tensor on the buffer's device, for which no host has to wait."""
        finite = torch.isfinite(self.recent)
        known = torch.where(finite, self.recent, math.nan)
        return torch.where(finite.sum() < self.FIRST, math.inf, torch.nanquantile(known, self.quantile))

    def bound(self) -> float:
        """Return the quantile of the last 200 norms; infinity while there are fewer than 20."""
        return float(self.limit())

    def add(self, norm: Tensor) -> None:
        """Add the norm of a step, before clipping; the oldest one is forgotten."""
        self.recent = torch.cat([self.recent[1:], norm.detach().double().reshape(1)])
