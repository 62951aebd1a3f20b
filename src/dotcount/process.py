"""What the process asks of the system: to keep its memory, and to let idle threads sleep."""

from __future__ import annotations

import ctypes
import functools
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # names and values of malloc.h
_SPINS = "GOMP_SPINCOUNT"
_POLICY = "OMP_WAIT_POLICY"


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


def let_threads_sleep() -> bool:
    """Let idle threads of GNU's OpenMP, which torch uses on Linux, sleep after some 0.1 ms instead of milliseconds.

    While they wait for work they keep a core busy that the loss needs for its own threads: its part of a training step
    on two cores falls by a quarter, and the rest takes no longer. It is an environment variable that is read once:
    nothing happens, and False is returned, where torch has been imported already or the user has set it or the policy.
    """
    if "torch" in sys.modules or _SPINS in os.environ or _POLICY in os.environ:
        return False
    os.environ[_SPINS] = "20000"
    return True
