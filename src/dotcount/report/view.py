"""An image, or a window of it, at the size at which it is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from dotcount.points import FloatArray

Window = tuple[int, int, int, int]
"""(left, top, right, bottom), px of the image."""

Shown = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
"""(H, W, 3) pixels to look at: float32 in [0, 1], or 8 bit."""


@dataclass(frozen=True, eq=False)
class View:
    """An image at display size, and where its pixels lie on the display.

    Attributes
    ----------
    image
        RGB, 8 bit.
    scale
        Display px per px of the image.
    origin
        The point (x, y) of the image, px, that is shown at the top-left corner.
    """

    image: Image.Image
    scale: float
    origin: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def fit(cls, pixels: Shown, side: int, *, enlarge: bool = True, window: Window | None = None) -> View:
        """Scale (H, W, 3) pixels so that the longer side is ``side`` px.

        Parameters
        ----------
        pixels
            The whole image: float32 in [0, 1], or 8 bit.
        side
            Longer side on the display, px.
        enlarge
            Without it, ``side`` is the most, and small images keep their size.
        window
            The part to show; None: all.
        """
        left, top, right, bottom = window or (0, 0, pixels.shape[1], pixels.shape[0])
        part = pixels[top:bottom, left:right]
        height, width = part.shape[:2]
        scale = side / max(height, width)
        if scale > 1 and not enlarge:
            scale = 1.0
        if part.dtype != np.uint8:
            unit: npt.NDArray[np.float32] = np.clip(part, 0, 1)
            part = (unit * 255 + 0.5).astype(np.uint8)
        image = Image.fromarray(part)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if size != image.size:  # as good as Lanczos to the eye, in half the time
            image = image.resize(size, Image.Resampling.HAMMING if scale < 1 else Image.Resampling.BICUBIC)
        return cls(image, scale, (float(left), float(top)))

    def shown(self, xy: FloatArray) -> FloatArray:
        """Return where points (n, 2) px of the image lie on the display, px."""
        return (np.asarray(xy, dtype=np.float64).reshape(-1, 2) - self.origin) * self.scale

    def inside(self, xy: FloatArray) -> npt.NDArray[np.bool_]:
        """Return (n,) whether points of the image are shown."""
        place = self.shown(xy)
        return np.asarray(((place >= 0) & (place < self.image.size)).all(axis=1))
