"""How the process gets its memory from the system."""

from __future__ import annotations

import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # names and values of malloc.h


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc's allocator keep what is freed, for the whole process, and return whether it does.

    By default every tensor of more than a few MB is mapped anew and unmapped when it dies, and the kernel clears its
    pages each time: a fifth to a third of a training step on the CPU. The peak stays within a few percent of what it
    was; memory that is free goes back to the system when the process ends. Elsewhere than with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_M_MMAP_MAX, 0)) and bool(library.mallopt(_M_TRIM_THRESHOLD, -1))
