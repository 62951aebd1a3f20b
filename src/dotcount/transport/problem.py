"""A checked batch of problems, in dimensionless coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.transport.costs import Cost
from dotcount.transport.penalties import Penalty


@dataclass(frozen=True)
class Problem:
    """What is to be solved, for B images; images never mix.

    Attributes
    ----------
    densities
        (B, h, w) float64, or a list of (h_b, w_b) float64 where sizes differ; 0 outside the valid area.
    units
        Side of a cell of each image, units of its length scale.
    dots
        (B, m_max, 2) float64 positions, units of the length scale; padded.
    weights
        (B, m_max) float64 masses; 0 in the padding.
    present
        (B, m_max) bool: which dots exist.
    n_dots
        Dots of each image.
    cost, pixel_penalty, dot_penalty, epsilon
        The terms of the objective.
    dtype
        Precision of the pairwise work; sums are float64.
    threads
        How many threads compiled loops may use.
    rough
        Newton's systems need no more than float32 although ``dtype`` is float64.
    """

    densities: Tensor | list[Tensor]
    units: list[float]
    dots: Tensor
    weights: Tensor
    present: Tensor
    n_dots: list[int]
    cost: Cost
    pixel_penalty: Penalty
    dot_penalty: Penalty
    epsilon: float
    dtype: torch.dtype
    threads: int = 1
    rough: bool = False

    @property
    def extent(self) -> float:
        """Longest side of all images, units of the length scale."""
        return max(max(one.shape[-2:]) * unit for one, unit in zip(self.densities, self.units))


def make_problem(
    densities: Tensor | Sequence[Tensor],
    points: Sequence[Tensor],
    scales: Sequence[float],
    *,
    stride: float,
    cost: Cost,
    penalties: tuple[Penalty, Penalty],
    epsilon: float,
    weights: Sequence[Tensor | None],
    valid: Sequence[Tensor | None],
    exact: bool,
    threads: int,
) -> Problem:
    """Bring checked arguments without graph to float64 and one padded layout; ``exact`` asks for float64 pairs, too."""
    n_dots = [len(one) for one in points]
    width = max(1, *n_dots)
    device = densities[0].device
    dots = torch.zeros(len(points), width, 2, dtype=torch.float64, device=device)
    for row, one, scale in zip(dots, points, scales):
        row[: len(one)] = one / scale
    present = torch.arange(width, device=device) < torch.tensor(n_dots, device=device)[:, None]
    mass = present.double()
    for row, weight in zip(mass, weights):
        if weight is not None:
            row[: len(weight)] = weight
    # The wfr cost is singular at its reach: float32 would not do.
    double = densities[0].dtype == torch.float64 or cost.delta is not None
    return Problem(
        densities=mask(densities, valid),
        units=[stride / scale for scale in scales],
        dots=dots,
        weights=mass,
        present=present,
        n_dots=n_dots,
        cost=cost,
        pixel_penalty=penalties[0],
        dot_penalty=penalties[1],
        epsilon=epsilon,
        dtype=torch.float64 if exact or double else torch.float32,
        threads=threads,
    )


def mask(densities: Tensor | Sequence[Tensor], valid: Sequence[Tensor | None]) -> Tensor | list[Tensor]:
    """Return the densities in float64, 0 outside the valid area, stacked where their sizes agree."""
    if isinstance(densities, Tensor) and all(one is None for one in valid):
        return densities.double()
    masked = [d.double() if v is None else d.double() * v for d, v in zip(densities, valid)]
    return torch.stack(masked) if all(one.shape == masked[0].shape for one in masked) else masked


def check_image(
    density: Tensor, points: Tensor, weights: Tensor | None, beta: Tensor | None, valid: Tensor | None, name: str
) -> None:
    """Check the tensors of one image; ``name`` goes into the messages.

    Raises
    ------
    InputError
        For wrong shapes, dtypes or devices, NaN, infinite or negative values.
    """
    if not isinstance(density, Tensor) or density.ndim != 2 or 0 in density.shape:
        raise InputError(f"{name}density must be a tensor (h, w) with at least one cell; got {_shape(density)}")
    if not isinstance(points, Tensor) or points.ndim != 2 or points.shape[1] != 2:
        raise InputError(f"{name}points must be a tensor (m, 2) xy px, also with m = 0; got {_shape(points)}")
    m = len(points)
    for label, value, shape in (
        ("density", density, tuple(density.shape)),
        ("points", points, (m, 2)),
        ("weights", weights, (m,)),
        ("beta", beta, (m,)),
    ):
        if value is None:
            continue
        if not isinstance(value, Tensor) or tuple(value.shape) != shape:
            raise InputError(f"{name}{label} must be a tensor of shape {shape}; got {_shape(value)}")
        if not value.is_floating_point():
            raise InputError(f"{name}{label} must be of a floating dtype; got {value.dtype}; convert it with .float()")
        if value.device != density.device:
            raise InputError(f"{name}{label} is on {value.device}, density on {density.device}; move one with .to(...)")
    if valid is not None and (valid.shape != density.shape or valid.dtype != torch.bool):
        raise InputError(f"{name}valid must be bool of the density's shape {tuple(density.shape)}; got {_shape(valid)}")
    check_density(density, name)
    if len(points) and not bool(torch.isfinite(points).all()):
        raise InputError(f"{name}points holds coordinates that are not finite; remove these dots")
    if weights is not None and len(weights):
        lowest, highest = (float(bound) for bound in torch.aminmax(weights.detach()))
        if not (lowest > 0 and math.isfinite(highest)):
            raise InputError(f"{name}weights must be positive and finite; got values from {lowest} to {highest}")


def check_density(density: Tensor, name: str) -> None:
    """Raise an InputError unless all values are finite and not negative."""
    lowest, highest = (float(bound) for bound in torch.aminmax(density.detach()))
    if not (lowest >= 0 and math.isfinite(highest)):  # also catches NaN
        raise InputError(f"{name}density must be finite and not negative; got values from {lowest} to {highest}")


def _shape(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
