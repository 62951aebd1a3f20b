"""Pictures made by integer arithmetic, the same on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def blobs(height: int = 170, width: int = 131, step: int = 23) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3): round blobs of falling brightness on a grid, a few px off it, on a dark, uneven ground."""
    y, x = np.mgrid[:height, :width]
    picture = 20 + (x * 7 + y * 13) % 11
    for k, (row, column) in enumerate(np.ndindex(height // step, width // step)):
        cy, cx = row * step + 11 + (k * 5) % 7, column * step + 11 + (k * 3) % 7
        picture = np.maximum(picture, 230 - 3 * (k % 20) - (3 + k % 3) * ((y - cy) ** 2 + (x - cx) ** 2))
    return np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
