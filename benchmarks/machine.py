"""The machine that figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> str:
    """Return the processor and the number of cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    gpu = ", no GPU" if not Path("/proc/driver/nvidia").exists() else ""
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores{gpu}"
