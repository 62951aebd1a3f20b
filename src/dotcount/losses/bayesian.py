"""The Bayesian loss: every dot expects one object from the cells that are probably its own."""

from __future__ import annotations

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.losses._cells import LARGEST_PAIRS, ImageCells, image_cells
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput

_WHOLE_PAIRS = 1_000_000  # pairs of cell and dot up to which the whole image is one block
_BLOCK = 8  # cells
_TAIL = 40.0  # e^-40 = 4e-18
_DEFAULT_RATIO = {"ratio": 1.0, "distance": 0.15, "none": 0.0}


@LOSSES.register("bayesian")
class BayesianLoss(DensityLoss):
    """``sum_j |1 - E c_j| + |E c_0|`` with ``E c_j = sum_i p_ij u_i`` (Ma et al. 2019, sections 3.2 and 3.3).

    ``p_ij`` is the softmax over the dots j of ``-d_ij^2 / (2 sigma^2)``, with the background as one more row: its
    squared distance ``d_i0^2`` is made from the distance ``d_i`` of cell i to its nearest dot and the shorter side S of
    the image. Every dot counts as one whole object, also at the border of a crop. Without dots the loss is the mass.

    Parameters
    ----------
    sigma
        Standard deviation of a dot's likelihood, px.
    background
        ``"ratio"``: ``d_i0^2 = (r S)^2 / (d_i^2 + 1e-5)``, of the published numbers; its unit is odd: with all lengths
        in px, a cell turns to background where ``d_i`` passes ``sqrt(r S)`` px.
        ``"distance"``: ``d_i0^2 = (r S - d_i)^2``, of the paper's section 3.3. ``"none"``: no background.
    background_ratio
        r, no unit; None: 1.0 for ``"ratio"`` (the published code; 0.1 for ShanghaiTech A), 0.15 for ``"distance"``.
    short_side
        S, px; None: of the valid cells. The published code takes it from the image before cropping.
    reduction
        ``"sum"`` over the dots, as published, or ``"mean"``.

    Notes
    -----
    Terms: ``dots`` and ``background``, which add up to the loss.

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("bayesian", sigma=8.0)(density, [torch.tensor([[20.0, 30.0], [41.0, 12.5]])], stride=8)
    >>> out.total.backward()
    >>> sorted(out.terms)
    ['background', 'dots']
    """

    def __init__(
        self,
        sigma: float = 8.0,
        background: str = "ratio",
        background_ratio: float | None = None,
        short_side: float | None = None,
        reduction: str = "sum",
    ) -> None:
        super().__init__()
        if background not in _DEFAULT_RATIO:
            raise InputError(f"background must be one of {', '.join(_DEFAULT_RATIO)}; got {background!r}")
        if reduction not in ("sum", "mean"):
            raise InputError(f"reduction must be 'sum' or 'mean'; got {reduction!r}")
        self.ratio = _DEFAULT_RATIO[background] if background_ratio is None else background_ratio
        if not sigma > 0 or self.ratio < 0 or (short_side is not None and not short_side > 0):
            raise InputError(
                "bayesian needs sigma > 0, background_ratio >= 0 and short_side > 0 or None; "
                f"got {sigma}, {background_ratio}, {short_side}"
            )
        self.sigma, self.background, self.short_side, self.reduction = sigma, background, short_side, reduction

    @property
    def emptied_remedy(self) -> str:
        """Return how to let the background, which asks most cells for less, ask fewer."""
        if self.background == "none":
            return ""
        return "set loss.options.background=none, or raise loss.options.background_ratio"

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`BayesianLoss`."""
        dots, background = [], []
        for image, points in enumerate(batch.points):
            cells = image_cells(batch, image)
            if not len(points):
                dots.append(cells.mass.new_zeros(()))
                background.append(cells.mass.sum())
                continue
            expected = self.expected(cells, points)
            share = 1 / len(points) if self.reduction == "mean" else 1.0
            dots.append((1 - expected[: len(points)]).abs().sum() * share)
            background.append(expected[len(points) :].abs().sum() * share)
        per_dots, per_background = torch.stack(dots), torch.stack(background)
        per_image = per_dots + per_background
        terms = {"dots": float(per_dots.detach().mean()), "background": float(per_background.detach().mean())}
        return LossOutput(per_image.mean(), per_image.detach(), terms)

    def expected(self, cells: ImageCells, points: Tensor) -> Tensor:
        """Return (m,), one more with a background: ``E c_j``, the mass that is expected to belong to each dot.

        Many dots are taken block by block of cells, each with the dots that may own a part of its cells. What is left
        out is below ``e^-_TAIL`` of a cell's mass for each dot, far less than float32 resolves.
        """
        short_side = self.short_side or min(cells.extent)
        if cells.mass.numel() * len(points) <= _WHOLE_PAIRS:
            return (self.posterior(cells, points, short_side) * cells.mass).sum(dim=(1, 2))
        total, pairs = cells.mass.new_zeros(len(points) + (self.background != "none")), 0
        for block in cells.blocks(_BLOCK):
            near = self.near(block, points)
            pairs += block.mass.numel() * len(near)
            if pairs > LARGEST_PAIRS:
                raise InputError(
                    f"bayesian: {len(points):,} dots lie so close that their likelihoods, of sigma {self.sigma:g} px, "
                    f"overlap in more than {LARGEST_PAIRS:,} pairs of cell and dot; lower sigma or choose smaller crops"
                )
            part = self.posterior(block, points[near], short_side).flatten(1) @ block.mass.flatten()
            if self.background != "none":
                near = torch.cat([near, near.new_tensor([len(points)])])
            total = total.index_add(0, near, part)
        return total

    @torch.no_grad()
    def near(self, block: ImageCells, points: Tensor) -> Tensor:
        """Return the indices of the dots that may own more than ``e^-_TAIL`` of any cell of ``block``.

        A dot j is left out if the dot k nearest to the block's centre is likelier by that factor in every cell: the
        difference of the squared distances is affine in the place, so its least value over the block is known.
        """
        first, last = (torch.stack([block.x[k], block.y[k]]).double() for k in (0, -1))
        half = (last - first) / 2
        offset = points.double() - (first + last) / 2
        squared = offset.square().sum(dim=1)
        k = squared.argmin()
        least = squared - squared[k] - 2 * (offset - offset[k]).abs() @ half
        return (least <= 2 * self.sigma**2 * _TAIL).nonzero()[:, 0]

    @torch.no_grad()
    def posterior(self, cells: ImageCells, points: Tensor, short_side: float) -> Tensor:
        """Return (m, rows, columns), one more row with a background: to whom each cell belongs; sums to 1 over m."""
        squared = cells.squared_distances(points)
        if self.background != "none":
            reach = self.ratio * short_side
            nearest = squared.amin(dim=0, keepdim=True)
            row = reach**2 / (nearest + 1e-5) if self.background == "ratio" else (reach - nearest.sqrt()).square()
            squared = torch.cat([squared, row])
        return torch.softmax(-squared / (2 * self.sigma**2), dim=0)
