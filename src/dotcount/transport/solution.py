"""What a solve returns: the value with its certificate, the gradient, the potentials and the plan."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.certificate import GradientBounds
from dotcount.transport.costs import Cost


@dataclass(frozen=True)
class Geometry:
    """Where the pixels and dots of one image are, and how a distance becomes a cost.

    ``points`` (m, 2) are px; ``stride`` is the side of a cell in px; ``length_scale`` (px) is the unit of the cost.
    Dots with lengths of their own have factors ``shrink`` (m,) on their distances; ``length_scale`` is the shortest.

    Examples
    --------
    >>> import torch
    >>> from dotcount.transport import solve
    >>> geometry = solve(torch.full((4, 4), 1 / 16), torch.tensor([[2.0, 2.0]]), stride=8).geometry
    >>> geometry.stride, geometry.length_scale
    (8.0, 32.0)
    """

    points: Tensor
    stride: float
    length_scale: float
    cost: Cost
    epsilon: float
    shrink: Tensor | None = None

    def rows_of_cost(self, cells: Tensor, columns: int) -> Tensor:
        """Return the (len(cells), m) costs of flat cell indices on a grid of ``columns`` columns."""
        dtype = self.points.dtype
        unit = self.stride / self.length_scale
        x = ((cells % columns).to(dtype) + 0.5) * unit
        y = (torch.div(cells, columns, rounding_mode="floor").to(dtype) + 0.5) * unit
        dots = self.points / self.length_scale
        dx, dy = x[:, None] - dots[:, 0], y[:, None] - dots[:, 1]
        if self.shrink is not None:
            dx, dy = dx * self.shrink, dy * self.shrink
        return self.cost.of_difference(dx, dy)


@dataclass(frozen=True)
class Terms:
    """The parts of the primal value; they add up to ``value + gap``. All in units of the cost times mass.

    transport
        ``<c, pi>``.
    pixel_mass
        ``D_phi(pi 1 | u)``: the price of changing the pixels' mass.
    dot_mass
        ``D_phi(pi^T 1 | v)``: the price of dots that get too little or too much.
    entropy
        ``eps sum pi_ij ln(pi_ij / pi_i.) <= 0``.

    Examples
    --------
    >>> import torch
    >>> from dotcount.transport import solve
    >>> solution = solve(torch.full((4, 4), 1 / 16), torch.tensor([[2.0, 2.0]]))
    >>> terms = solution.terms
    >>> primal = terms.transport + terms.pixel_mass + terms.dot_mass + terms.entropy
    >>> abs(primal - solution.value - solution.gap) < 1e-6
    True
    """

    transport: float
    pixel_mass: float
    dot_mass: float
    entropy: float


@dataclass(frozen=True)
class Solution:
    """The solution of one image's problem.

    Attributes
    ----------
    value
        Certified lower bound ``G``; the optimum ``W`` lies in ``[value, value + gap]``. ``-inf``, with an infinite gap
        and not converged, where no bound is known: at the potentials reached, sums leave the range of float64.
    beta
        (m,) dot potentials, units of the cost.
    alpha
        (h, w) pixel potentials; ``inf`` for cells no dot can reach.
    gap
        Upper bound on ``W - value``; ``inf`` where none is known.
    gradient
        (h, w) ``dW/du = -rho phi*(-alpha / rho)``; 0 in cells outside the valid area.
    bounds, image
        Where :attr:`gradient_bound` comes from, and which image of the batch this is.
    n_evaluations
        How often the dual and its gradient were evaluated on the full grid.
    converged
        Whether ``gap <= tol * max(1, |value|)`` (and ``gradient_bound <= tol_gradient`` where that was asked).
    terms
        The parts of the primal value.
    pixel_mass
        (h, w) mass ``q`` that leaves each cell: the plan's row sums.
    dot_mass
        (m,) mass ``gamma`` that arrives at each dot: the plan's column sums.
    density, weights
        The problem's marginals, (h, w) and (m,).
    geometry
        Positions and cost.
    method
        Name of the method that ran.

    Examples
    --------
    >>> import torch
    >>> from dotcount.transport import solve
    >>> solution = solve(torch.full((4, 4), 1 / 16), torch.tensor([[2.0, 2.0], [60.0, 2.0]]))
    >>> solution.converged, tuple(solution.gradient.shape), tuple(solution.dot_mass.shape)
    (True, (4, 4), (2,))
    >>> bool(torch.allclose(solution.plan().to_dense().sum(0), solution.dot_mass, atol=1e-4))
    True
    """

    value: float
    beta: Tensor
    alpha: Tensor
    gap: float
    gradient: Tensor
    bounds: GradientBounds
    image: int
    n_evaluations: int
    converged: bool
    terms: Terms
    pixel_mass: Tensor
    dot_mass: Tensor
    density: Tensor
    weights: Tensor
    geometry: Geometry
    method: str

    @property
    def gradient_bound(self) -> float:
        """Upper bound on the error of any element of ``gradient``; ``inf`` where no bound is known."""
        return self.bounds.values[self.image]

    @property
    def pixel_defect(self) -> Tensor:
        """(h, w) mass sent minus mass predicted: negative where predicted mass is left over."""
        return self.pixel_mass - self.density

    @property
    def dot_defect(self) -> Tensor:
        """(m,) mass received minus the dot's weight: negative where a dot is not fully paid."""
        return self.dot_mass - self.weights

    @property
    def epsilon_px(self) -> float:
        """The entropic blur ``epsilon`` in pixels, ``epsilon * length_scale`` (for costs that are lengths).

        Where dots have length scales of their own it is that of the shortest.
        """
        return self.geometry.epsilon * self.geometry.length_scale

    def plan(self, *, threshold: float = 1e-6, chunk: int = 1 << 22) -> Tensor:
        """Return the sparse (h * w, m) plan ``pi_ij = q_i p_ij`` in mass units.

        Without blur (epsilon = 0) every cell sends all it sends to the dot that is best for it.

        Parameters
        ----------
        threshold
            Shares ``p_ij`` of a cell's mass up to this are left out; 0 keeps all that do not underflow.
        chunk
            Number of pairs that are looked at in one go (bounds the memory).
        """
        m = len(self.beta)
        flat_mass, flat_alpha = self.pixel_mass.flatten(), self.alpha.flatten()
        sources = torch.nonzero(flat_mass > 0).flatten()
        rows, columns, masses = [], [], []
        for cells in sources.split(max(1, chunk // max(1, m))):
            share = self._share(cells, flat_alpha)
            row, column = torch.nonzero(share > threshold, as_tuple=True)
            rows.append(cells[row])
            columns.append(column)
            masses.append(flat_mass[cells[row]] * share[row, column])
        size = (flat_mass.numel(), m)
        if not rows:
            none = torch.zeros(2, 0, dtype=torch.int64, device=flat_mass.device)
            return torch.sparse_coo_tensor(
                none, flat_mass.new_zeros(0), size, is_coalesced=True, check_invariants=False
            )
        index = torch.stack([torch.cat(rows), torch.cat(columns)])
        return torch.sparse_coo_tensor(index, torch.cat(masses), size, is_coalesced=True, check_invariants=False)

    def _share(self, cells: Tensor, alpha: Tensor) -> Tensor:
        """Return ``p_ij`` for the given cells, (len(cells), m); rows sum to 1."""
        columns = self.density.shape[1]
        score = self.beta - self.geometry.rows_of_cost(cells, columns).to(self.beta.dtype)
        if self.geometry.epsilon == 0:
            best = score >= score.amax(1, keepdim=True)
            return best.to(score.dtype) / best.sum(1, keepdim=True)
        return torch.exp((alpha[cells, None] + score) / self.geometry.epsilon)
