import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.calibration import calibrate, checkpoint_to_keep, choose_best, choose_checkpoint
from dotcount.errors import InputError


def slow_choice(candidates, true, power):
    def best(images):
        errors = [sum(abs(row[i] - true[i]) ** power for i in images) for row in candidates]
        return errors.index(min(errors))

    n = len(true)
    held_out = [candidates[best([k for k in range(n) if k != i])][i] for i in range(n)]
    return best(range(n)), held_out


@given(st.integers(1, 5), st.integers(1, 8), st.sampled_from(["mae", "rmse"]), st.integers(0, 10_000))
def test_choices_are_those_of_the_plain_loop(k, n, select, seed):
    rng = np.random.default_rng(seed)
    candidates, true = rng.integers(0, 64, (k, n)) / 8, rng.integers(0, 9, n)  # sums are exact, so ties are ties
    choice = choose_best(candidates, true, select)
    best, held_out = slow_choice(candidates.tolist(), true.tolist(), {"mae": 1, "rmse": 2}[select])
    assert choice.best == best
    assert choice.held_out.tolist() == held_out


def test_an_image_that_decides_is_judged_by_the_other_choice():
    choice = choose_best([[10, 10, 16], [12, 12, 10]], [10, 10, 10])
    assert choice.best == 1
    assert choice.held_out.tolist() == [12, 12, 16]


def test_held_out_counts_give_intervals_that_hold_though_the_best_of_many_was_chosen():
    """Of 15 equally good checkpoints the one with the lowest error on ten images looks better than it is."""
    rng = np.random.default_rng(0)
    held = {"best": [], "held_out": []}
    for _ in range(600):
        true = np.full(110, 100.0)
        counts = true + rng.normal(0, 2.5, 110) + rng.normal(0, 2, (15, 1)) + rng.normal(0, 1.5, (15, 110))
        choice = choose_best(counts[:, :10], true[:10])
        new = counts[choice.best, 10:]
        for name, calibrating in (("best", counts[choice.best, :10]), ("held_out", choice.held_out)):
            interval = calibrate(calibrating, true[:10], level=0.9)
            bounds = np.array([interval.interval(count) for count in new])
            held[name].append(np.mean((bounds[:, 0] <= 100) & (bounds[:, 1] >= 100)))
    # The standard error of each mean is about half a percent.
    assert np.mean(held["best"]) < 0.87
    assert np.mean(held["held_out"]) > 0.885


def slow_checkpoint(errors):
    """The rule in words: the latest epoch within a standard error of the best before it, of errors over 3 epochs."""
    smooth = [errors[max(0, e - 2) : e + 1].mean(axis=0) for e in range(len(errors))]
    best = kept = 0
    for e in range(1, len(smooth)):
        excess = smooth[e] - smooth[best]
        n = len(excess)
        if excess.mean() < 0:
            best = kept = e
        elif excess.mean() <= (excess.std(ddof=1) / n**0.5 if n > 1 else 0):
            kept = e
    return kept


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("select", ["mae", "rmse"])
def test_checkpoints_are_kept_as_by_the_plain_loop(n, select):
    rng = np.random.default_rng(n)
    for _ in range(10):
        true = rng.integers(0, 50, n)
        counts = np.abs(true + rng.normal(0, 5, (25, n)))
        errors = np.abs(counts - true) ** {"mae": 1, "rmse": 2}[select]
        choice = choose_checkpoint(counts, true, select)
        assert choice.best == slow_checkpoint(errors) == checkpoint_to_keep(counts, true, select)
        if n > 1:
            kept = [slow_checkpoint(np.delete(errors, i, axis=1)) for i in range(n)]
            np.testing.assert_allclose(choice.held_out, counts[kept, range(n)])


def test_what_is_kept_while_training_is_what_is_kept_in_the_end():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 50, 6)
    counts = np.abs(true + rng.normal(0, 5, (30, 6)))
    kept = max(e for e in range(30) if checkpoint_to_keep(counts[: e + 1], true) == e)
    assert kept == choose_checkpoint(counts, true).best


def test_luck_on_few_images_does_not_keep_an_early_epoch():
    """The true error falls from 12 to 6; of 40 noisy validations on 8 images the lowest is often an early one."""
    rng, excess = np.random.default_rng(0), {"lowest": [], "kept": []}
    spread = 6 + 6 * np.exp(-np.arange(40) / 10)
    for _ in range(200):
        image, epoch = rng.normal(size=8), rng.normal(size=(40, 8))
        errors = spread[:, None] * (0.8 * image + 0.6 * epoch)
        counts = 100 + errors
        excess["lowest"].append(spread[choose_best(counts, [100] * 8).best] - spread[-1])
        excess["kept"].append(spread[checkpoint_to_keep(counts, [100] * 8)] - spread[-1])
    assert np.mean(excess["kept"]) < np.mean(excess["lowest"]) / 3
    assert np.quantile(excess["kept"], 0.95) < np.quantile(excess["lowest"], 0.95) / 2


def test_a_ruined_end_is_not_kept():
    rng = np.random.default_rng(0)
    true = rng.integers(20, 60, 8)
    counts = true + rng.normal(0, 2, (20, 8))
    counts[-4:] += 40
    assert 8 <= checkpoint_to_keep(counts, true) <= 15


def test_no_image_is_no_error():
    choice = choose_best(np.zeros((3, 0)), [])
    assert (choice.best, choice.held_out.size) == (0, 0)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [([], "k, n"), ([1.0, 2.0], "k, n"), ([[1.0, 2.0, 3.0]], "one value per image"), ([[1.0, -2.0]], "negative")],
)
def test_wrong_candidates_are_errors(candidates, message):
    with pytest.raises(InputError, match=message):
        choose_best(candidates, [1, 2])
