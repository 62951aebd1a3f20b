"""Errors of training that a person can act on."""

from __future__ import annotations

from dotcount.errors import DotcountError, UsageError


class TrainingError(DotcountError):
    """Training can't go on: a loss, density or gradient that is not finite, or a density that is zero for good.

    Examples
    --------
    >>> raise TrainingError("the loss is not finite at step 3; lower optimizer.learning_rate")
    Traceback (most recent call last):
    ...
    dotcount.training.errors.TrainingError: the loss is not finite at step 3; lower optimizer.learning_rate
    """


class ResumeError(UsageError):
    """The run folder and the request don't fit: already used, changed configuration, changed data.

    Examples
    --------
    >>> from dotcount import config, train
    >>> train(config.load(data__path="data"), "no_run", resume=True)
    Traceback (most recent call last):
    ...
    dotcount.training.errors.ResumeError: no_run holds no run to resume; leave resume out to start one there
    """
