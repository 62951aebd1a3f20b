"""Whether a resumed run works on the images and dots it began with: digests of contents, not of times or places."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from dotcount.data import Record

WHOLE = 32 << 20
"""Bytes up to which a file is read whole; of a larger one so many are read, in blocks spread over it."""

BLOCK = 1 << 20


def dots_digest(records: Iterable[Record]) -> str:
    """Return a digest of the names and dots of images, in their order."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(f"{record.name}\n".encode())
        if record.points is not None:
            digest.update(np.ascontiguousarray(record.points.xy).tobytes())
    return digest.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return a digest of the size and content of a file; empty if it can't be read.

    A copy of the file has the same. Of a file of more than :data:`WHOLE` bytes only so many are looked at.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.blake2b(str(size).encode(), digest_size=8)
        starts: Iterable[int] = range(0, size, BLOCK)
        if size > WHOLE:
            starts = np.linspace(0, size - BLOCK, WHOLE // BLOCK).astype(np.int64).tolist()
        with path.open("rb") as file:
            for start in starts:
                file.seek(start)
                digest.update(file.read(BLOCK))
    except OSError:
        return ""
    return digest.hexdigest()


def image_digests(records: Iterable[Record]) -> dict[str, str]:
    """Return name -> digest of the file, for every image."""
    return {record.name: file_digest(record.image) for record in records}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return which images differ, for people; empty if none does.

    >>> changes({"a.png": "1", "b.png": "2"}, {"a.png": "3"})
    'b.png is missing, a.png is changed'
    """
    kinds = {
        "missing": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
        "changed": [name for name in before if name in now and before[name] != now[name]],
    }
    return ", ".join(
        f"{names[0]} is {kind}" if len(names) == 1 else f"{len(names)} are {kind}, such as {names[0]}"
        for kind, names in kinds.items()
        if names
    )
