"""Whether a resumed run works on the images and dots it began with: digests of contents, not of times or places."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from dotcount.data import Record
from dotcount.data.digests import file_digest


def dots_digest(records: Iterable[Record]) -> str:
    """Return a digest of the names and dots of images, in their order."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(f"{record.name}\n".encode())
        if record.points is not None:
            digest.update(np.ascontiguousarray(record.points.xy).tobytes())
    return digest.hexdigest()[:16]


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
