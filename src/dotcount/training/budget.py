"""Fitting a run to a wall-clock budget: how long an epoch is, how often to validate, and when to cool down.

Times decide three numbers, each once; they are recorded, and from then on the run is as repeatable as one with a fixed
number of epochs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dotcount.config import TrainingConfig

LEAST_EPOCHS = 16
"""A shorter run could not place its cool-down well, and would choose its checkpoint among too few."""

VALIDATION_SHARE = 0.15
"""Most of the time that validation may take."""

MOST_RESERVED = 0.3
"""Largest share of the budget that is kept for what follows training."""

CLOSING_SECONDS, SECONDS_PER_DOT, MARGIN = 5.0, 0.01, 1.15
"""What the calibration and the report take besides counting the images: measured on two busy cores, with 30 and with
120 dots an image."""


@dataclass(frozen=True)
class Pace:
    """Seconds of one optimiser step and of one validation of all held-out images."""

    step: float
    validation: float


def closing_time(validation: float, dots: int, training: TrainingConfig) -> float:
    """Return the seconds that follow training: calibration and report on the validation images.

    Parameters
    ----------
    validation
        Measured seconds of counting all validation images once.
    dots
        Number of dots in them; points are matched with them.
    training
        Says at which sizes the images are counted. Two more passes are for the features of these images and of some of
        training.
    """
    passes = 4 + sum(factor**2 for factor in training.try_magnify if factor != 1) + 2 * training.try_mirror
    return MARGIN * (passes * validation + SECONDS_PER_DOT * dots + CLOSING_SECONDS)


def reserve(budget: float, validation: float, dots: int, training: TrainingConfig) -> float:
    """Return the seconds of a budget to keep for what follows training, :data:`MOST_RESERVED` of it at most."""
    return min(closing_time(validation, dots, training), MOST_RESERVED * budget)


def overrun(pace: Pace, budget: float, dots: int, training: TrainingConfig) -> str | None:
    """Return in words that a run will take longer than its budget in seconds; ``None`` where it need not.

    Every run counts the validation images once while it trains, and several times at the end.
    """
    closing = closing_time(pace.validation, dots, training)
    least = pace.step + pace.validation + closing
    if closing <= MOST_RESERVED * budget:
        return None
    whole = max(least, (1 - MOST_RESERVED) * budget + closing)
    return (
        f"the end of the run, which counts the validation images several times, takes about {closing / 60:.1f} min: "
        f"more than is left of {budget / 60:g} min. It will be about {whole / 60:.1f} min in all. Give it more time, "
        "or keep fewer images for validation (data.validation)"
    )


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

    It starts at the epoch boundary nearest to the point where ``1 - cooldown`` of the budget is spent, and has as many
    epochs as fit into the rest.

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
    left = max(least, math.floor((budget - elapsed) / epoch_seconds + 1e-6))
    return epochs_done + left, left
