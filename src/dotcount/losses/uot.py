"""The unbalanced optimal transport loss (the paper's Algorithm 1) with the envelope gradient."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dotcount.errors import InputError
from dotcount.losses._neighbours import neighbour_distances
from dotcount.losses._pooling import pool, pooling, spread
from dotcount.losses.base import LOSSES, DensityLoss, LossInput, LossOutput, check_length_scale
from dotcount.transport import Solution, solve, solve_batch


class PotentialCache(nn.Module):
    """One dot potential per annotated dot of the training set, to start the next solve from.

    A potential belongs to a dot, not to a place in an image, so it survives cropping and flipping. The table is a
    buffer: it is saved in the state dict, and a resumed run starts its solves exactly where an uninterrupted one does.

    Parameters
    ----------
    n_dots
        Size of the table; it grows when a larger id comes.

    Examples
    --------
    >>> import torch
    >>> cache = PotentialCache()
    >>> cache.write(torch.tensor([2, 0]), torch.tensor([0.5, 0.25]))
    >>> cache.read(torch.tensor([0, 1, 2]))
    tensor([0.2500,    nan, 0.5000])
    """

    potentials: Tensor

    def __init__(self, n_dots: int = 0) -> None:
        super().__init__()
        self.register_buffer("potentials", torch.full((n_dots,), torch.nan))

    def read(self, keys: Tensor) -> Tensor:
        """Return the (m,) potentials of the dots ``keys`` (m,); NaN for dots not seen yet."""
        self._grow(keys)
        return self.potentials[keys.to(self.potentials.device)]

    def write(self, keys: Tensor, beta: Tensor) -> None:
        """Store ``beta`` (m,) for the dots ``keys`` (m,)."""
        self._grow(keys)
        self.potentials[keys.to(self.potentials.device)] = beta.detach().to(self.potentials)

    def _grow(self, keys: Tensor) -> None:
        needed = int(keys.max()) + 1 if len(keys) else 0
        if needed > len(self.potentials):
            larger = self.potentials.new_full((max(needed, len(self.potentials) * 3 // 2),), torch.nan)
            larger[: len(self.potentials)] = self.potentials
            self.potentials = larger

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        stored = state_dict.get(f"{prefix}potentials")
        if stored is not None:  # the table may have grown before it was saved
            self.potentials = self.potentials.new_full(stored.shape, torch.nan)
        super()._load_from_state_dict(state_dict, prefix, *args)


NEIGHBOURS = 3
"""Other dots that tell the length scale of a dot, as for the geometry-adaptive kernel."""
LEAST_CELLS = 4
"""Shortest length scale of a dot, cells: below, a cell is all there is between it and the next."""
WORST_GAP = 1e-2
"""Relative gap up to which a solve that did not converge still gives a gradient."""


def _trusted(solution: Solution) -> bool:
    return solution.converged or solution.gap <= WORST_GAP * max(1.0, abs(solution.value))


class _Envelope(torch.autograd.Function):
    """Attach the known gradient ``dW/du`` to the values of a finished solve."""

    @staticmethod
    def forward(ctx: Any, density: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return values.to(density)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad[:, None, None] * gradient, None, None


@LOSSES.register("uot")
@dataclass(eq=False, repr=False)
class UOTLoss(DensityLoss):
    """Unbalanced optimal transport from the density map to the dots, averaged over the images.

    ``W = max_beta -sum_i u_i phi*(-alpha_i) - sum_j phi*(-beta_j)`` with
    ``alpha_i = -eps ln sum_j exp((beta_j - c_ij) / eps)`` (paper Eq. 7, 8);
    ``dW/du_i = -phi*(-alpha_i)``. An image without dots costs ``rho`` times its mass. W may be negative, because the
    entropy is; the terms say what is behind it.

    Parameters
    ----------
    cost
        ``l1``, ``l2`` (default), ``sql2`` or ``wfr`` (needs ``delta``).
    penalty
        ``kl`` (default) or ``quadratic``.
    epsilon
        Entropic blur in units of the length scale; 0 for none.
    rho
        Strength of the mass penalties, one number or (pixels, dots). That on the dots may be infinite (``.inf`` in
        YAML, ``math.inf`` or ``"inf"``): every dot is paid exactly, and the count has no bias for any length scale. A
        map that holds nothing where dots are is an error then.
    length_scale
        Unit of length, px. None: the longer side of the largest image or crop of the batch. In the configuration of a
        training it may be ``spacing``, the median distance between neighbouring dots, which is recorded as a number.
    neighbour_scale
        If given, every dot has a length scale of its own: this times the mean distance to its :data:`NEIGHBOURS`
        nearest other dots of the image or crop, but at least :data:`LEAST_CELLS` cells and at most ``length_scale``,
        which is also that of a dot without any other. For views in perspective, where objects near the camera are many
        times as large as those far off. Solves take several times as long, since compiled loops know one length only.
    delta
        Length of the ``wfr`` cost, in units of the length scale.
    tol
        Relative gap at which a solve ends.
    max_iter
        Bound on the evaluations of a solve. A solve that ends there is counted in ``terms["unconverged"]`` and warned
        of once. If its relative gap is above :data:`WORST_GAP`, its image contributes no gradient in this step and is
        counted in ``terms["without_gradient"]``, too: a wrong gradient can undo more than a step without one.
    method
        Solver, see :func:`dotcount.transport.solve`.
    warm_start
        Remember the potentials of the dots that come with ``keys``.
    n_dots
        Number of dots of the training set, if known; the table of potentials grows otherwise.

    Notes
    -----
    Terms: ``transport``, ``pixel_mass``, ``dot_mass``, ``entropy`` (they add up to the value plus the gap), ``gap``,
    ``n_evaluations`` (means over the images), ``unconverged`` and ``without_gradient`` (numbers of images),
    ``length_scale`` and ``epsilon_px`` (means over the dots where each has its own), ``pooled``. The last is 1, but
    where thousands of dots crowd in a corner of a large crop: then so many dots matter to every cell that a solve would
    take ten seconds, and squares of as many cells a side are taken as one.

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((1, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("uot", epsilon=0.02)(density, [torch.tensor([[20.0, 30.0], [41.0, 12.5]])], stride=8)
    >>> out.total.backward()
    >>> out.terms["epsilon_px"], out.terms["unconverged"]
    (1.28, 0.0)
    """

    cost: str = "l2"
    penalty: str = "kl"
    epsilon: float = 0.01
    rho: float | str | Sequence[float | str] = 1.0
    length_scale: float | None = None
    neighbour_scale: float | None = None
    delta: float | None = None
    tol: float = 1e-4
    max_iter: int = 500
    method: str = "auto"
    warm_start: bool = True
    n_dots: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        check_length_scale(self.length_scale)
        if self.neighbour_scale is not None and not 0 < self.neighbour_scale < float("inf"):
            raise InputError(f"neighbour_scale must be positive, or None; got {self.neighbour_scale}")
        self.options: dict[str, Any] = {
            "cost": self.cost,
            "penalty": self.penalty,
            "epsilon": self.epsilon,
            "rho": tuple(self.rho) if isinstance(self.rho, list) else self.rho,
            "delta": self.delta,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "method": self.method,
        }
        solve(torch.zeros(1, 1), torch.zeros(0, 2), **self.options)  # a wrong option is reported here, not in an epoch
        self.cache = PotentialCache(self.n_dots) if self.warm_start else None
        self._warned = False

    def epsilon_px(self, size: tuple[float, float]) -> float:
        """Return the blur in pixels for images of ``size`` (height, width) px."""
        return float(self.options["epsilon"]) * (self.length_scale or max(size))

    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss; see :class:`UOTLoss`."""
        scale = self.length_scale or max(batch.size)
        keys = torch.cat(batch.keys) if self.cache is not None and batch.keys is not None else None
        beta = None
        if self.cache is not None and keys is not None:
            beta = self.cache.read(keys).split([len(one) for one in batch.points])
        density, valid = batch.density.detach(), batch.valid
        lengths = self.lengths(batch)
        settings = self.options if lengths else self.options | {"length_scale": scale}
        factor = pooling(density * valid, batch.points, batch.stride, settings, lengths)
        if factor > 1:
            density, valid = pool(density * valid, factor), pool(valid.to(density), factor) > 0
        solutions = solve_batch(
            density,
            batch.points,
            stride=batch.stride * factor,
            valid=None if bool(valid.all()) else list(valid),
            beta=beta,
            length_scales=lengths,
            **settings,
        )
        if self.cache is not None and keys is not None:
            self.cache.write(keys, torch.cat([solution.beta for solution in solutions]))
        self._warn(solutions)
        like = batch.density
        values = torch.tensor([s.value for s in solutions], dtype=torch.float64, device=like.device)
        gradient = torch.stack([s.gradient if _trusted(s) else torch.zeros_like(s.gradient) for s in solutions]).to(
            like
        )
        if factor > 1:
            gradient = spread(gradient, factor, batch.valid) * batch.valid
        per_image = _Envelope.apply(like, values, gradient)
        return LossOutput(
            per_image.mean(), per_image.detach(), self._terms(solutions, scale, lengths) | {"pooled": float(factor)}
        )

    def lengths(self, batch: LossInput) -> list[Tensor] | None:
        """Return the length scales of the dots of each image, px; None where all have one."""
        if self.neighbour_scale is None:
            return None
        longest = self.length_scale or max(batch.size)
        least = min(LEAST_CELLS * batch.stride, longest)
        distances = [neighbour_distances(one, NEIGHBOURS) for one in batch.points]
        return [(self.neighbour_scale * one).clamp(least, longest) for one in distances]

    def _terms(self, solutions: list[Solution], scale: float, lengths: list[Tensor] | None) -> dict[str, float]:
        n = len(solutions)
        own = torch.cat(lengths) if lengths else torch.zeros(0)
        scale = float(own.mean()) if len(own) else scale
        terms = {
            name: sum(getattr(s.terms, name) for s in solutions) / n
            for name in ("transport", "pixel_mass", "dot_mass", "entropy")
        }
        terms["gap"] = sum(s.gap for s in solutions) / n
        terms["n_evaluations"] = sum(s.n_evaluations for s in solutions) / n
        terms["unconverged"] = float(sum(not s.converged for s in solutions))
        terms["without_gradient"] = float(sum(not _trusted(s) for s in solutions))
        terms["length_scale"] = scale
        terms["epsilon_px"] = float(self.options["epsilon"]) * scale
        return terms

    def _warn(self, solutions: list[Solution]) -> None:
        failed = [s for s in solutions if not s.converged]
        if failed and not self._warned:
            self._warned = True
            worst = max(s.gap for s in failed)
            warnings.warn(
                f"{len(failed)} of {len(solutions)} transport solves did not reach tol {self.options['tol']:g} "
                f"(largest gap {worst:.3g}); raise max_iter, epsilon or tol. "
                f"Images with a relative gap above {WORST_GAP:g} give no gradient. "
                "Later ones are counted in terms['unconverged'] and terms['without_gradient'].",
                RuntimeWarning,
                stacklevel=4,
            )
