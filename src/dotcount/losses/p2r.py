"""Point to region: in the region of each dot one cell, the best of the moment, holds the object."""

from __future__ import annotations

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses._cells import ImageCells, image_cells, nearest_dots
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput

_LEAST = 1e-6  # objects: below it the logarithm goes on as its tangent, so that an empty cell has a gradient


@LOSSES.register("p2r")
class P2RLoss(DensityLoss):
    """``sum_i w_i (u_i - T_i + T_i ln(T_i / u_i))``, T = 1 in the best cell of each dot's region (P2R, CVPR 2025).

    The region of a dot are the cells that it is nearest to, up to ``max_radius``. The best of them has the least
    ``distance_weight d_i / r_j - ln u_i``, with ``r_j`` the distance of the region's furthest cell between
    ``min_radius`` and ``max_radius``: a near cell with much mass. All other cells hold nothing. A dot without a cell of
    its own, where dots are closer than cells, counts in the cell that holds it. Without dots the loss is the mass.

    The paper's network gives a probability for each cell and is trained by cross-entropy; it counts the cells above one
    half. Here the map is a density whose sum is the count, so the cross-entropy is that of a Poisson number, which is
    least at ``u_i = T_i``, and ``ln u_i`` stands for the logit.

    Parameters
    ----------
    min_radius, max_radius
        px; 8 and 96 in the published code.
    distance_weight
        8 in the published code.
    positive_weight
        w of a cell with an object; 1 elsewhere. Published: 2, with which an object that is seen with probability p
        counts ``2 p / (1 + p)``; with 1 it counts p.
    reduction
        ``"sum"`` over the cells, or ``"mean"``, as published.

    Notes
    -----
    Terms: ``positive`` and ``negative``, the parts of cells with and without an object.

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("p2r")(density, [torch.tensor([[20.0, 30.0]])], stride=8)
    >>> out.total.backward()
    >>> int((density.grad < 0).sum())  # one cell is asked for more
    1
    """

    def __init__(
        self,
        min_radius: float = 8.0,
        max_radius: float = 96.0,
        distance_weight: float = 8.0,
        positive_weight: float = 1.0,
        reduction: str = "sum",
    ) -> None:
        super().__init__()
        if reduction not in ("sum", "mean"):
            raise InputError(f"reduction must be 'sum' or 'mean'; got {reduction!r}")
        if not (0 < min_radius <= max_radius and distance_weight >= 0 and positive_weight > 0):
            raise InputError(
                "p2r needs 0 < min_radius <= max_radius, distance_weight >= 0 and positive_weight > 0; "
                f"got {min_radius}, {max_radius}, {distance_weight}, {positive_weight}"
            )
        self.min_radius, self.max_radius = min_radius, max_radius
        self.distance_weight, self.positive_weight, self.reduction = distance_weight, positive_weight, reduction

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`P2RLoss`."""
        rows = []
        for image, points in enumerate(batch.points):
            cells = image_cells(batch, image)
            mass = cells.mass.flatten()
            target = self.targets(cells, points)
            held = target > 0
            # T ln(T / u) by the tangent at _LEAST below it: the value stays finite and the gradient does not vanish.
            log = mass.clamp(min=_LEAST).log() + (mass - _LEAST).clamp(max=0) / _LEAST
            misfit = mass - target + torch.where(held, target * (target.clamp(min=1).log() - log), 0)
            share = 1 / max(1, len(mass)) if self.reduction == "mean" else 1.0
            positive = torch.where(held, misfit, 0).sum() * self.positive_weight
            rows.append(torch.stack([positive, torch.where(held, 0, misfit).sum()]) * share)
        parts = torch.stack(rows)
        per_image = parts.sum(dim=1)
        terms = dict(zip(("positive", "negative"), parts.detach().mean(dim=0).tolist()))
        return LossOutput(per_image.mean(), per_image.detach(), terms)

    @torch.no_grad()
    def targets(self, cells: ImageCells, points: Tensor) -> Tensor:
        """Return (rows columns,) the number of objects that each cell shall hold; it adds up to the dots (m, 2)."""
        mass = cells.mass.detach().flatten()
        if not len(points) or not len(mass):
            return torch.zeros_like(mass)
        owner, distance = nearest_dots(cells, points)
        zeros, inf = mass.new_zeros(len(points)), float("inf")
        within = distance < self.max_radius
        radius = zeros.scatter_reduce(0, owner, distance * within, "amax").clamp(self.min_radius, self.max_radius)
        score = self.distance_weight * distance / radius[owner] - mass.clamp(min=_LEAST).log()
        score = torch.where(within, score, inf)
        best = torch.full_like(zeros, inf).scatter_reduce(0, owner, score, "amin")
        # Of equally good cells the first: its index is the least among those that reach the best score.
        index = torch.arange(len(mass), device=mass.device)
        candidates = torch.where(within & (score == best[owner]), index, len(mass))
        first = index.new_full((len(points),), len(mass)).scatter_reduce(0, owner, candidates, "amin")
        place = torch.where(first < len(mass), first, cells.cell_of(points))
        return torch.zeros_like(mass).index_add(0, place, torch.ones_like(zeros))
