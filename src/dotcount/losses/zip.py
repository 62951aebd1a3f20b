"""Zero-inflated Poisson: blocks are counted, and more of them are empty than a Poisson number would have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses._cells import ImageCells, dots_by_cell, image_cells
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput

_LARGEST = 0.98  # share of blocks that are empty by nature
_GRID, _GOLDEN, _STEPS = 50, (5**0.5 - 1) / 2, 20


@LOSSES.register("zip")
class ZIPLoss(DensityLoss):
    """``sum_b [l(U_b; y_b) - l(y_b; y_b)] + w |sum_i u_i - m|`` over blocks b of cells (ZIP, 2025).

    ``U_b`` is the block's mass and ``y_b`` its dots. ``l`` is the negative logarithm of the zero-inflated Poisson
    probability of mean ``U = (1 - pi) lambda``:

        P(0) = pi + (1 - pi) exp(-lambda),    P(y) = (1 - pi) lambda^y exp(-lambda) / y!

    pi is the probability that a block is empty by nature. The paper's network gives it for each block; here the network
    gives one map, and pi is one number for each image: the likeliest one, given the map. It lets a map that does not
    yet know where objects are off lightly for the many empty blocks, and falls to 0, to a Poisson number, as the map
    learns. The least value is 0, at ``U_b = y_b``. The paper's further term, a cross-entropy between classes of counts,
    needs a network that classifies and is left out.

    Parameters
    ----------
    block
        Side of a block, px; rounded to whole cells. 16 in the paper.
    count_weight
        w: weight of the error of the count.
    inflation
        pi; None: the likeliest, from 0 to 0.98. 0 is the plain Poisson likelihood.

    Notes
    -----
    Terms: ``likelihood``, ``count`` (objects), ``inflation`` (pi) and ``block_px``.

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("zip")(density, [torch.tensor([[20.0, 30.0]])], stride=8)
    >>> out.total.backward()
    >>> out.terms["block_px"], round(out.terms["count"], 4)
    (16.0, 2.2)
    """

    def __init__(self, block: float = 16.0, count_weight: float = 1.0, inflation: float | None = None) -> None:
        super().__init__()
        if not (block > 0 and count_weight >= 0) or (inflation is not None and not 0 <= inflation <= _LARGEST):
            raise InputError(
                f"zip needs block > 0 px, count_weight >= 0 and inflation from 0 to {_LARGEST} or None; "
                f"got {block}, {count_weight}, {inflation}"
            )
        self.block, self.count_weight, self.inflation = block, count_weight, inflation

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`ZIPLoss`."""
        side = max(1, round(self.block / batch.stride))
        rows, inflations = [], []
        for image, points in enumerate(batch.points):
            cells = image_cells(batch, image)
            if not cells.mass.numel():
                rows.append(cells.mass.new_tensor([0.0, len(points)]))
                continue
            mass, dots = blocks(cells, points, side)
            share = mass.new_tensor(self.inflation) if self.inflation is not None else likeliest(mass.detach(), dots)
            likelihood = misfit(mass, dots, share).sum()
            rows.append(torch.stack([likelihood, (mass.sum() - len(points)).abs()]).to(cells.mass.dtype))
            inflations.append(share)
        parts = torch.stack(rows)
        per_image = parts[:, 0] + self.count_weight * parts[:, 1]
        terms = dict(zip(("likelihood", "count"), parts.detach().mean(dim=0).tolist()))
        terms["inflation"] = float(torch.stack(inflations).mean()) if inflations else 0.0
        return LossOutput(per_image.mean(), per_image.detach(), terms | {"block_px": side * batch.stride})


def blocks(cells: ImageCells, points: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return (blocks,) the mass and the dots of each block of ``side`` x ``side`` cells, in float64."""
    rows, columns = cells.mass.shape
    both = torch.stack([cells.mass, dots_by_cell(cells, points).reshape(rows, columns)]).double()
    whole = F.pad(both, (0, -columns % side, 0, -rows % side))
    sums = F.avg_pool2d(whole[:, None], side).flatten(1) * side**2
    return sums[0], sums[1].detach().round()


def misfit(mass: Tensor, dots: Tensor, share: Tensor) -> Tensor:
    """Return ``l(U; y) - l(y; y) >= 0`` for blocks of mass U and y dots, and a share pi that is empty by nature."""
    rate = mass / (1 - share)
    empty = -torch.log1p((1 - share) * torch.expm1(-rate))  # -ln(pi + (1 - pi) e^-rate), exact for small rates
    # Below a millionth of an object the logarithm goes on as its tangent, so that an empty block has a gradient.
    least = 1e-6
    log = rate.clamp(min=least).log() + (rate - least).clamp(max=0) / least
    full = dots.clamp(min=1)
    held = rate - full - full * (log - full.log()) - torch.log1p(-share)
    return torch.where(dots > 0, held, empty)


@torch.no_grad()
def likeliest(mass: Tensor, dots: Tensor) -> Tensor:
    """Return the share pi in [0, 0.98] of the least misfit: the best of a grid, then golden sections around it."""

    def cost(shares: Tensor) -> Tensor:
        return misfit(mass, dots, shares[:, None]).sum(dim=1)

    grid = torch.linspace(0, _LARGEST, _GRID, dtype=mass.dtype, device=mass.device)
    best = cost(grid).argmin()
    low, high = grid[(best - 1).clamp(min=0)], grid[(best + 1).clamp(max=_GRID - 1)]
    for _ in range(_STEPS):
        width = (high - low) * _GOLDEN
        left, right = high - width, low + width
        values = cost(torch.stack([left, right]))
        better = values[0] <= values[1]
        low, high = torch.where(better, low, left), torch.where(better, right, high)
    ends = torch.stack([grid[0], (low + high) / 2, grid[-1]])
    return ends[cost(ends).argmin()]
