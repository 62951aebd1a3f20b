from __future__ import annotations

import pytest
import torch

from dotcount.losses._cells import image_cells
from dotcount.losses.base import check_batch


def cells(stride, size=None, h=4, w=5):
    density = torch.arange(float(h * w)).reshape(1, 1, h, w)
    return image_cells(check_batch(density, [torch.zeros(0, 2)], stride, size and [size], None), 0)


@pytest.mark.parametrize("stride", [4, 8])
def test_centres_lie_at_half_cells(stride):
    whole = cells(stride)
    assert whole.x.tolist() == [stride * (k + 0.5) for k in range(5)]
    assert whole.y.tolist() == [stride * (k + 0.5) for k in range(4)]
    assert whole.extent == (4 * stride, 5 * stride)
    dot = torch.tensor([[stride * 3.5, stride * 1.5]])
    squared = whole.squared_distances(dot)
    assert squared[0, 1, 3] == 0
    assert squared[0, 2, 1] == 5 * stride**2


def test_cells_whose_centre_is_outside_are_left_out():
    part = cells(8, (20, 28))  # the third row's centre lies on the border, the fourth column's too
    assert part.mass.tolist() == [[0, 1, 2], [5, 6, 7]]
    assert cells(8, (3, 3)).mass.numel() == 0


def test_a_dot_belongs_to_the_cell_that_holds_it_or_to_the_nearest():
    part = cells(8, (20, 28))
    dots = torch.tensor([[0.0, 0.0], [8.0, 7.9], [23.0, 15.0], [27.0, 19.0], [-5.0, 100.0]])
    assert part.cell_of(dots).tolist() == [0, 1, 5, 5, 3]
