"""The density of an image of any size, in tiles where it is large, equal to that of the whole image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dotcount.density import grid_shape, tiles
from dotcount.errors import InputError
from dotcount.inference.network import density_maps

FloatMap = npt.NDArray[np.float32]

WHOLE_PIXELS = 3_000_000
"""Images up to this many pixels go through the network in one piece (about 2.5 GB at the peak with VGG-19)."""

TILE = 1024
"""Side of a tile's core, px, for larger images."""


def receptive_margin(model: nn.Module) -> int | None:
    """Return the px of context that make a tile exact, or None if a cell of this model depends on the whole image.

    A model that doesn't say is taken for one that depends on the whole image.
    """
    radius = getattr(model, "receptive_radius", None)
    return None if radius is None else int(radius)


def density_of(
    model: nn.Module, image: npt.NDArray[np.float32], *, tile: int | None = None, mirror: bool = False
) -> FloatMap:
    """Return the density map of an image.

    Parameters
    ----------
    model
        Density regressor with ``.stride``, in eval mode.
    image
        (H, W, 3) float32 RGB in [0, 1].
    tile
        Side of the tiles' cores, px. Absent: one piece up to :data:`WHOLE_PIXELS` pixels, then :data:`TILE`; 0: always
        one piece.
    mirror
        Count the mirror image as well, see :func:`dotcount.inference.density_maps`.

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
    height, width = image.shape[:2]
    margin = receptive_margin(model)
    if tile is None:
        tile = 0 if height * width <= WHOLE_PIXELS or margin is None else TILE
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).unsqueeze(0)
    if tile == 0 or (height <= tile and width <= tile):
        return _map(density_maps(model, pixels.to(device), mirror=mirror))
    if margin is None:
        raise InputError(
            f"model {type(model).__name__} sees the whole image, so it can't be tiled; leave the tile size out"
        )
    stride = int(model.stride)  # type: ignore[arg-type]
    density = np.zeros(grid_shape(height, width, stride), dtype=np.float32)
    for t in tiles(height, width, size=tile, overlap=margin, multiple=int(getattr(model, "size_multiple", stride))):
        piece = pixels[..., t.top : t.bottom, t.left : t.right].to(device)
        window = _map(density_maps(model, piece, mirror=mirror))
        rows, columns = grid_shape(t.core_bottom - t.core_top, t.core_right - t.core_left, stride)
        r, c = t.core_top // stride, t.core_left // stride
        r_in, c_in = (t.core_top - t.top) // stride, (t.core_left - t.left) // stride
        density[r : r + rows, c : c + columns] = window[r_in : r_in + rows, c_in : c_in + columns]
    return density


def _map(density: torch.Tensor) -> FloatMap:
    result: FloatMap = density[0, 0].cpu().numpy()
    return result
