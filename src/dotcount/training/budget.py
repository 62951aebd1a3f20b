"""Fitting a run to a wall-clock budget: how long an epoch is, how often to validate, and when to cool down.

Times decide three numbers, each once; they are recorded, and from then on the run is as repeatable as one with a fixed
number of epochs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_EPOCHS = 16
"""A shorter run could not place its cool-down well, and would choose its checkpoint among too few."""

VALIDATION_SHARE = 0.15
"""Most of the time that validation may take."""

OVERRUN = 1.1
"""Share of the budget after which no further epoch is begun."""


@dataclass(frozen=True)
class Pace:
    """Seconds of one optimiser step and of one validation of all held-out images."""

    step: float
    validation: float


def fit_epoch(pace: Pace, budget: float, steps: int, *, fixed: bool = False) -> tuple[int, int]:
    """Return (steps per epoch, epochs between validations) for a budget in seconds.

    An epoch of ``steps`` is lengthened until validation takes at most :data:`VALIDATION_SHARE` of the time, then cut so
    that at least :data:`LEAST_EPOCHS` fit; where both can't be had, validation is made rarer. With ``fixed`` the
    number of steps is the user's and stays.
    """
    if not fixed:
        wanted = math.ceil(pace.validation * (1 / VALIDATION_SHARE - 1) / pace.step)
        most = math.floor(budget / LEAST_EPOCHS / pace.step)
        steps = max(1, min(max(steps, wanted), most))
    training = steps * pace.step
    allowed = VALIDATION_SHARE / (1 - VALIDATION_SHARE) * training
    every = math.ceil(pace.validation / allowed) if pace.validation > 0 else 1
    return steps, max(1, min(every, LEAST_EPOCHS // 3))


def fit_cooldown(
    budget: float, elapsed: float, epochs_done: int, epoch_seconds: float, cooldown: float
) -> tuple[int, int] | None:
    """Decide at the end of an epoch whether the cool-down starts now.

    It starts at the epoch boundary nearest to the point where ``1 - cooldown`` of the budget is spent.

    Parameters
    ----------
    budget, elapsed
        Seconds available for training with validation, and spent so far.
    epochs_done
        Number of epochs behind us.
    epoch_seconds
        Measured mean time of an epoch, with validation.
    cooldown
        Share of the budget for the cool-down.

    Returns
    -------
    (total epochs, epochs of the cool-down), so that the run ends with the budget; ``None``: not yet.
    """
    if elapsed + epoch_seconds / 2 < (1 - cooldown) * budget:
        return None
    least = 1 if cooldown > 0 else 0
    left = max(least, round((budget - elapsed) / epoch_seconds))
    return epochs_done + left, left
