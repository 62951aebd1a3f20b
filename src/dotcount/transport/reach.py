"""Which dots no mass can reach; where every dot must be paid exactly, they leave no plan at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.transport.costs import Cost
from dotcount.transport.penalties import Equality
from dotcount.transport.problem import TransportProblem

CHUNK_PAIRS = 1 << 22
"""At most about this many (dot, cell) pairs are looked at in one go."""


def check_reach(problem: TransportProblem, names: Sequence[str]) -> None:
    """Raise an InputError for images with dots that must be paid exactly and cannot be; ``names`` begin the messages.

    Everywhere in an image with mass a dot can be paid, if at a price; but not from cells that hold nothing, and not
    over a distance at which the cost is infinite.
    """
    if not isinstance(problem.dot_penalty, Equality):
        return
    for k in _suspects(problem):
        density, m = problem.densities[k], problem.n_dots[k]
        lost = unreachable(density, problem.dots[k, :m], problem.units[k], problem.cost, _of(problem, k))
        number = int(lost.sum())
        if number:
            where = "the density is 0 everywhere"
            if bool(density.any()):
                first = torch.nonzero(lost)[0].item()
                where = (
                    f"the first is dot {first}; no cell with mass lies within {problem.cost.reach:.4g} length scales"
                )
            raise InputError(
                f"{names[k]}with an infinite rho every dot must be paid exactly, but no mass can reach {number} of {m} "
                f"dots ({where}); give rho a finite second value, as in (1, 10), or keep the density above 0"
                + ("" if problem.cost.delta is None else " and delta large enough")
            )


def _suspects(problem: TransportProblem) -> list[int]:
    """Return the images that have to be looked at; of costs that are finite everywhere, those with dots and no mass.

    The device is waited for once, not once an image.
    """
    with_dots = [k for k, m in enumerate(problem.n_dots) if m]
    if problem.cost.delta is not None or not with_dots:
        return with_dots
    if isinstance(problem.densities, Tensor):
        filled = (problem.densities > 0).flatten(1).any(1).tolist()
    else:
        filled = torch.stack([(one > 0).any() for one in problem.densities]).tolist()
    return [k for k in with_dots if not filled[k]]


def _of(problem: TransportProblem, k: int) -> Tensor | None:
    return None if problem.shrink is None else problem.shrink[k, : problem.n_dots[k]]


def unreachable(density: Tensor, dots: Tensor, unit: float, cost: Cost, shrink: Tensor | None = None) -> Tensor:
    """Return (m,) bool: dots that no cell with mass reaches at a finite cost.

    Parameters
    ----------
    density
        (h, w) masses.
    dots
        (m, 2) positions, in units of the length scale.
    unit
        Side of a cell, in units of the length scale.
    cost
        The ground cost.
    shrink
        (m,) factors on the distances to the dots, if they have some.
    """
    own = torch.ones_like(dots[:, 0]) if shrink is None else shrink
    lost = torch.zeros(len(dots), dtype=torch.bool, device=dots.device)
    if not len(dots):
        return lost
    filled = density > 0
    if not bool(filled.any()):
        return ~lost
    if cost.delta is None:
        return lost
    rows, columns = density.shape
    x = torch.div(dots[:, 0], unit, rounding_mode="floor").long().clamp(0, columns - 1)
    y = torch.div(dots[:, 1], unit, rounding_mode="floor").long().clamp(0, rows - 1)
    near = cost.of_difference(own * ((x + 0.5) * unit - dots[:, 0]), own * ((y + 0.5) * unit - dots[:, 1]))
    lost = ~(filled[y, x] & torch.isfinite(near))
    index = torch.nonzero(lost).flatten()  # rarely more than a few
    places = (torch.nonzero(filled).flip(1) + 0.5) * unit
    for some in index.split(max(1, CHUNK_PAIRS // len(places))):
        apart = (places[None] - dots[some][:, None]) * own[some, None, None]
        lost[some] = torch.isinf(cost.of_difference(apart[..., 0], apart[..., 1])).all(1)
    return lost
