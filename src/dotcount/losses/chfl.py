"""Crowd counting in the frequency domain: the characteristic functions of map and dots are compared."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses._cells import ImageCells, image_cells
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput

_ROOM = (
    1.2  # the frequencies' period over the longer side: nearer to 1, mass at one border would match a dot at the other
)


@LOSSES.register("chfl")
class ChfLoss(DensityLoss):
    """``sum_t |phi_u(t) - phi_v(t)| tau^2`` over frequencies t (Shu et al. 2022, section 3).

    ``phi_u(t) = sum_i u_i exp(i <t, x_i>)`` and ``phi_v(t) = sum_j exp(i <t, y_j>)`` are the characteristic functions
    of the map and of the dots. At t = 0 the difference is that of the counts; the higher a frequency, the finer the
    places it compares. Without dots the loss is ``sum_t |phi_u(t)| tau^2``.

    Parameters
    ----------
    cutoff
        Highest frequency, rad/px; ``2 pi / cutoff`` px is the finest detail that is compared. Published: 0.3.
    step
        Spacing tau of the frequencies, rad/px; 0.01 in the published code. It is lowered where an image is so long that
        the period ``2 pi / tau`` would not hold it: mass would then match dots a period away.
    domain
        ``"disc"``: frequencies up to ``cutoff`` in every direction; ``"square"``: along each axis, as in the published
        code, which is finer along the diagonals.
    norm
        ``"l1"``: the integral of the modulus, as above; ``"l2"``: ``(sum_t |phi_u(t) - phi_v(t)|^2 tau^2)^(1/2)``.
    placement
        ``"cells"``: a dot is shared bilinearly by the four cell centres around it, so that one map costs nothing, and
        counts right. ``"exact"``: as published. Between cell centres no map >= 0 has the waves of a dot; the likeliest
        one then holds more than one object, with the published cutoff at stride 8 up to 1.9.

    Notes
    -----
    Terms: ``count`` (the difference at t = 0, objects) and ``step`` (rad/px, the largest of the batch).

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("chfl")(density, [torch.tensor([[20.0, 30.0]])], stride=8)
    >>> out.total.backward()
    >>> round(out.terms["count"], 4)
    2.2
    """

    def __init__(
        self, cutoff: float = 0.3, step: float = 0.01, domain: str = "disc", norm: str = "l1", placement: str = "cells"
    ) -> None:
        super().__init__()
        if placement not in ("cells", "exact"):
            raise InputError(f"placement must be 'cells' or 'exact'; got {placement!r}")
        if domain not in ("disc", "square"):
            raise InputError(f"domain must be 'disc' or 'square'; got {domain!r}")
        if norm not in ("l1", "l2"):
            raise InputError(f"norm must be 'l1' or 'l2'; got {norm!r}")
        if not 0 < step <= cutoff:
            raise InputError(f"chfl needs 0 < step <= cutoff; got {step}, {cutoff}")
        self.cutoff, self.step, self.domain, self.norm, self.placement = cutoff, step, domain, norm, placement

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`ChfLoss`."""
        values, counts, steps = [], [], []
        for image, points in enumerate(batch.points):
            cells = image_cells(batch, image)
            step = self.spacing(cells)
            values.append(self.distance(cells, points, step))
            counts.append((cells.mass.detach().sum() - len(points)).abs())
            steps.append(step)
        per_image = torch.stack(values)
        terms = {"count": float(torch.stack(counts).mean()), "step": max(steps)}
        return LossOutput(per_image.mean(), per_image.detach(), terms)

    def spacing(self, cells: ImageCells) -> float:
        """Return the spacing of the frequencies, rad/px, whose period the image fits into."""
        return min(self.step, 2 * math.pi / (_ROOM * max(*cells.extent, 1.0)))

    def distance(self, cells: ImageCells, points: Tensor, step: float) -> Tensor:
        """Return the loss of one image; of each pair t, -t, whose values are conjugate, one is computed."""
        if not cells.mass.numel():
            return cells.mass.sum()
        n = int(self.cutoff / step + 1e-9)
        # float64: angles grow with the image, and the modulus of a subnormal number has no gradient.
        along = torch.arange(-n, n + 1, dtype=torch.float64, device=cells.mass.device) * step
        down = along[n:]
        weight = along.new_full((n + 1, 2 * n + 1), 2.0)
        weight[0] = 1.0  # the row of t_y = 0 holds both of each pair
        if self.domain == "disc":
            weight = weight * (down[:, None].square() + along.square() <= (self.cutoff * (1 + 1e-6)) ** 2)
        wave_y, wave_x = _waves(down, cells.y), _waves(along, cells.x)
        if self.placement == "cells":
            difference = wave_y @ (cells.mass - shared(cells, points)).to(wave_y.dtype) @ wave_x.T
        else:
            of_dots = _waves(down, points[:, 1]) @ _waves(along, points[:, 0]).T
            difference = wave_y @ cells.mass.to(wave_y.dtype) @ wave_x.T - of_dots
        if self.norm == "l1":
            total = (difference.abs() * weight).sum() * step**2
        else:
            total = step * torch.linalg.vector_norm(difference.abs() * weight.sqrt())
        return total.to(cells.mass.dtype)


def shared(cells: ImageCells, points: Tensor) -> Tensor:
    """Return (rows, columns): the dots (m, 2), each shared bilinearly by the four cell centres around it.

    A dot beyond the outer centres is moved to them.
    """
    rows, columns = cells.mass.shape

    def hat(count: int, coordinate: Tensor) -> Tensor:
        """Return (m, count) the share of each dot in each row or column of cells."""
        place = (coordinate / cells.stride - 0.5).clamp(0, count - 1)
        index = torch.arange(count, dtype=points.dtype, device=points.device)
        return (1 - (place[:, None] - index).abs()).clamp(min=0)

    return hat(rows, points[:, 1]).T @ hat(columns, points[:, 0])


def _waves(frequencies: Tensor, places: Tensor) -> Tensor:
    """Return (frequencies, places) complex: ``exp(i t x)``."""
    angle = frequencies[:, None] * places
    return torch.complex(angle.cos(), angle.sin())
