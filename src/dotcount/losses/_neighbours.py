"""How far each dot is from its neighbours: the size of objects, as far as dots tell it."""

from __future__ import annotations

from torch import Tensor

from dotcount.points import nearest_distances


def neighbour_distances(points: Tensor, neighbours: int) -> Tensor:
    """Return (m,) the mean distance of each dot (m, 2) to its nearest ``neighbours`` others.

    Where there are fewer others it is that to all of them; that of a dot without any other is infinite.

    Examples
    --------
    >>> import torch
    >>> neighbour_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 10.0]]), 1).tolist()
    [5.0, 5.0, 6.0]
    """
    return points.new_tensor(nearest_distances(points.detach().cpu().numpy(), neighbours))
