"""The learning rate as a pure function of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from dotcount.config import ScheduleConfig


def rate_factor(schedule: ScheduleConfig, step: int, total: int | None, cooldown: int = 0) -> float:
    """Return what the base learning rate is multiplied with at ``step``, in (0, 1].

    Parameters
    ----------
    schedule
        Its name, warm-up and power; see :class:`~dotcount.config.ScheduleConfig`.
    step
        Index of the optimiser step, from 0.
    total
        Number of steps of the whole run; ``None`` while a time budget has not fixed it, before the cool-down.
    cooldown
        Steps of the final linear descent of ``trapezoid``; the last step is taken at ``1 / cooldown``.

    Examples
    --------
    >>> [rate_factor(ScheduleConfig(warmup_steps=2), step, total=8, cooldown=4) for step in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    warm = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps > 0 else 1.0
    if schedule.name == "constant" or total is None:
        return warm
    if schedule.name == "trapezoid":
        return warm * (min(1.0, (total - step) / cooldown) if cooldown else 1.0)
    start = min(schedule.warmup_steps, total - 1)
    progress = min(1.0, max(0.0, (step - start) / (total - start)))
    if schedule.name == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * progress))
    return warm * (1 - progress) ** schedule.power


def cooldown_epochs(schedule: ScheduleConfig, epochs: int) -> int:
    """Return the epochs of the cool-down in a run of ``epochs``: as given, or rounded from the share, at most all."""
    if schedule.name != "trapezoid":
        return 0
    wanted = schedule.cooldown_epochs
    return min(epochs, round(schedule.cooldown * epochs) if wanted is None else wanted)
