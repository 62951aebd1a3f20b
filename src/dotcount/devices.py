"""Choosing where tensors live."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.errors import UsageError

if TYPE_CHECKING:
    import torch


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
    import torch

    name = str(device)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        chosen = torch.device(name)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name!r} is not available here; choose auto, cpu, cuda or mps") from error
    return chosen


def may_have_gpu() -> bool:
    """Return False where there is surely no GPU that PyTorch could use, without importing it, which takes seconds."""
    if sys.platform == "darwin" or Path("/dev/kfd").exists():  # Metal; AMD
        return True
    with suppress(OSError, AttributeError):
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return False
