"""Errors of training that a person can act on."""

from __future__ import annotations

from dotcount.errors import DotcountError, UsageError


class TrainingError(DotcountError):
    """Training can't go on: a loss, density or gradient that is not finite, or a density that is zero for good."""


class ResumeError(UsageError):
    """The run folder and the request don't fit: already used, changed configuration, changed data."""
