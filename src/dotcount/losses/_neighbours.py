"""How far each dot is from its neighbours: the size of objects, as far as dots tell it."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree
from torch import Tensor


def neighbour_distances(points: Tensor, neighbours: int) -> Tensor:
    """Return (m,) the mean distance of each dot (m, 2) to its nearest ``neighbours`` others.

    Where there are fewer others it is that to all of them; that of a dot without any other is infinite.

    Examples
    --------
    >>> import torch
    >>> neighbour_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 10.0]]), 1).tolist()
    [5.0, 5.0, 6.0]
    """
    if len(points) < 2:
        return points.new_full((len(points),), float("inf"))
    xy = points.detach().cpu().numpy().astype(np.float64)
    k = min(neighbours, len(xy) - 1)
    distances = KDTree(xy).query(xy, k=k + 1)[0][:, 1:]  # the first is the dot itself
    return points.new_tensor(distances.mean(axis=1))
