"""The density of an image that is too large for the memory: read in bands, counted in tiles, kept on the disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from dotcount.data.windows import Windows
from dotcount.density import Tile, grid_shape, tiles
from dotcount.errors import InputError
from dotcount.inference.features import FeaturePool
from dotcount.inference.result import NetworkOutput
from dotcount.inference.runtimes import Runtime
from dotcount.inference.tiling import TILE

IN_MEMORY = 2**26
"""Densities of up to this many bytes are kept in memory; larger ones in a file without a name."""

BAND_BYTES = 2**28
"""Most bytes of pixels that are decoded at a time."""


def streamed_output(
    runtime: Runtime,
    windows: Windows,
    brightness: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]],
    *,
    tile: int | None = None,
    mirror: bool = False,
    progress: Callable[[float], None] | None = None,
) -> NetworkOutput:
    """Return what a network says of an image of any size; see :func:`dotcount.inference.density_of`, which it equals.

    Parameters
    ----------
    runtime
        What runs the network.
    windows
        The image as the network is to see it, in stored values.
    brightness
        From stored values to float32 in [0, 1].
    tile
        Side of the tiles' cores, px; absent or 0: 1,024, for the sake of the memory.
    mirror
        Count the mirror image as well.
    progress
        Called with the share that is done, after each tile.

    Returns
    -------
    NetworkOutput
        Its density, (rows, columns) float32, is the map of a file where it is large.

    Raises
    ------
    InputError
        If a cell of the model depends on the whole image.
    """
    height, width = windows.shape[:2]
    margin, stride = runtime.receptive_radius, runtime.stride
    if margin is None:
        raise InputError(
            f"model {runtime.model} sees the whole image, which does not fit into memory; cut it into parts, and know "
            "that each is then counted by itself"
        )
    density = room(grid_shape(height, width, stride))
    size = tile or TILE
    places = list(tiles(height, width, size=size, overlap=margin, multiple=runtime.size_multiple))
    pool, light, done = FeaturePool(runtime.size_multiple, height, width), 0.0, 0
    for _, row in groupby(places, key=lambda t: t.core_top):
        band = list(row)
        for part in _affordable(band, width * 3 * windows.dtype.itemsize):
            left, right = min(t.left for t in part), max(t.right for t in part)
            pixels = windows[band[0].top : band[0].bottom, left:right]
            for t in part:
                image = brightness(pixels[:, t.left - left : t.right - left])
                maps, features = runtime.density_and_features(image[None], mirror=mirror)
                pool.add([one[0] for one in features], t)
                _keep(density, t, maps[0], stride)
                light += float(_core(image, t).sum(dtype=np.float64))
                done += 1
                if progress is not None:
                    progress(done / len(places))
    return NetworkOutput(density, pool.features(), light / (height * width * 3))


def room(shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return zeros in memory, or in a file that is gone when they are."""
    if shape[0] * shape[1] * 4 <= IN_MEMORY:
        return np.zeros(shape, dtype=np.float32)
    with tempfile.TemporaryFile() as file:  # the map stays when the file is closed
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def _affordable(band: list[Tile], row_bytes: int) -> list[list[Tile]]:
    """Return the tiles of a band in groups whose pixels are decoded together."""
    rows = band[0].bottom - band[0].top
    number = max(1, -(-rows * row_bytes // BAND_BYTES))
    size = -(-len(band) // number)
    return [band[k : k + size] for k in range(0, len(band), size)]


def _core(image: npt.NDArray[np.float32], t: Tile) -> npt.NDArray[np.float32]:
    return image[t.core_top - t.top : t.core_bottom - t.top, t.core_left - t.left : t.core_right - t.left]


def _keep(density: npt.NDArray[np.float32], t: Tile, window: npt.NDArray[np.float32], stride: int) -> None:
    rows, columns = grid_shape(t.core_bottom - t.core_top, t.core_right - t.core_left, stride)
    r, c = t.core_top // stride, t.core_left // stride
    r_in, c_in = (t.core_top - t.top) // stride, (t.core_left - t.left) // stride
    density[r : r + rows, c : c + columns] = window[r_in : r_in + rows, c_in : c_in + columns]
