"""Point-to-cell transport: every cell of the map belongs to its nearest dot."""

from __future__ import annotations

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses._cells import ImageCells, image_cells, nearest_dots
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput


@LOSSES.register("pml")
class PMLoss(DensityLoss):
    """``sum_j |M_j - n_j| + w (sum_i c_i u_i - mean_j(c) (M_j - n_j))``, i over the cells of dot j (PML, ICLR 2025).

    ``M_j`` is the mass of the cells that dot j is nearest to, its region, and ``c_i = exp(d_i / max(R_j, r)) - 1`` the
    cost of a cell at the distance ``d_i``, with ``R_j`` the distance of the region's furthest cell. Taking the region's
    mean cost off the surplus leaves the count to the first term: transport moves mass within a region, but never lowers
    it.
    ``n_j`` is 1, and more where dots are so close that some are nearest to no cell: these count in the region that
    holds them. Without dots the loss is the mass.

    Parameters
    ----------
    weight
        w, no unit. Costs lie between 0 and e - 1, so up to 1 / (e - 1) = 0.58 the least value is 0, at one object on
        each dot, whatever the shape of the regions; above, a region that is far from its dot could gain by growing.
    least_radius
        r, px: in smaller regions the cost is that of a region of this radius.

    Notes
    -----
    Terms: ``count`` (the first sum, objects) and ``transport`` (the second, before its weight).

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("pml")(density, [torch.tensor([[20.0, 30.0]])], stride=8)
    >>> out.total.backward()
    >>> round(out.terms["count"], 4)
    2.2
    """

    def __init__(self, weight: float = 0.5, least_radius: float = 32.0) -> None:
        super().__init__()
        if not (0 <= weight <= 0.58 and least_radius > 0):
            raise InputError(
                f"pml needs a weight from 0 to 0.58 and least_radius > 0 px; got {weight}, {least_radius}; "
                "with a larger weight the loss has no least value"
            )
        self.weight, self.least_radius = weight, least_radius

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`PMLoss`."""
        counts, transports = [], []
        for image, points in enumerate(batch.points):
            count, transport = self.parts(image_cells(batch, image), points)
            counts.append(count)
            transports.append(transport)
        count, transport = torch.stack(counts), torch.stack(transports)
        per_image = count + self.weight * transport
        terms = {"count": float(count.detach().mean()), "transport": float(transport.detach().mean())}
        return LossOutput(per_image.mean(), per_image.detach(), terms)

    def parts(self, cells: ImageCells, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the count term and the transport of one image."""
        mass = cells.mass.flatten()
        if not len(points) or not len(mass):
            return mass.sum() + (0 if len(mass) else len(points)), mass.new_zeros(())
        owner, distance = nearest_dots(cells, points)
        zeros = mass.new_zeros(len(points))
        radius = zeros.scatter_reduce(0, owner, distance, "amax").clamp(min=self.least_radius)
        cost = torch.expm1(distance / radius[owner])
        size = zeros.index_add(0, owner, torch.ones_like(mass))
        mean = zeros.index_add(0, owner, cost) / size.clamp(min=1)
        surplus = zeros.index_add(0, owner, mass) - self.targets(cells, points, owner, size)
        return surplus.abs().sum(), (cost * mass).sum() - (mean * surplus).sum()

    @staticmethod
    def targets(cells: ImageCells, points: Tensor, owner: Tensor, size: Tensor) -> Tensor:
        """Return (m,) the objects in each dot's region: its own, and those of dots without a cell that lie there."""
        owned = size > 0
        home = torch.where(owned, torch.arange(len(points), device=points.device), owner[cells.cell_of(points)])
        return torch.zeros_like(size).index_add(0, home, torch.ones_like(size))
