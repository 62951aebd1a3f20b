"""The same photograph twice: by content, or as it looks after re-encoding, resizing or a change of brightness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from dotcount.data.checks.finding import Finding, Severity
from dotcount.data.checks.pictures import ImageFacts
from dotcount.data.records import Record

_MAX_BITS = 24  # of 256 that may differ in a first comparison
_MIN_CORRELATION = 0.98  # of the thumbnails, in a second
_SIDE = 32


def duplicate_images(records: Sequence[Record], pictures: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Yield a finding for every pair of images that show the same photograph.

    Between splits it is an error, since a test image was then trained on; within one a warning. Candidates are pairs
    with nearby difference hashes; they are confirmed by the correlation of their thumbnails, so that scenes of one
    fixed camera are not taken for each other.
    """
    usable = [k for k, picture in enumerate(pictures) if picture.bits is not None]
    if len(usable) < 2:
        return
    bits = np.stack([np.asarray(pictures[k].bits) for k in usable]).astype(np.int16)
    ones = bits.sum(axis=1)
    for row, first in enumerate(usable[:-1]):
        # Hamming distance |a| + |b| - 2 a.b of this one to all after it.
        distance = ones[row] + ones[row + 1 :] - 2 * (bits[row + 1 :] @ bits[row])
        for offset in np.flatnonzero(distance <= _MAX_BITS):
            second = usable[row + 1 + int(offset)]
            same = pictures[first].digest == pictures[second].digest
            if same or _alike(pictures[first], pictures[second]):
                yield _finding(records[first], records[second], same)


def _alike(one: ImageFacts, two: ImageFacts) -> bool:
    left, right = _standardised(one), _standardised(two)
    return bool((left * right).mean() >= _MIN_CORRELATION)


def _standardised(picture: ImageFacts) -> np.ndarray:
    small = np.asarray(Image.fromarray(np.asarray(picture.small)).resize((_SIDE, _SIDE), Image.Resampling.BOX))
    spread = small.std()
    # A blank image is like every other blank one, and says nothing.
    return np.zeros_like(small) if spread < 1e-3 else (small - small.mean()) / spread


def _finding(one: Record, two: Record, same: bool) -> Finding:
    across = one.split is not None and two.split is not None and one.split != two.split
    how = "are the same file" if same else "show the same photograph"
    severity: Severity = "error" if across else "warning"
    kind = "duplicate_across_splits" if across else "duplicate_image"
    remedy = f"remove it from {one.split} or {two.split}" if across else "remove one"
    counts = f" ({one.count} and {two.count} dots)" if one.count != two.count else ""
    return Finding(kind, severity, one.name, f"{one.name} and {two.name} {how}{counts}; {remedy}", (two.name,))
