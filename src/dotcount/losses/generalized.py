"""The generalised loss: unbalanced transport with an exponential cost, a term per dot and one per cell."""

from __future__ import annotations

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses._cells import ImageCells, image_cells
from dotcount.losses._sinkhorn import sinkhorn
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput, check_length_scale

_LARGEST_EXPONENT = 60.0  # e^60 is far beyond any reach and still a float32
_DUST = 1e-9  # objects per cell, so that a density of all zeros has a logarithm


@LOSSES.register("generalized")
class GeneralizedLoss(DensityLoss):
    """``UOT(u, v) + tau (sum_j |gamma_j - 1| + sum_i (q_i - u_i)^2)`` (Wan, Liu and Chan 2021, section 3).

    UOT is ``min_P <C, P> + rho KL(q | u) + rho KL(gamma | v) + eps E(P)`` with ``q = P 1``, ``gamma = P^T 1`` and
    ``C = exp(d / (s L)) - 1`` for a distance of d px. The entropy is ``E = sum P (ln P / (u v) - 1) + sum u``: the KL
    divergence from ``u v`` up to a constant, without which every further dot would push the mass down.

    The potentials are constants for the gradient: exact for UOT by the envelope theorem, and the published choice for
    the other terms, where q is a constant too. The published code adds an entropy averaged over all pairs, which is
    negligible and left out here, and shifts its grid by half a cell, which is not repeated. Without dots the formula
    leaves ``(rho + eps) sum u + tau sum u^2``.

    Parameters
    ----------
    scale
        s, in units of L; 0.6 in the published code.
    epsilon
        Blur, in units of the cost ("blur" in the published code).
    rho
        Strength of the mass penalties, in units of the cost ("reach").
    tau
        Weight of the dot and cell terms.
    length_scale
        L, px; None: the longer side of the largest image or crop of the batch; ``spacing`` as for the loss ``uot``.
    max_iter, tol
        Of the Sinkhorn iteration, see :func:`dotcount.losses._sinkhorn.sinkhorn`.

    Notes
    -----
    Terms: ``transport`` (UOT), ``dots`` and ``cells`` before weighting, and ``scale_px`` (s L).

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("generalized", scale=0.6)(density, [torch.tensor([[20.0, 30.0], [41.0, 12.5]])], stride=8)
    >>> out.total.backward()
    >>> sorted(out.terms)
    ['cells', 'dots', 'scale_px', 'transport']
    """

    def __init__(
        self,
        scale: float = 0.6,
        epsilon: float = 0.01,
        rho: float = 0.5,
        tau: float = 0.1,
        length_scale: float | None = None,
        max_iter: int = 100,
        tol: float = 1e-3,
    ) -> None:
        super().__init__()
        check_length_scale(length_scale)
        lengths_ok = scale > 0 and (length_scale is None or length_scale > 0)
        if not (lengths_ok and epsilon > 0 and rho > 0 and tau >= 0 and max_iter >= 1 and tol >= 0):
            raise InputError(
                "generalized needs scale, epsilon, rho and length_scale > 0, tau >= 0, max_iter >= 1 and tol >= 0; "
                f"got {scale}, {epsilon}, {rho}, {length_scale}, {tau}, {max_iter}, {tol}"
            )
        self.scale, self.epsilon, self.rho, self.tau = scale, epsilon, rho, tau
        self.length_scale, self.max_iter, self.tol = length_scale, max_iter, tol

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`GeneralizedLoss`."""
        scale_px = self.scale * (self.length_scale or max(batch.size))
        parts = torch.stack(
            [self._image(image_cells(batch, image), points, scale_px) for image, points in enumerate(batch.points)]
        )
        per_image = parts @ parts.new_tensor([1.0, self.tau, self.tau])
        terms = dict(zip(("transport", "dots", "cells"), parts.detach().mean(dim=0).tolist()))
        return LossOutput(per_image.mean(), per_image.detach(), terms | {"scale_px": scale_px})

    def _image(self, cells: ImageCells, points: Tensor, scale_px: float) -> Tensor:
        """Return (3,): transport, dot term, cell term of one image."""
        mass = cells.mass.flatten()
        if not len(points) or not len(mass):
            lost = (self.rho + self.epsilon) * mass.sum() + self.rho * len(points)
            return torch.stack([lost, torch.full_like(lost, float(len(points))), mass.square().sum()])
        cells.check_pairs(points, "generalized")
        distance = cells.squared_distances(points).flatten(1).T.sqrt()
        cost = torch.expm1((distance / scale_px).clamp(max=_LARGEST_EXPONENT))
        log_b = mass.new_zeros(len(points))
        f, g = sinkhorn(
            cost,
            (mass.detach() + _DUST).log(),
            log_b,
            epsilon=self.epsilon,
            rho=self.rho,
            tol=self.tol,
            max_iter=self.max_iter,
        )
        with torch.no_grad():
            per_unit = torch.exp((f[:, None] + g - cost) / self.epsilon)  # mass moved per unit of density
            leaving, kept = per_unit.sum(dim=1), torch.exp(-f / self.rho)
            moved = mass * leaving
        dual = (mass * (self.rho * (1 - kept) + self.epsilon * (1 - leaving))).sum()
        dual = dual + self.rho * (1 - torch.exp(-g / self.rho)).sum()
        dots = (mass @ per_unit - 1).abs().sum()
        return torch.stack([dual, dots, (moved - mass).square().sum()])
