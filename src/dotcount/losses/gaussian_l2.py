"""The density-to-density baseline: squared difference to dots blurred by Gaussians."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses._cells import ImageCells, image_cells
from dotcount.losses._neighbours import neighbour_distances
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput


@LOSSES.register("gaussian_l2")
class GaussianL2Loss(DensityLoss):
    """``1/2 sum_i (u_i - t_i)^2`` with ``t_i = sum_j integral of N(y_j, sigma_j^2) over cell i`` (Zhang et al. 2016).

    Their sections 2.1 (target) and 2.3 (loss); the target is Eq. 1 of the UOT paper, which calls this baseline l2.
    Every kernel is cut to the valid cells and renormalised, so that each dot adds a mass of exactly one, at the border
    too. A dot outside the valid cells is moved to their border.

    Parameters
    ----------
    kernel
        ``"fixed"``: one sigma for all; ``"adaptive"``: ``sigma_j = beta`` times the mean distance to the nearest
        ``neighbours`` other dots of the crop (the geometry-adaptive kernel).
    sigma
        Of the fixed kernel, and of a dot without any other, px.
    beta
        Factor of the adaptive kernel, no unit; 0.3 in the paper.
    neighbours
        How many other dots the adaptive kernel looks at; 3 in the code the paper's authors and others use.
    min_sigma, max_sigma
        Bounds of the adaptive sigma, px; two dots at one place would give 0.
    reduction
        ``"sum"`` over the valid cells, as published, or ``"mean"``.

    Notes
    -----
    Terms: ``sigma_px`` (mean over dots; 0 without dots).

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("gaussian_l2", sigma=4.0)(density, [torch.tensor([[20.0, 30.0], [41.0, 12.5]])], stride=8)
    >>> out.total.backward()
    >>> density.grad.shape
    torch.Size([1, 1, 8, 8])
    """

    def __init__(
        self,
        kernel: str = "fixed",
        sigma: float = 8.0,
        beta: float = 0.3,
        neighbours: int = 3,
        min_sigma: float = 1.0,
        max_sigma: float | None = None,
        reduction: str = "sum",
    ) -> None:
        super().__init__()
        if kernel not in ("fixed", "adaptive"):
            raise InputError(f"kernel must be 'fixed' or 'adaptive'; got {kernel!r}")
        if reduction not in ("sum", "mean"):
            raise InputError(f"reduction must be 'sum' or 'mean'; got {reduction!r}")
        if not (sigma > 0 and beta > 0 and neighbours >= 1 and 0 < min_sigma <= (max_sigma or min_sigma)):
            raise InputError(
                "gaussian_l2 needs sigma > 0, beta > 0, neighbours >= 1 and 0 < min_sigma <= max_sigma; "
                f"got {sigma}, {beta}, {neighbours}, {min_sigma}, {max_sigma}"
            )
        self.kernel, self.sigma, self.beta, self.neighbours = kernel, sigma, beta, neighbours
        self.min_sigma, self.max_sigma, self.reduction = min_sigma, max_sigma, reduction

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`GaussianL2Loss`."""
        values, sigmas = [], []
        for image, points in enumerate(batch.points):
            cells = image_cells(batch, image)
            sigma = self.sigmas(points)
            target = gaussian_target(cells, points, sigma)
            value = (cells.mass - target).square().sum() / 2
            values.append(value / max(1, cells.mass.numel()) if self.reduction == "mean" else value)
            sigmas.append(sigma)
        per_image = torch.stack(values)
        all_sigmas = torch.cat(sigmas)
        terms = {"sigma_px": float(all_sigmas.mean()) if len(all_sigmas) else 0.0}
        return LossOutput(per_image.mean(), per_image.detach(), terms)

    def sigmas(self, points: Tensor) -> Tensor:
        """Return (m,) the sigma of each dot (m, 2), px."""
        sigma = points.new_full((len(points),), self.sigma)
        if self.kernel == "fixed" or len(points) < 2:
            return sigma
        return (self.beta * neighbour_distances(points, self.neighbours)).clamp(self.min_sigma, self.max_sigma)


def gaussian_target(cells: ImageCells, points: Tensor, sigma: Tensor) -> Tensor:
    """Return (rows, columns): the dots (m, 2) blurred by their sigma (m,), px, with a mass of exactly one each."""
    if not cells.mass.numel() or not len(points):
        return torch.zeros_like(cells.mass)

    def shares(count: int, coordinate: Tensor) -> Tensor:
        """Return (m, count) the share of each kernel in each row or column of cells."""
        edges = torch.arange(count + 1, dtype=points.dtype, device=points.device) * cells.stride
        inside = coordinate.clamp(0, count * cells.stride)[:, None]
        steps = torch.erf((edges - inside) / (sigma[:, None] * math.sqrt(2))).diff(dim=1)
        return steps / steps.sum(dim=1, keepdim=True)

    rows, columns = cells.mass.shape
    return shares(rows, points[:, 1]).T @ shares(columns, points[:, 0])
