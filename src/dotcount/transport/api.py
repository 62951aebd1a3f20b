"""The public entry points: one image, and a batch of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from dotcount.transport.options import SolverKeywords
from dotcount.transport.solution import Solution
from dotcount.transport.solver import Solver


def solve(
    density: Tensor,
    points: Tensor,
    *,
    weights: Tensor | None = None,
    beta: Tensor | None = None,
    valid: Tensor | None = None,
    length_scales: Tensor | None = None,
    **options: Unpack[SolverKeywords],
) -> Solution:
    """Solve ``W(u, v) = max_beta -sum_i u_i phi*(-alpha_i) - sum_j v_j phi*(-beta_j)`` (paper Eq. 7, 8).

    Parameters
    ----------
    density
        (h, w) float, >= 0: the mass u of each cell.
    points
        (m, 2) float, xy px; dots outside the image are allowed.
    weights
        (m,) masses v > 0 of the dots; 1 each by default.
    beta
        (m,) potentials to start from; NaN where unknown.
    valid
        (h, w) bool: cells that count. The gradient is 0 in the others.
    length_scales
        (m,) px: a unit of length for each dot instead of ``length_scale``; the cost to dot j is that of the distance in
        units of ``length_scales[j]``. Objects near a camera may then be as far off as they are large. Compiled loops
        and kernels have no part in this: a solve takes several times as long.
    stride : float, default 1.0
        Side of a cell, px.
    cost : str, default "l2"
        ``l1``, ``l2``, ``sql2`` or ``wfr`` (with ``delta``), of distances in units of ``length_scale``.
    penalty : str, default "kl"
        ``kl`` or ``quadratic``.
    epsilon : float, default 0.01
        Entropic blur, units of the cost; 0 for none (then the solve runs with falling epsilon and certifies the hard
        minimum).
    rho : float or (float, float), default 1.0
        Strength of the penalty on pixels and dots, units of the cost; or (pixels, dots). That on the dots may be
        infinite (``math.inf`` or ``"inf"``): then every dot is paid exactly, and dots that no mass can reach are an
        error.
    length_scale : float, optional
        Unit of length, px. None: the longer side of the density, ``max(h, w) * stride``.
    delta : float, optional
        Length of the ``wfr`` cost, units of ``length_scale``.
    tol : float, default 1e-4
        Stop when the certified gap is at most ``tol * max(1, |value|)``.
    tol_gradient : float, optional
        If given, stop only when the error of every element of the gradient is certified to be below this, too.
    max_iter : int, default 500
        Bound on the evaluations of the dual.
    method : str, default "auto"
        ``auto`` (``newton``), ``newton`` (neighbouring pairs), ``dense`` (Newton, all pairs), ``lbfgs`` (the
        paper's) or ``sinkhorn``.

    Returns
    -------
    Solution
        With the certificate; look at ``converged``.

    Raises
    ------
    InputError, UnknownNameError
        For arguments that are out of range, of wrong shape, dtype or device, or not finite, and for dots that must be
        paid exactly and can't be.

    Examples
    --------
    >>> import torch
    >>> from dotcount.transport import solve
    >>> density = torch.full((4, 4), 1 / 16)
    >>> solution = solve(density, torch.tensor([[2.0, 2.0]]))
    >>> solution.converged, abs(solution.value - 0.335) < 0.002
    (True, True)
    """
    return solve_batch(
        [density],
        [points],
        weights=None if weights is None else [weights],
        beta=None if beta is None else [beta],
        valid=None if valid is None else [valid],
        length_scales=None if length_scales is None else [length_scales],
        **options,
    )[0]


def solve_batch(
    densities: Tensor | Sequence[Tensor],
    points: Sequence[Tensor],
    *,
    weights: Sequence[Tensor | None] | None = None,
    beta: Sequence[Tensor | None] | None = None,
    valid: Sequence[Tensor | None] | None = None,
    length_scales: Sequence[Tensor | None] | None = None,
    **options: Unpack[SolverKeywords],
) -> list[Solution]:
    """Solve the problems of several images together, as one sparse problem; images never mix.

    ``densities`` is (B, h, w) or a list of (h_b, w_b); ``points``, ``weights``, ``beta``, ``valid`` and
    ``length_scales`` hold one tensor an image. The other options are as in :func:`solve`; the result is one solution
    an image.

    Examples
    --------
    >>> import torch
    >>> densities = [torch.full((4, 4), 1 / 16), torch.full((2, 3), 0.5)]
    >>> solutions = solve_batch(densities, [torch.tensor([[2.0, 2.0]]), torch.zeros(0, 2)], epsilon=0.02)
    >>> [solution.converged for solution in solutions]
    [True, True]
    """
    return Solver(points, weights=weights, valid=valid, length_scales=length_scales, **options).solve(densities, beta)
