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


def helps(guess, truth):
    if len(guess) < 2:
        return False
    scaled = np.array(slow_held_out(guess, truth))
    return np.abs(scaled - truth).mean() < np.abs(np.subtract(guess, truth)).mean()


@given(st.lists(st.tuples(st.floats(0.1, 500), st.floats(1, 500)), min_size=5, max_size=12))
def test_no_image_has_a_say_in_its_own_factor_nor_in_whether_there_is_one(pairs):
    guess, truth = np.array(pairs).T
    fitted = fit_count_scale(guess, truth)
    ratio = truth.sum() / guess.sum()
    if not 0.5 <= ratio <= 2:
        assert (fitted.scale, fitted.held_out.tolist()) == (1.0, guess.tolist())
        return
    assert fitted.scale == pytest.approx(ratio if helps(guess, truth) else 1.0)
    scaled = slow_held_out(guess, truth)
    for k, count in enumerate(fitted.held_out):
        used = helps(np.delete(guess, k), np.delete(truth, k))
        assert count == pytest.approx(scaled[k] if used else guess[k])


def test_an_image_that_alone_makes_the_factor_useful_is_not_scaled_itself():
    guess, truth = np.array([10.0, 20, 30, 20, 80]), np.array([10.0, 20, 30, 20, 100])
    fitted = fit_count_scale(guess, truth)
    assert fitted.held_out[4] == 80
    assert fitted.held_out.tolist() == guess.tolist()


def drawn(rng, n, factor, scatter=0.25):
    true = rng.integers(5, 120, n).astype(float)
    return (true / factor * np.exp(rng.normal(-(scatter**2) / 2, scatter, n))), true


def test_the_error_is_the_scatter_of_the_factor_over_draws():
    rng = np.random.default_rng(5)
    found = [fit_count_scale(*drawn(rng, 20, 1.2), always=True) for _ in range(400)]
    scales = np.array([one.scale for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(scales.std() / scales.mean(), rel=0.15)
    assert fit_count_scale([5, 5], [50, 50]).error is None


def test_few_images_move_a_scale_less_unless_it_is_far_off():
    rng, prior = np.random.default_rng(6), 0.1
    for factor, gain in [(1.05, 0.95), (1.5, 1.05)]:
        draws = [drawn(rng, 20, factor) for _ in range(400)]
        plain, shrunk = (
            np.array([fit_count_scale(*one, always=True, prior=p).scale for one in draws]) / factor - 1
            for p in (None, prior)
        )
        assert np.sqrt((shrunk**2).mean()) < gain * np.sqrt((plain**2).mean())
    guess, truth = drawn(rng, 9, 1.2)
    fitted = fit_count_scale(guess, truth, always=True, prior=prior)
    for k in range(9):
        others = fit_count_scale(np.delete(guess, k), np.delete(truth, k), always=True, prior=prior)
        assert fitted.held_out[k] == pytest.approx(others.scale * guess[k])
    assert fit_count_scale([4, 5], [5, 5], always=True, prior=prior).held_out.tolist() == [4, 5]


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
