"""Choosing where tensors live."""

from __future__ import annotations

import torch

from dotcount.errors import UsageError


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return a device that is available; ``auto`` takes a GPU where there is one.

    Raises
    ------
    UsageError
        If there is no such device here.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    name = str(device)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        chosen = torch.device(name)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name!r} is not available here; choose auto, cpu, cuda or mps") from error
    return chosen
