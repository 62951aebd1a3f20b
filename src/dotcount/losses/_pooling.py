"""Coarser cells for images whose dots crowd so much that a solve would take too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dotcount.transport import SolverOptions, solve

MANY_PAIRS = 1.5e8
"""(Cell, dot) pairs of an image from which on its cells are pooled; about 2 s of one core."""
CUTOFF = 8.0
"""Pairs whose score is up to this below a cell's best, in units of epsilon, count."""
COARSE = 16
"""Cells along a side of the solve that tells which pairs count."""
SAMPLES = 8
"""Cells along a side that pairs are counted at."""


def likely_pairs(
    density: Tensor, points: Tensor, stride: float, settings: dict[str, Any], lengths: Tensor | None = None
) -> float:
    """Return about how many (cell, dot) pairs a solve looks at, from a solve on few cells where they may be many.

    Parameters
    ----------
    density
        (h, w) mass of the cells.
    points
        (m, 2) xy px.
    stride
        Side of a cell, px.
    settings
        Options of the solve, with a length scale, but for the stride.
    lengths
        (m,) px, the length scales of the dots, if they have some; then ``settings`` has none.
    """
    rows, columns = density.shape
    every = float(rows * columns * len(points))
    options = SolverOptions(**settings)
    if every <= MANY_PAIRS or options.epsilon == 0:
        return min(every, MANY_PAIRS)
    if options.method not in ("auto", "newton"):
        return every
    factor = -(-max(rows, columns) // COARSE)
    few = pool(density[None], factor)[0]
    rough = settings | {"tol": 1e-2, "max_iter": 50}
    beta = solve(few, points, stride=stride * factor, length_scales=lengths, **rough).beta
    unit = options.length_scale or max(rows, columns) * stride if lengths is None else 1.0
    own = 1.0 if lengths is None else 1.0 / lengths
    middle = (torch.arange(SAMPLES, device=points.device, dtype=points.dtype) + 0.5) / SAMPLES * stride / unit
    dots = points / unit
    x = (middle * columns)[:, None] - dots[:, 0]
    y = (middle * rows)[:, None] - dots[:, 1]
    score = beta - options.ground_cost.of_difference((x * own)[None], (y * own)[:, None])  # (samples, samples, m)
    near = (score >= score.amax(2, keepdim=True) - CUTOFF * options.epsilon) & torch.isfinite(score)
    return float(near.sum()) / SAMPLES**2 * rows * columns


def pooling(
    density: Tensor, points: list[Tensor], stride: float, settings: dict[str, Any], lengths: list[Tensor] | None = None
) -> int:
    """Return the side, in cells, of the squares to be pooled into one so that no image has too many pairs."""
    each: Sequence[Tensor | None] = [None] * len(points) if lengths is None else lengths
    pairs = [likely_pairs(one, xy, stride, settings, own) for one, xy, own in zip(density, points, each)]
    factor = 1
    while max(pairs, default=0.0) / factor**2 > MANY_PAIRS and factor < max(density.shape[1:]):
        factor *= 2
    return factor


def pool(cells: Tensor, factor: int) -> Tensor:
    """Return (B, ceil(h / factor), ceil(w / factor)) sums of squares of cells (B, h, w)."""
    rows, columns = cells.shape[1:]
    padded = functional.pad(cells, (0, -columns % factor, 0, -rows % factor))
    return functional.avg_pool2d(padded, factor) * float(factor * factor)


def spread(values: Tensor, factor: int, like: Tensor) -> Tensor:
    """Return (B, h, w) values of the squares that each cell belongs to; ``like`` is (B, h, w)."""
    wide = values.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    return wide[:, : like.shape[1], : like.shape[2]]
