import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.calibration import fit_count_scale
from dotcount.errors import InputError


def slow_held_out(guess, truth):
    rest = [[k for k in range(len(guess)) if k != i] for i in range(len(guess))]
    return [guess[i] * sum(truth[k] for k in r) / sum(guess[k] for k in r) for i, r in enumerate(rest)]


def test_a_constant_share_is_given_back_exactly():
    true = np.array([10.0, 50.0, 120.0, 7.0, 30.0])
    fitted = fit_count_scale(0.8 * true, true)
    assert fitted.scale == pytest.approx(1.25)
    assert fitted.held_out == pytest.approx(true)


def test_it_leaves_no_mean_error():
    rng = np.random.default_rng(0)
    true = rng.integers(5, 200, 40).astype(float)
    guess = 0.75 * true + rng.normal(0, 3, 40)
    fitted = fit_count_scale(guess.clip(0), true)
    assert (fitted.scale * guess.clip(0) - true).mean() == pytest.approx(0, abs=1e-9)
    assert np.abs(fitted.held_out - true).mean() < np.abs(guess - true).mean()


@given(st.lists(st.tuples(st.floats(0.1, 500), st.floats(1, 500)), min_size=5, max_size=30))
def test_held_out_counts_are_those_of_the_plain_loop_and_never_worse_than_none(pairs):
    guess, truth = np.array(pairs).T
    fitted = fit_count_scale(guess, truth)
    slow = np.array(slow_held_out(guess, truth))
    ratio = truth.sum() / guess.sum()
    if 0.5 <= ratio <= 2 and np.abs(slow - truth).mean() < 0.999 * np.abs(guess - truth).mean():
        assert fitted.scale == pytest.approx(ratio)
        assert fitted.held_out == pytest.approx(slow)
    assert np.abs(fitted.held_out - truth).mean() <= np.abs(guess - truth).mean() + 1e-9
    assert 0.5 <= fitted.scale <= 2


@pytest.mark.parametrize(
    ("guess", "truth"),
    [([], []), ([3], [4]), ([0] * 5, [1, 2, 3, 4, 5]), ([1, 2, 3, 4, 5], [0] * 5), ([5] * 5, [5] * 5)],
)
def test_it_stays_at_one_where_nothing_can_be_learned(guess, truth):
    fitted = fit_count_scale(guess, truth)
    assert fitted.scale == 1.0
    assert fitted.held_out == pytest.approx(np.array(guess, dtype=float))


def test_few_images_say_too_little():
    assert fit_count_scale([7, 14, 21, 28], [10, 20, 30, 40]).scale == 1.0
    assert fit_count_scale([7, 14], [10, 20], always=True).scale == pytest.approx(10 / 7)


def test_noise_without_bias_is_not_fitted():
    fitted = fit_count_scale([9, 12, 10, 11, 40, 29], [10, 11, 11, 10, 31, 38])
    assert fitted.scale == 1.0


def test_a_scale_that_raises_the_error_is_fitted_where_asked_for():
    guess, truth = [9, 12, 10, 11, 40, 30], [10, 11, 11, 10, 31, 38]
    assert fit_count_scale(guess, truth).scale == 1.0
    fitted = fit_count_scale(guess, truth, always=True)
    assert fitted.scale == pytest.approx(111 / 112)
    assert fitted.held_out == pytest.approx(slow_held_out(guess, truth))
    assert np.abs(fitted.held_out - truth).mean() > np.abs(np.subtract(guess, truth)).mean()


@pytest.mark.parametrize(("guess", "truth"), [([1, 2], [1]), ([-1, 2], [1, 2]), ([np.nan, 1], [1, 2])])
def test_bad_input_is_refused(guess, truth):
    with pytest.raises(InputError):
        fit_count_scale(guess, truth)
