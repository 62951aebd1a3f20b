from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dotcount.errors import InputError, UnknownNameError
from dotcount.transport.penalties import PENALTIES, penalty

KINDS = st.builds(penalty, st.sampled_from(sorted(PENALTIES)), st.floats(0.1, 5.0))
ARGUMENTS = st.floats(-12.0, 4.0)


def at(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


@given(KINDS, ARGUMENTS)
def test_conjugate_is_the_supremum_over_ratios_and_taken_at_the_slope(kind, z):
    ratios = torch.linspace(0, 60, 6001, dtype=torch.float64)
    conjugate = float(kind.conjugate(at(z)))
    assert conjugate >= float((z * ratios - kind.primal(ratios)).max()) - 1e-12
    best = kind.slope(at(z))
    assert float(z * best - kind.primal(best)) == pytest.approx(conjugate, rel=1e-9, abs=1e-12)


@given(KINDS, ARGUMENTS)
def test_slope_and_curvature_are_the_derivatives(kind, z):
    if abs(z + 2 * kind.rho) < 1e-3:  # the kink of the quadratic penalty's second derivative
        return
    x = at(z).requires_grad_()
    (first,) = torch.autograd.grad(kind.conjugate(x).sum(), x, create_graph=True)
    assert float(first.detach()) == pytest.approx(float(kind.slope(at(z))), rel=1e-10, abs=1e-12)
    h = 1e-5
    slope = float(kind.slope(at(z + h)) - kind.slope(at(z - h))) / (2 * h)
    assert slope == pytest.approx(float(kind.curvature(at(z))), rel=1e-4, abs=1e-8)


@given(KINDS, ARGUMENTS)
def test_both_at_once_agree_with_one_by_one(kind, z):
    both = kind.conjugate_and_slope(at(z))
    torch.testing.assert_close(both, (kind.conjugate(at(z)), kind.slope(at(z))))


def test_slopes_keep_their_digits_far_below_zero():
    for z in (-0.1, -0.68, -0.7, -22.3, -300.0):
        assert float(penalty("kl", 1.0).conjugate_and_slope(at(z))[1]) == pytest.approx(math.exp(z), rel=1e-14)


@given(KINDS, st.floats(0.0, 10.0), ARGUMENTS)
def test_fenchel_young_is_what_it_says_and_never_negative(kind, ratio, z):
    direct = kind.primal(at(ratio)) + kind.conjugate(at(z)) - z * ratio
    stable = kind.fenchel_young(at(ratio), at(z))
    assert float(stable) >= 0
    torch.testing.assert_close(stable, direct, rtol=1e-9, atol=1e-9)


@given(KINDS, st.floats(-1.0, 2.0), st.floats(1e-9, 1e-6))
def test_fenchel_young_keeps_its_digits_near_zero(kind, z, off):
    ratio = kind.slope(at(z)) * (1 + off)
    if float(ratio) < 0.05:
        return
    exact = 0.5 * (ratio * off) ** 2 / kind.curvature(at(z))  # second order; the direct sum would be pure rounding
    torch.testing.assert_close(kind.fenchel_young(ratio, at(z)), exact, rtol=1e-2, atol=0)


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_doing_nothing_is_free_and_sending_nothing_costs_rho(name):
    kind = penalty(name, 0.7)
    assert float(kind.primal(at(1.0))) == 0
    assert float(kind.conjugate(at(0.0))) == 0
    assert float(kind.primal(at(0.0))) == kind.at_zero == 0.7
    assert float(-kind.conjugate(at(-torch.inf))) == pytest.approx(0.7)


def test_wrong_names_and_strengths_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'quadratic'"):
        penalty("quadratc", 1.0)
    for rho in (0.0, -1.0, float("nan"), 1e31, -float("inf")):
        with pytest.raises(InputError, match="rho must be positive"):
            penalty("kl", rho)
