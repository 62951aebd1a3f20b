"""Distribution matching: count, balanced transport and total variation."""

from __future__ import annotations

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses._cells import ImageCells, image_cells
from dotcount.losses._sinkhorn import sinkhorn
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput

_LEAST_MASS = 1e-6  # objects


@LOSSES.register("dm_count")
class DMCountLoss(DensityLoss):
    """``| |u| - m | + w_ot OT(u / |u|, v / m) + w_tv m TV(u / |u|, v / m)`` (Wang et al. 2020, section 3).

    OT is entropic: ``min <C, P> + reg KL(P | a b)`` with C the squared distance in px^2. ``TV(a, b) = 1/2 sum |a - b|``
    between cells, with every dot in the cell that holds it. The published code leaves out the 1/2, and takes the
    entropy of P in place of its divergence from a b: the same plan, but a gradient without bound at density 0.
    Without dots, or where the whole mass is below a millionth of an object and has no shape, the loss is the count term
    alone: the gradient of the shape grows with ``1 / |u|``.

    Parameters
    ----------
    ot_weight, tv_weight
        w_ot (objects per px^2) and w_tv (no unit).
    reg
        Blur of the transport, px^2; ``sqrt(reg)`` is about the distance over which it blurs, px.
    max_iter
        Bound on Sinkhorn iterations at ``reg``; 100 in the published code, which starts cold.
    tol
        Where Sinkhorn stops, no unit; see :func:`dotcount.losses._sinkhorn.sinkhorn`.

    Notes
    -----
    Terms: ``count``, ``transport`` (OT, px^2) and ``total_variation`` (m TV, objects), before weighting.

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("dm_count", reg=10.0)(density, [torch.tensor([[20.0, 30.0], [41.0, 12.5]])], stride=8)
    >>> out.total.backward()
    >>> sorted(out.terms)
    ['count', 'total_variation', 'transport']
    """

    def __init__(
        self,
        ot_weight: float = 0.1,
        tv_weight: float = 0.01,
        reg: float = 10.0,
        max_iter: int = 100,
        tol: float = 1e-3,
    ) -> None:
        super().__init__()
        if not (ot_weight >= 0 and tv_weight >= 0 and reg > 0 and max_iter >= 1 and tol >= 0):
            raise InputError(
                "dm_count needs weights >= 0, reg > 0, max_iter >= 1 and tol >= 0; "
                f"got {ot_weight}, {tv_weight}, {reg}, {max_iter}, {tol}"
            )
        self.ot_weight, self.tv_weight = ot_weight, tv_weight
        self.reg, self.max_iter, self.tol = reg, max_iter, tol

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`DMCountLoss`."""
        rows = []
        for image, points in enumerate(batch.points):
            cells = image_cells(batch, image)
            total = cells.mass.sum()
            count = (total - len(points)).abs()
            if len(points) and float(total.detach()) > _LEAST_MASS:
                shape = cells.mass / total
                rows.append(torch.stack([count, self.transport(cells, shape, points), variation(cells, shape, points)]))
            else:
                rows.append(torch.stack([count, torch.zeros_like(count), torch.zeros_like(count)]))
        parts = torch.stack(rows)
        per_image = parts @ parts.new_tensor([1.0, self.ot_weight, self.tv_weight])
        terms = dict(zip(("count", "transport", "total_variation"), parts.detach().mean(dim=0).tolist()))
        return LossOutput(per_image.mean(), per_image.detach(), terms)

    def transport(self, cells: ImageCells, shape: Tensor, points: Tensor) -> Tensor:
        """Return OT, px^2, between the density's shape (rows, columns), which sums to 1, and the dots (m, 2).

        The dual value ``<a, f> + <b, g>``; by the envelope theorem the potentials are constants for the gradient.
        """
        cells.check_pairs(points, "dm_count")
        a = shape.flatten()
        cost = cells.squared_distances(points).flatten(1).T
        log_b = -a.new_full((len(points),), float(len(points))).log()
        log_a = a.detach().log()
        f, g = sinkhorn(cost, log_a, log_b, epsilon=self.reg, tol=self.tol, max_iter=self.max_iter)
        return (a * f).sum() + g.mean()


def variation(cells: ImageCells, shape: Tensor, points: Tensor) -> Tensor:
    """Return ``m TV``: half of ``sum |m a_i - n_i|`` with the number ``n_i`` of dots in cell i, objects."""
    count = len(points)
    dots = torch.bincount(cells.cell_of(points), minlength=shape.numel()).to(shape.dtype)
    return (shape.flatten() * count - dots).abs().sum() / 2
