"""How the loops are compiled, and how machine code on disk is kept from outliving its sources.

numba looks at the file of a cached function only, not at those of the functions that it calls. So only the entry points
are cached, under names that carry a digest of all sources of ``dotcount.transport``: after any edit there, machine code
of before is not found.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numba
import numpy as np

Array: TypeAlias = np.ndarray
SUMS = {"reassoc", "contract", "nsz"}
"""What the compiler may do with sums; infinities keep their meaning."""


@functools.cache
def source_digest() -> str:
    """Return the digest of all sources that machine code can depend on."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def jit(fastmath: bool | set[str] = False) -> Callable[[Callable], Any]:
    """Return numba's decorator for a function that is called by compiled ones only."""
    return numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)


def entry_point(fastmath: bool | set[str] = False) -> Callable[[Callable], Any]:
    """Return numba's decorator for a function that Python calls, with a cache on disk where there is room for it."""

    def decorate(function: Callable) -> Any:
        settings: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
        function.__qualname__ = f"{function.__name__}_{source_digest()}"  # numba names its files after this
        try:
            return numba.njit(cache=True, **settings)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written to
            return numba.njit(**settings)(function)

    return decorate
