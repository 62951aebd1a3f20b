import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.config import ScheduleConfig
from dotcount.training.schedule import cooldown_epochs, rate_factor

NAMES = ("trapezoid", "cosine", "polynomial", "constant")


def course(total, cooldown=0, **settings):
    return [rate_factor(ScheduleConfig(**settings), step, total, cooldown) for step in range(total)]


def test_trapezoid_warms_up_stays_and_falls_linearly_to_its_last_step():
    assert course(10, 4, name="trapezoid", warmup_steps=2) == [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_cosine_is_at_half_in_the_middle_and_polynomial_follows_its_power():
    assert course(11, name="cosine", warmup_steps=0)[5] == pytest.approx(0.5, abs=0.1)
    assert course(10, name="polynomial", warmup_steps=0, power=0.9) == [
        pytest.approx((1 - t / 10) ** 0.9) for t in range(10)
    ]


def test_constant_is_constant_after_warm_up():
    assert course(5, name="constant", warmup_steps=4) == [0.25, 0.5, 0.75, 1, 1]


@given(st.sampled_from(NAMES), st.integers(1, 200), st.integers(0, 300), st.floats(0, 1), st.integers(0, 199))
def test_the_factor_is_positive_and_falls_after_warm_up(name, total, warmup, cooldown, step):
    steps = round(cooldown * total)
    factors = course(total, steps, name=name, warmup_steps=warmup)
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)


@given(st.integers(1, 100), st.integers(0, 100), st.integers(0, 60))
def test_a_run_that_does_not_know_its_end_takes_the_same_steps_before_the_cool_down(constant, cooldown, warmup):
    schedule = ScheduleConfig(warmup_steps=warmup)
    for step in range(constant):
        assert rate_factor(schedule, step, None) == rate_factor(schedule, step, constant + cooldown, cooldown)


def test_cooldown_is_a_share_unless_given_in_epochs():
    assert cooldown_epochs(ScheduleConfig(cooldown=0.4), 10) == 4
    assert cooldown_epochs(ScheduleConfig(cooldown=0.4, cooldown_epochs=7), 10) == 7
    assert cooldown_epochs(ScheduleConfig(cooldown_epochs=7), 5) == 5
    assert cooldown_epochs(ScheduleConfig(name="cosine"), 10) == 0
