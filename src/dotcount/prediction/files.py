"""Writing results so that nothing half-written is ever seen under its final name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotcount.errors import OutputError


def require_writable(path: Path) -> None:
    """Raise an :class:`OutputError` if the folder ``path`` can't be made or written to; creates nothing.

    Asked before hours of work, so that they aren't lost at the end.
    """
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
        if place.is_file():
            break
    if not place.is_dir():
        raise OutputError(f"can't write to {path}: {place} is a file, not a folder; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"can't write to {path}: no permission in {place}; choose another --out")


def make_folder(path: Path) -> Path:
    """Create the folder ``path`` with its parents and return it."""
    require_writable(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't write to {path}: {error.strerror or error}; choose another --out") from error
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; renamed onto it at the end, removed when the block fails."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror or error}; choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
