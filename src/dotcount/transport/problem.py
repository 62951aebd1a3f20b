"""A checked batch of problems, in dimensionless coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dotcount.errors import InputError
from dotcount.transport.costs import Cost
from dotcount.transport.penalties import Penalty
from dotcount.transport.rounding import UNIT32, Scales, relative_error

LARGEST = 1e100
"""Potentials beyond this are not looked at."""
LOWEST = -1e300
"""Stands for values that overflow or are less, so that no tolerance relative to them is infinite; no bound on W."""
LARGEST_SCALE = 1e30
"""Epsilon, rho, distances (units of the length scale) and weights may be between the inverse of this and this."""
LARGEST_MASS = 1e60
"""Mass of a density from which on it is refused."""
SINGLE = 0.1
"""Rounding of scores, relative to epsilon and rho, from which on float32 does not do."""
SINGLE_MASS = 1e30
"""Mass, relative to epsilon, from which on float32 does not do for Newton's systems either."""


@dataclass(frozen=True)
class TransportProblem:
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
    far
        Bound on the coordinate differences between dots and cells of each image, units of the length scale.
    shrink
        (B, m_max) float64 in (0, 1], factors on the distances to each dot: the image's length scale, which is that of
        its shortest dot, over the dot's own; None where dots have none of their own. Bounds that hold without them hold
        with them.
    """

    densities: Tensor | list[Tensor]
    units: list[float]
    dots: Tensor
    weights: Tensor
    present: Tensor
    n_dots: list[int]
    far: list[float]
    cost: Cost
    pixel_penalty: Penalty
    dot_penalty: Penalty
    epsilon: float
    dtype: torch.dtype
    threads: int = 1
    rough: bool = False
    shrink: Tensor | None = None

    def in_double(self) -> TransportProblem:
        """Return the problem with pairs in float64, and Newton's systems too where float32 has not the range."""
        mass = max(float(one.sum()) for one in (*self.densities, self.weights))
        safe = mass * max(1.0, 1.0 / self.epsilon if self.epsilon > 0 else 1.0) < SINGLE_MASS
        return replace(self, dtype=torch.float64, rough=safe)

    def relative_rounding(self, roundoff: float) -> float:
        """Return how much scores are rounded relative to epsilon and rho; to be well below 1."""
        kinds = int(self.cost.kind), int(self.pixel_penalty.kind)
        epsilon = self.epsilon if self.epsilon > 0 else math.inf
        strengths = epsilon, self.pixel_penalty.rho, self.dot_penalty.rho
        return max(
            relative_error(Scales(*kinds, *strengths, roundoff, unit, far), 0.0)
            for unit, far in zip(self.units, self.far)
        )

    @property
    def largest_cost(self) -> float:
        """Bound on the finite costs."""
        far = 2.0 * max(self.far)
        return far * far if self.cost.name == "sql2" else far if self.cost.delta is None else 80.0

    @property
    def extent(self) -> float:
        """Longest side of all images, units of the length scale."""
        return max(max(one.shape[-2:]) * unit for one, unit in zip(self.densities, self.units))


@dataclass(frozen=True)
class ProblemTerms:
    """What the problems of a batch share; ``exact`` asks for pairs in float64."""

    stride: float
    cost: Cost
    pixel_penalty: Penalty
    dot_penalty: Penalty
    epsilon: float
    exact: bool


def make_problem(
    densities: Tensor | Sequence[Tensor],
    points: Sequence[Tensor],
    scales: Sequence[float],
    terms: ProblemTerms,
    *,
    shrink: Sequence[Tensor | None] | None = None,
    weights: Sequence[Tensor | None],
    valid: Sequence[Tensor | None],
    threads: int,
) -> TransportProblem:
    """Bring checked arguments without graph to float64 and one padded layout."""
    n_dots = [len(one) for one in points]
    width = max(1, *n_dots)
    device = densities[0].device
    place, number = torch.arange(width, device=device), torch.tensor(n_dots, device=device)[:, None]
    present = place < number
    every = torch.cat([*points, points[0].new_zeros(1, 2)])
    index = torch.where(present, number.cumsum(0) - number + place, len(every) - 1)
    lengths = torch.tensor(scales, dtype=torch.float64, device=device)
    dots = every.index_select(0, index.flatten()).view(len(points), width, 2) / lengths[:, None, None]
    mass = present.double()
    for row, weight in zip(mass, weights):
        if weight is not None:
            row[: len(weight)] = weight
    own = None
    if shrink is not None and any(one is not None for one in shrink):
        own = torch.ones_like(mass)
        for row, factors in zip(own, shrink):
            if factors is not None:
                row[: len(factors)] = factors
    # The wfr cost is singular at its reach: float32 would not do.
    double = densities[0].dtype == torch.float64 or terms.cost.delta is not None
    units = [terms.stride / scale for scale in scales]
    sides = [max(one.shape) * unit for one, unit in zip(densities, units)]
    far = [float(reach) + side for reach, side in zip(dots.abs().amax((1, 2)).tolist(), sides)]
    check_scales(far, [weight for weight in weights if weight is not None], units)
    made = TransportProblem(
        densities=mask(densities, valid),
        units=units,
        dots=dots,
        weights=mass,
        present=present,
        n_dots=n_dots,
        far=far,
        cost=terms.cost,
        pixel_penalty=terms.pixel_penalty,
        dot_penalty=terms.dot_penalty,
        epsilon=terms.epsilon,
        dtype=torch.float64 if terms.exact or double else torch.float32,
        threads=threads,
        shrink=own,
    )
    return made.in_double() if made.dtype == torch.float32 and made.relative_rounding(UNIT32) > SINGLE else made


