"""What the checks report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing to know about a data set.

    Attributes
    ----------
    kind
        For programs, such as ``swapped_axes``.
    severity
        ``error``: training on it would learn something wrong, or can't be done; ``warning``: look at it; ``info``.
    name
        The record concerned; empty: the whole collection.
    message
        One line for people, with the remedy.
    related
        Other records concerned, such as the twin of a duplicate.
    """

    kind: str
    severity: Severity
    name: str
    message: str
    related: tuple[str, ...] = field(default=())
