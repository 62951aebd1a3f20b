"""Leaving the process as it was: random numbers, signal handlers, warnings and log levels are the caller's."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import torch

_LOGGERS = ("lightning.pytorch", "lightning.fabric")


def seed_all(seed: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch, which networks and losses draw from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (what libraries below use)
    torch.manual_seed(seed)


@contextlib.contextmanager
def unchanged_process() -> Iterator[None]:
    """Put back, after the block, everything of the process that training changes; silence Lightning's notices in it.

    What matters of those notices is reported to the listener or is an error.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    environment, handlers = dict(os.environ), _handlers()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        _restore(environment)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _handlers() -> dict[signal.Signals, signal._HANDLER]:
    """Return the handlers that can be set again: those of Python, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in signal.Signals}
    return {number: handler for number, handler in found.items() if handler is not None}


def _restore(environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
