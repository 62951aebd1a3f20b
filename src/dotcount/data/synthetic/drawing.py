"""Small drawing tools on float64 arrays in [0, 1], in numpy and scipy alone.

Everything is computed in float64, where the last-digit differences between platforms' ``exp`` do not survive the final
rounding to 8 bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Canvas = npt.NDArray[np.float64]


def smooth_noise(height: int, width: int, cell: float, rng: np.random.Generator) -> Canvas:
    """Return (H, W) noise in [0, 1] that varies over about ``cell`` px: random knots, interpolated by smooth steps."""
    rows, columns = int(np.ceil(height / cell)) + 1, int(np.ceil(width / cell)) + 1
    knots = rng.random((rows, columns))
    y, x = np.arange(height) / cell, np.arange(width) / cell
    i, j = y.astype(int), x.astype(int)
    v, u = y - i, x - j
    v, u = (v * v * (3 - 2 * v))[:, None], (u * u * (3 - 2 * u))[None, :]
    i1, j1 = np.minimum(i + 1, rows - 1), np.minimum(j + 1, columns - 1)
    across = knots[:, j] * (1 - u) + knots[:, j1] * u
    return np.asarray(across[i] * (1 - v) + across[i1] * v)


def blur(image: Canvas, sigma: float) -> Canvas:
    """Return (H, W) or (H, W, C) convolved with a Gaussian of ``sigma`` px, the border repeated."""
    if sigma <= 0:
        return image
    blurred: Canvas = ndimage.gaussian_filter(image, sigma, mode="nearest", radius=int(np.ceil(3 * sigma)), axes=(0, 1))
    return blurred


def window(
    height: int, width: int, x: float, y: float, reach_x: float, reach_y: float
) -> tuple[slice, slice, Canvas, Canvas] | None:
    """Return the part of the canvas around (x, y) and, for its pixels, the offsets of their centres from (x, y).

    ``None`` if that part lies outside the canvas.
    """
    left, right = max(int(np.floor(x - reach_x)), 0), min(int(np.ceil(x + reach_x)) + 1, width)
    top, bottom = max(int(np.floor(y - reach_y)), 0), min(int(np.ceil(y + reach_y)) + 1, height)
    if left >= right or top >= bottom:
        return None
    dx = (np.arange(left, right, dtype=np.float64) + 0.5 - x)[None, :]
    dy = (np.arange(top, bottom, dtype=np.float64) + 0.5 - y)[:, None]
    return slice(top, bottom), slice(left, right), dx, dy


def paint_ellipse(
    canvas: Canvas,
    x: float,
    y: float,
    radius_x: float,
    radius_y: float,
    colour: npt.ArrayLike,
    shade: float = 0.0,
) -> None:
    """Paint an opaque ellipse with an antialiased edge over an (H, W, 3) canvas; ``shade`` darkens one side."""
    part = window(canvas.shape[0], canvas.shape[1], x, y, radius_x + 1, radius_y + 1)
    if part is None:
        return
    rows, columns, dx, dy = part
    rho = np.sqrt((dx / radius_x) ** 2 + (dy / radius_y) ** 2)
    cover = ((1 - rho) * min(radius_x, radius_y) + 0.5).clip(0, 1)[..., None]
    light = 1 - shade * (dx / radius_x + dy / radius_y).clip(-1, 1)[..., None]
    canvas[rows, columns] += cover * (np.asarray(colour) * light - canvas[rows, columns])


def paint_box(
    canvas: Canvas, left: float, top: float, right: float, bottom: float, colour: npt.ArrayLike, alpha: float = 1.0
) -> None:
    """Paint a rectangle with antialiased edges over an (H, W, 3) canvas."""
    height, width = canvas.shape[:2]
    x, y = np.arange(width), np.arange(height)
    across = (np.minimum(x + 1, right) - np.maximum(x, left)).clip(0, 1)
    down = (np.minimum(y + 1, bottom) - np.maximum(y, top)).clip(0, 1)
    columns, rows = np.flatnonzero(across), np.flatnonzero(down)
    if columns.size and rows.size:
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        cover = alpha * (down[part[0], None] * across[None, part[1]])[..., None]
        canvas[part] += cover * (np.asarray(colour) - canvas[part])


def to_bytes(image: Canvas) -> npt.NDArray[np.uint8]:
    """Round a canvas to 8 bits."""
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)
