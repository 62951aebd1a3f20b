"""Temporary names: where results lie until they are complete, and what becomes of those of killed processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
from functools import cache
from pathlib import Path

_NAME = re.compile(r"\.dotcount-([0-9a-f]{8})-(\d+)-[0-9a-f]{12}\.tmp")
_cleaned: set[Path] = set()


def temporary_name(path: Path) -> Path:
    """Return a hidden name beside ``path`` that nobody can have foreseen, so that no link can lie in wait there.

    It is short, however long the name of ``path``, and tells the process, so that what a killed one has left behind can
    be told from what another is writing. The first call for a folder removes such leftovers in it.
    """
    folder = path.parent
    if folder not in _cleaned:
        _cleaned.add(folder)
        remove_leftovers(folder)
    return folder / f".dotcount-{_machine()}-{os.getpid()}-{secrets.token_hex(6)}.tmp"


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove what processes of this machine that no longer run have left in ``folder``; return what was removed."""
    gone = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match and match[1] == _machine() and not _runs(int(match[2])):
                remove(path)
                gone.append(path)
    return gone


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """Return what tells apart the places whose process numbers have nothing to do with each other."""
    place = socket.gethostname()
    with contextlib.suppress(OSError):  # a container has process numbers of its own; other systems have no such file
        place += str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(place.encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    if sys.platform == "win32":
        return True  # asking there would end the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
