"""A picture in tiles at halving sizes, so that a browser loads no more of a large one than it shows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dotcount.web.limits import Refusal

TILE = 512
"""Side of a tile, px."""
_QUALITY = 88
Pixels = npt.NDArray[np.uint8]


def write_levels(pixels: Pixels, folder: Path) -> int:
    """Write (H, W, 3) pixels and their halves down to one tile as arrays, and return how many levels there are.

    Level k is ``level{k}.npy``, whose sides are those of the picture over 2^k, rounded up.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> write_levels(np.zeros((600, 700, 3), np.uint8), Path("."))
    2
    """
    level = 0
    while True:
        np.save(folder / f"level{level}.npy", pixels)
        level += 1
        if max(pixels.shape[:2]) <= TILE:
            return level
        pixels = np.asarray(Image.fromarray(pixels).reduce(2))


def read_tile(folder: Path, level: int, column: int, row: int) -> bytes:
    r"""Return a tile as JPEG; of the array no more than the tile is read.

    Raises
    ------
    Refusal
        404 if there is no such tile.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> _ = write_levels(np.zeros((600, 700, 3), np.uint8), Path("."))
    >>> read_tile(Path("."), level=0, column=1, row=1)[:3]
    b'\xff\xd8\xff'
    """
    try:
        pixels = np.load(folder / f"level{level}.npy", mmap_mode="r")
    except OSError as error:
        raise Refusal(404, "there is no such tile") from error
    part = pixels[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
    if min(row, column) < 0 or 0 in part.shape:
        raise Refusal(404, "there is no such tile")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(part)).save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
