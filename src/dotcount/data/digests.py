"""Digests of image files, by which an image is known again whatever it is called and wherever it lies."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

WHOLE = 32 << 20
"""Bytes up to which a file is read whole; of a larger one so many are read, in blocks spread over it."""

BLOCK = 1 << 20

_BYTES = 8

MOST = 20_000
"""Digests that are kept of one training."""


def file_digest(path: Path) -> str:
    """Return a digest of the size and content of a file; empty if it can't be read.

    A copy of the file has the same. Of a file of more than :data:`WHOLE` bytes only so many are looked at.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.blake2b(str(size).encode(), digest_size=_BYTES)
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


def packed(digests: Iterable[str]) -> str:
    """Return digests of files as one text; empty if they are more than :data:`MOST`.

    Examples
    --------
    >>> sorted(unpacked(packed(["00112233445566ff", "ffeeddccbbaa9988"])))
    ['00112233445566ff', 'ffeeddccbbaa9988']
    """
    known = sorted({digest for digest in digests if digest})
    return base64.b64encode(bytes.fromhex("".join(known))).decode() if len(known) <= MOST else ""


def unpacked(text: str) -> frozenset[str]:
    """Return the digests in what :func:`packed` returned; none of a text that is none of its."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        return frozenset()
    return frozenset(content[k : k + _BYTES].hex() for k in range(0, len(content), _BYTES))
