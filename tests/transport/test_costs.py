from __future__ import annotations

import math

import pytest
import torch

from dotcount.errors import InputError, UnknownNameError
from dotcount.transport.costs import Cost


@pytest.mark.parametrize(
    ("name", "delta", "expected"),
    [("l1", None, 0.7), ("l2", None, 0.5), ("sql2", None, 0.25), ("wfr", 0.5, -2 * math.log(math.cos(1.0)))],
)
def test_cost_of_a_three_four_five_triangle(name, delta, expected):
    dx, dy = torch.tensor([0.3], dtype=torch.float64), torch.tensor([-0.4], dtype=torch.float64)
    assert float(Cost(name, delta).of_difference(dx, dy)) == pytest.approx(expected, rel=1e-12)
    assert float(dx) == 0.3, "arguments are left alone"


def test_wfr_is_infinite_from_its_reach_on_and_finite_before():
    cost = Cost("wfr", 0.2)
    d = torch.tensor([0.999, 1.0, 3.0], dtype=torch.float64) * cost.reach
    assert torch.isfinite(cost.of_difference(d, torch.zeros(3))).tolist() == [True, False, False]


@pytest.mark.parametrize("name", ["l1", "l2", "sql2"])
def test_blur_inverts_width(name):
    cost = Cost(name)
    assert cost.blur(cost.width(0.03)) == pytest.approx(0.03)


def test_wrong_names_and_lengths_are_refused_with_a_remedy():
    with pytest.raises(UnknownNameError, match="Did you mean 'l2'"):
        Cost("l22")
    with pytest.raises(InputError, match="needs delta > 0"):
        Cost("wfr")
    with pytest.raises(InputError, match="needs delta > 0"):
        Cost("wfr", -1.0)
    with pytest.raises(InputError, match="belongs to cost 'wfr'"):
        Cost("l2", 0.1)
