"""Arrays of stored values: three channels, upright, whole, without gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

PixelArray = npt.NDArray[Any]
UnitArray = npt.NDArray[np.float32]

_HUGE = 1e30  # the lowest numbers of their types stand for missing values
_MARKS = (-9999.0, -99999.0, -32768.0, -32767.0)  # missing values that programs write without saying so

FEW = 0.01
"""Up to this share, missing pixels take the value of the nearest one that is known."""


def three_channels(pixels: PixelArray) -> PixelArray:
    """Return (H, W, 3) from (H, W), (H, W, 1), (H, W, 2: grey and alpha) or (H, W, C >= 3)."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3:
        raise ValueError(f"{pixels.ndim} dimensions, where an image has 2 or 3")
    bands = pixels[..., :1] if pixels.shape[-1] < 3 else pixels[..., :3]
    return np.ascontiguousarray(np.broadcast_to(bands, (*bands.shape[:2], 3)))


def chosen_channels(bands: PixelArray, channels: tuple[int, ...]) -> PixelArray:
    """Return (H, W, 3) of (H, W, C): one channel grey, two as red and green, three as red, green and blue."""
    picked = bands[..., [channel - 1 for channel in channels]]
    if len(channels) == 2:
        picked = np.concatenate([picked, np.zeros_like(picked[..., :1])], axis=-1)
    return three_channels(picked)


def upright(pixels: PixelArray, code: int) -> PixelArray:
    """Return stored rows and columns as the EXIF orientation 1 to 8 shows them; other codes mean 1."""
    if code in (2, 4, 5, 7):  # mirrored left to right, before the turn
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 6: 3, 7: 3, 5: 1, 8: 1}.get(code, 0)  # counter-clockwise
    return np.ascontiguousarray(np.rot90(pixels, turns))


def plain_type(values: PixelArray) -> PixelArray:
    """Return values in native byte order as uint8, uint16, uint32, int16, int32 or float32, whichever holds them.

    Decoders widen 16-bit grey to 32 bits; that is undone.
    """
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(np.float32, copy=False)
    if kind not in "ui":
        raise ValueError(f"pixels of type {values.dtype}; save whole numbers or floats")
    if values.dtype.itemsize == 1 and kind == "u":
        return values
    if values.dtype.itemsize == 2 and kind == "u":
        return values.astype(np.uint16, copy=False)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    fitting = (np.uint16, np.uint32) if low >= 0 else (np.int16, np.int32)
    for dtype in fitting:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return values.astype(dtype, copy=False)
    return values.astype(np.float32)


def missing_values(pixels: PixelArray, declared: float | None = None) -> npt.NDArray[np.bool_] | None:
    """Return (H, W) where no value was measured, or ``None`` where all were.

    Missing is what is not finite, the value that the file declares to be no data, numbers beyond 1e30, and the lowest
    value where it is one that programs write for missing ones (-9999, -32768). 8-bit pixels are all taken as they are.
    """
    if pixels.dtype == np.uint8:
        return None
    gaps = np.zeros(pixels.shape, dtype=bool)
    if pixels.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            gaps |= ~(np.abs(pixels) < _HUGE)
    if pixels.dtype.kind in "fi":
        known = pixels[~gaps]
        lowest = float(known.min()) if known.size else 0.0
        if lowest in _MARKS or (pixels.dtype.kind == "i" and lowest == np.iinfo(pixels.dtype).min):
            gaps |= pixels == lowest
    found = np.asarray(gaps.any(axis=-1))
    if declared is not None and _holds(pixels.dtype, declared):
        found |= (pixels == pixels.dtype.type(declared)).all(axis=-1)
    return found if found.any() else None


def declared_share(pixels: PixelArray, declared: float | None) -> float:
    """Return the share of pixels that have the value that the file declares to be no data, in all bands."""
    if declared is None or not _holds(pixels.dtype, declared):
        return 0.0
    return float((pixels == pixels.dtype.type(declared)).all(axis=-1).mean())


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    if dtype.kind == "f":
        return bool(np.isfinite(value))
    return bool(np.isfinite(value)) and value == round(value) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def fill(pixels: PixelArray, gaps: npt.NDArray[np.bool_], few: float = FEW) -> PixelArray:
    """Return pixels with missing ones filled: few by their nearest neighbours, areas by the darkest value known.

    Parameters
    ----------
    pixels
        (H, W, bands).
    gaps
        (H, W) where values are missing.
    few
        Up to which share they are few.

    Raises
    ------
    ValueError
        If all are missing.
    """
    if gaps.all():
        raise ValueError("it holds no data: every value is missing")
    filled = pixels.copy()
    if gaps.mean() <= few:
        from scipy import ndimage

        rows, columns = ndimage.distance_transform_edt(gaps, return_distances=False, return_indices=True)
        filled[gaps] = pixels[rows[gaps], columns[gaps]]
    else:
        filled[gaps] = pixels[~gaps].min(axis=0)
    return filled


def share_in_words(share: float) -> str:
    """Return a share in per cent.

    Examples
    --------
    >>> share_in_words(0.5), share_in_words(0.012), share_in_words(1e-6)
    ('50%', '1.2%', 'less than 0.1%')
    """
    return f"{share:.0%}" if share >= 0.095 else f"{share:.1%}" if share >= 0.00095 else "less than 0.1%"