def check_scales(far: Sequence[float], weights: Sequence[Tensor], units: Sequence[float]) -> None:
    """Raise an InputError for distances and weights whose arithmetic would leave the range of float64."""
    if not max(far) <= LARGEST_SCALE or min(units) < 1.0 / LARGEST_SCALE:
        raise InputError(
            f"distances between dots and cells are up to {max(far):.3g} length scales, cells {min(units):.3g}; both "
            f"must be between {1 / LARGEST_SCALE:g} and {LARGEST_SCALE:g}; check points, stride and length_scale"
        )
    for one in weights:
        if len(one) and not (float(one.min()) >= 1.0 / LARGEST_SCALE and float(one.max()) <= LARGEST_SCALE):
            raise InputError(f"weights must be between {1 / LARGEST_SCALE:g} and {LARGEST_SCALE:g}")


def mask(densities: Tensor | Sequence[Tensor], valid: Sequence[Tensor | None]) -> Tensor | list[Tensor]:
    """Return the densities in float64, 0 outside the valid area, stacked where their sizes agree."""
    if isinstance(densities, Tensor) and all(one is None for one in valid):
        return densities.double()
    masked = [d.double() if v is None else d.double() * v for d, v in zip(densities, valid)]
    return torch.stack(masked) if all(one.shape == masked[0].shape for one in masked) else masked


def sound_values(
    densities: Tensor | Sequence[Tensor], points: Sequence[Tensor], weights: Sequence[Tensor | None]
) -> bool:
    """Whether the values of a batch are what :func:`check_values` asks, found in a single look at the device.

    Shapes have to be right; False also where tensors are not on one device.
    """
    if len({one.device for one in (*densities, *points)}) > 1:
        return False
    maps = [densities] if isinstance(densities, Tensor) else densities  # a stack is looked at as one
    lowest, highest = zip(*(torch.aminmax(one.detach()) for one in maps))
    good = (torch.stack(lowest) >= 0) & (torch.stack(highest).double() <= LARGEST_MASS)
    checks = [good.all(), torch.isfinite(torch.cat(list(points))).all()]
    given = [one for one in weights if one is not None]
    if given:
        every = torch.cat(given)
        checks.append(((every > 0) & torch.isfinite(every)).all())
    return bool(torch.stack(checks).all())


def check_image(
    density: Tensor,
    points: Tensor,
    weights: Tensor | None,
    beta: Tensor | None,
    valid: Tensor | None,
    lengths: Tensor | None,
    name: str,
) -> None:
    """Check the tensors of one image; ``name`` goes into the messages.

    Raises
    ------
    InputError
        For wrong shapes, dtypes or devices.
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
        ("length_scales", lengths, (m,)),
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


def check_values(density: Tensor, points: Tensor, weights: Tensor | None, lengths: Tensor | None, name: str) -> None:
    """Raise an InputError for values of an image that are not finite or out of range."""
    check_density(density, name)
    if len(points) and not bool(torch.isfinite(points).all()):
        raise InputError(f"{name}points holds coordinates that are not finite; remove these dots")
    if weights is not None and len(weights):
        lowest, highest = (float(bound) for bound in torch.aminmax(weights.detach()))
        if not (lowest > 0 and math.isfinite(highest)):
            raise InputError(f"{name}weights must be positive and finite; got values from {lowest} to {highest}")
    if lengths is not None and len(lengths):
        shortest, longest = (float(bound) for bound in torch.aminmax(lengths.detach()))
        if not (shortest > 0 and math.isfinite(longest) and shortest / longest >= 1.0 / LARGEST_SCALE):
            raise InputError(
                f"{name}length_scales must be positive and finite; got values from {shortest} to {longest} px"
            )


def check_density(density: Tensor, name: str) -> None:
    """Raise an InputError unless all values are finite and not negative."""
    lowest, highest = (float(bound) for bound in torch.aminmax(density.detach()))
    if not (lowest >= 0 and math.isfinite(highest)):  # also catches NaN
        raise InputError(f"{name}density must be finite and not negative; got values from {lowest} to {highest}")
    if highest > LARGEST_MASS:
        raise InputError(f"{name}density must be at most {LARGEST_MASS:g}; got values up to {highest:g}")


def _shape(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
