"""The density of an image of any size, in tiles where it is large, equal to that of the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dotcount.density import Tile, grid_shape, tiles
from dotcount.errors import InputError
from dotcount.inference.features import FeaturePool
from dotcount.inference.runtimes import Runtime, as_runtime
from dotcount.points import FloatArray

if TYPE_CHECKING:
    from torch import nn

FloatMap = npt.NDArray[np.float32]

WHOLE_PIXELS = 3_000_000
"""Images up to this many pixels go through the network in one piece (about 2.5 GB at the peak with VGG-19)."""

TILE = 1024
"""Least side of a tile's core, px, for larger images."""

_MARGINS, _STEP = 4, 256
"""Sides of cores are at least so many margins, in steps of so many px.

A window of core and margins then has at most (1 + 2/4)^2 times the core's pixels. Such a window bounds the memory; how
an image is cut within that bound :func:`cut` says.
"""


def default_tile(margin: int) -> int:
    """Return the side of the tiles' cores, px, for a network with this many px of context.

    >>> default_tile(90), default_tile(485)
    (1024, 2048)
    """
    return max(TILE, -(-_MARGINS * margin // _STEP) * _STEP)


def cut(height: int, width: int, margin: int, multiple: int) -> tuple[int, int]:
    """Return the (height, width) of the tiles' cores, px, with which the network computes the fewest pixels.

    No window has more pixels than one around :func:`default_tile`, or than :data:`WHOLE_PIXELS`.

    Examples
    --------
    Two windows of 2512 x 3000 px, 1.3 times the pixels of the image; with square cores it were 1.7 times.

    >>> cut(3000, 4000, margin=485, multiple=32)
    (3008, 2016)
    """
    margin, side = (-(-length // multiple) * multiple for length in (margin, default_tile(margin)))
    most = max(WHOLE_PIXELS, (side + 2 * margin) ** 2)
    along_height, along_width = (
        [_windows(length, pieces, margin, multiple) for pieces in range(1, -(-length // side) + 1)]
        for length in (height, width)
    )
    return min(
        (total * other_total, (core, other_core))
        for core, largest, total in along_height
        for other_core, other_largest, other_total in along_width
        if largest * other_largest <= most
    )[1]


def _windows(length: int, pieces: int, margin: int, multiple: int) -> tuple[int, int, int]:
    """Return of a side in so many pieces: a core's length, the longest window's, and that of all windows together."""
    core = -(-length // (pieces * multiple)) * multiple
    windows = [min(at + core + margin, length) - max(at - margin, 0) for at in range(0, length, core)]
    return core, max(windows), sum(windows)


def needs_tiles(runtime: Runtime, height: int, width: int, tile: int | None) -> bool:
    """Return whether an image may go through the network in tiles; see :func:`density_of`."""
    margin = runtime.receptive_radius
    if tile is None:
        tile = 0 if height * width <= WHOLE_PIXELS or margin is None else default_tile(margin)
    return tile > 0 and (height > tile or width > tile)


def density_of(
    model: nn.Module | Runtime, image: npt.NDArray[np.float32], *, tile: int | None = None, mirror: bool = False
) -> FloatMap:
    """Return the density map of an image.

    Parameters
    ----------
    model
        What runs the network, or a module with ``.stride`` in eval mode.
    image
        (H, W, 3) float32 RGB in [0, 1].
    tile
        Side of the tiles' cores, px. Absent: one piece up to :data:`WHOLE_PIXELS` pixels, then as :func:`cut` says;
        0: always one piece.
    mirror
        Count the mirror image as well, see :meth:`dotcount.inference.runtimes.Runtime.density`.

    Returns
    -------
    ndarray
        (ceil(H/stride), ceil(W/stride)) float32, expected objects per cell; the sum is the count. Each tile sees the
        model's receptive radius around its core and starts on the network's coarsest grid, so the tiled map equals
        that of the whole image up to rounding of floating-point sums.

    Raises
    ------
    InputError
        If tiles are asked of a model whose cells depend on the whole image: the result would depend on the tiling.

    Examples
    --------
    >>> import numpy as np
    >>> from dotcount import models
    >>> model = models.create("compact", width=4).eval()
    >>> image = np.zeros((64, 48, 3), np.float32)
    >>> density_of(model, image).shape
    (16, 12)
    >>> np.allclose(density_of(model, image), density_of(model, image, tile=32), atol=1e-5)
    True
    """
    return density_and_features(model, image, tile=tile, mirror=mirror)[0]


def density_and_features(
    model: nn.Module | Runtime, image: npt.NDArray[np.float32], *, tile: int | None = None, mirror: bool = False
) -> tuple[FloatMap, FloatArray | None]:
    """Return the density map of an image, and its pooled features from the same pass.

    Parameters
    ----------
    model, image, tile, mirror
        As for :func:`density_of`.

    Returns
    -------
    density, features
        The features (2 C,) are means and standard deviations over the image, see :mod:`dotcount.inference.features`;
        None where the network gives none. In tiles they are those of the whole image, up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from dotcount import models
    >>> density, features = density_and_features(models.create("compact", width=4), np.zeros((64, 48, 3), np.float32))
    >>> density.shape, features.shape
    ((16, 12), (40,))
    """
    runtime = as_runtime(model)
    height, width = image.shape[:2]
    margin, stride = runtime.receptive_radius, runtime.stride
    if not needs_tiles(runtime, height, width, tile):
        return densities_and_features(runtime, image[None], mirror=mirror)[0]
    if margin is None:
        raise InputError(f"model {runtime.model} sees the whole image, so it can't be tiled; leave the tile size out")
    density = np.zeros(grid_shape(height, width, stride), dtype=np.float32)
    pool = FeaturePool(runtime.size_multiple, height, width)
    multiple = runtime.size_multiple
    for t in tiles(height, width, size=tile or cut(height, width, margin, multiple), overlap=margin, multiple=multiple):
        maps, features = runtime.density_and_features(image[None, t.top : t.bottom, t.left : t.right], mirror=mirror)
        pool.add([one[0] for one in features], t)
        rows, columns = grid_shape(t.core_bottom - t.core_top, t.core_right - t.core_left, stride)
        r, c = t.core_top // stride, t.core_left // stride
        r_in, c_in = (t.core_top - t.top) // stride, (t.core_left - t.left) // stride
        density[r : r + rows, c : c + columns] = maps[0, r_in : r_in + rows, c_in : c_in + columns]
    return density, pool.features()


def densities_and_features(
    runtime: Runtime, images: npt.NDArray[np.float32], *, mirror: bool = False
) -> list[tuple[FloatMap, FloatArray | None]]:
    """Return what :func:`density_and_features` does of images (B, H, W, 3), in one piece and one pass."""
    maps, features = runtime.density_and_features(images, mirror=mirror)
    height, width = images.shape[1:3]
    whole, found = Tile(0, 0, width, height, 0, 0, width, height), []
    for k, density in enumerate(maps):
        pool = FeaturePool(runtime.size_multiple, height, width)
        pool.add([one[k] for one in features], whole)
        found.append((density, pool.features()))
    return found
