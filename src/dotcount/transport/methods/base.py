"""What every method gets and gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dotcount.transport.certificate import Certificate
from dotcount.transport.dual import Dual, Point


@dataclass(frozen=True)
class Control:
    """When to stop: the relative gap, the bound on the gradient's error (or None), the evaluations allowed.

    ``dtype`` is that of the gradient that is handed out.
    """

    tol: float
    tol_gradient: float | None
    max_iter: int
    dtype: torch.dtype = torch.float64


@dataclass(frozen=True)
class Start:
    """Where to start: potentials (B, m_max) float64, and which images they are a good guess for (B,) bool.

    ``dual`` is the function that the same dots were solved with last, if it is at hand: its pairs may do again.
    """

    beta: Tensor
    warm: Tensor
    dual: Dual | None = None


@dataclass(frozen=True)
class Outcome:
    """Where a method ended: a point of a dual on the full grid, its certificate and the evaluations (B,)."""

    dual: Dual
    point: Point
    certificate: Certificate
    evaluations: Tensor


def limit(point: Point, tol: float) -> Tensor:
    """Return (B,) the gap at which an image is done: ``tol * max(1, |G|)``."""
    return tol * point.value.abs().clamp(min=1.0)


def nobody(start: Start) -> Tensor:
    """Return (B,) zeros to count evaluations in."""
    return torch.zeros_like(start.warm, dtype=torch.int64)
