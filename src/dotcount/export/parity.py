"""Whether two runtimes give the same counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dotcount.errors import ModelError
from dotcount.inference.runtimes import Runtime
from dotcount.inference.runtimes.base import FloatImages

TOLERANCE = 1e-4
"""Largest relative difference of a count that is put down to rounding; counts below 1 are taken for 1."""

SIZES = ((64, 96), (97, 161), (225, 131))
"""(height, width) px of the made images: whole and broken steps of every usual grid."""

BATCHES = (1, 3)


@dataclass(frozen=True)
class Parity:
    """How far the counts and densities of two runtimes are apart.

    Attributes
    ----------
    images
        Number of images that were compared.
    count
        Largest relative difference of a count, ``|c - c'| / max(c, 1)``.
    density
        Largest difference of a cell, as a share of the image's largest cell.
    left_out
        Why images that were given could not be compared, one sentence each.

    Examples
    --------
    >>> from dotcount import models
    >>> from dotcount.inference.runtimes import as_runtime
    >>> network = as_runtime(models.create("compact", width=4))
    >>> compare(network, network, made_images()).count
    0.0
    """

    images: int
    count: float
    density: float
    left_out: tuple[str, ...] = ()

    def checked(self, what: str) -> Parity:
        """Return this, or raise a :class:`ModelError` where more than rounding tells the two apart."""
        if not (self.count <= TOLERANCE and self.density <= TOLERANCE):
            raise ModelError(
                f"{what} is not the same network: counts are up to {self.count:.1e} off, cells up to "
                f"{self.density:.1e} of the largest; use PyTorch for this model"
            )
        return self

    def described(self) -> str:
        """Return this in words."""
        told = f"counts differ by at most {self.count:.1e} of themselves from PyTorch's on {self.images} images"
        if not self.left_out:
            return told
        n = len(self.left_out)
        return f"{told} ({n} more can't be read{'' if n == 1 else ', the first'}: {self.left_out[0]})"


def made_images(sizes: Sequence[tuple[int, int]] = SIZES, batches: Sequence[int] = BATCHES) -> Iterator[FloatImages]:
    """Yield batches of blobs on uneven ground, the same ones each time."""
    random = np.random.default_rng(0)
    for height, width in sizes:
        y, x = np.mgrid[:height, :width].astype(np.float32)
        for batch in batches:
            images = random.random((batch, height, width, 3), dtype=np.float32) * 0.2
            for image in images:
                for cx, cy, radius in random.random((12, 3)):
                    distance = (x - cx * width) ** 2 + (y - cy * height) ** 2
                    image += 0.7 * np.exp(-distance / (2 * (2 + 4 * radius) ** 2))[..., None]
            yield images.clip(0, 1)


def compare(reference: Runtime, other: Runtime, images: Iterable[FloatImages]) -> Parity:
    """Return how far ``other`` is from ``reference`` on batches (B, H, W, 3)."""
    number, count, cell = 0, 0.0, 0.0
    for batch in images:
        wanted = reference.density(batch).astype(np.float64)
        try:
            got = other.density(batch).astype(np.float64)
        except Exception as error:  # each runtime has errors of its own
            detail = " ".join(str(error).split())[:200]
            raise ModelError(
                f"what the model was exported to can't count images of {batch.shape[1]} x {batch.shape[2]} px "
                f"({detail}); use PyTorch for this model"
            ) from error
        if wanted.shape != got.shape:
            raise ModelError(f"densities of {batch.shape} images have shapes {wanted.shape} and {got.shape}")
        counts, difference = wanted.sum((1, 2)), np.abs(wanted - got)
        number += len(batch)
        count = max(count, float((np.abs(counts - got.sum((1, 2))) / np.maximum(counts, 1.0)).max()))
        # Untrained ends give densities of 1e-20, of which nobody counts anything.
        largest = np.maximum(wanted.max((1, 2)), 1e-6)
        cell = max(cell, float((difference.max((1, 2)) / largest).max()))
        if not np.isfinite(difference).all():
            return Parity(number, np.inf, np.inf)
    return Parity(number, count, cell)
