import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dotcount import config
from dotcount.errors import ConfigError
from dotcount.training import train
from dotcount.training.budget import (
    LEAST_EPOCHS,
    MOST_RESERVED,
    VALIDATION_SHARE,
    Pace,
    fit_cooldown,
    fit_epoch,
    overrun,
    reserve,
)
from dotcount.training.folder import read_checkpoint

from .helpers import rows_without_times


def test_a_cheap_validation_leaves_the_epoch_alone():
    assert fit_epoch(Pace(step=0.1, validation=0.1), 600, 50) == (50, 1)


def test_a_dear_validation_lengthens_the_epoch():
    steps, every = fit_epoch(Pace(step=0.1, validation=3), 1200, 50)
    assert (steps, every) == (170, 1)


def test_a_small_budget_shortens_the_epoch():
    steps, every = fit_epoch(Pace(step=1, validation=0.1), 60, 50)
    assert steps * LEAST_EPOCHS <= 60
    assert every == 1


def test_where_both_fail_validation_is_made_rarer():
    assert fit_epoch(Pace(step=1, validation=2), 60, 50) == (3, 4)


@given(st.floats(1e-3, 10), st.floats(0, 100), st.floats(10, 1e4), st.integers(1, 500))
def test_an_epoch_has_steps_and_the_shortest_budget_still_validates(step, validation, budget, steps):
    fitted, every = fit_epoch(Pace(step, validation), budget, steps)
    assert fitted >= 1
    assert 1 <= every <= LEAST_EPOCHS // 3
    if fitted > 1:
        assert fitted * step * LEAST_EPOCHS <= budget * 1.001
    if every < LEAST_EPOCHS // 3:
        allowed = VALIDATION_SHARE / (1 - VALIDATION_SHARE) * fitted * step
        assert validation <= every * allowed * 1.001


@given(st.floats(0.1, 10), st.floats(20, 1000), st.floats(0, 1))
def test_a_steady_run_cools_down_as_asked_and_ends_with_its_budget(epoch, budget, share):
    elapsed, done, fitted = 0.0, 0, None
    while fitted is None:
        done, elapsed = done + 1, elapsed + epoch
        fitted = fit_cooldown(budget, elapsed, done, epoch, share)
    total, cooldown = fitted
    assert total - cooldown == done
    assert budget - 1.001 * epoch <= total * epoch <= budget + 1.501 * epoch  # the cool-down has at least one epoch
    assert abs(cooldown * epoch - share * budget) <= 2.001 * epoch


def test_the_end_of_a_run_is_reserved():
    training = config.TrainingConfig(try_magnify=[1.0, 2.0], try_mirror=True)
    plain = reserve(1e5, 30.0, 1000, config.TrainingConfig())
    assert plain > 2 * 30 + 10
    assert reserve(1e5, 30.0, 1000, training) - plain >= 6 * 30
    assert reserve(60.0, 30.0, 1000, training) == MOST_RESERVED * 60


def test_a_budget_that_the_end_alone_exceeds_is_told_before_it_is_spent(tiny, tmp_path, monkeypatch, heard):
    training = config.TrainingConfig()
    assert overrun(Pace(0.1, 1.0), 600.0, 100, training) is None
    said = overrun(Pace(0.1, 30.0), 42.0, 100, training)
    assert said is not None
    assert "takes about 2.4 min: more than is left of 0.7 min" in said
    assert "about 2.9 min in all" in said
    module = sys.modules["dotcount.training.train"]  # the name is the function's, too
    monkeypatch.setattr(module, "measure_pace", lambda *_: Pace(0.01, 30.0))
    train(
        tiny(training__epochs="unset", training__max_minutes=0.02, training__steps_per_epoch="unset"),
        tmp_path / "run",
        listener=heard,
    )
    assert any("than is left of 0.02 min" in message for message in heard.warnings)


def test_a_run_fits_its_budget_and_its_record_repeats_it_exactly(tiny, tmp_path):
    minutes = 0.06
    request = tiny(training__epochs="unset", training__max_minutes=minutes, training__steps_per_epoch="unset")
    result = train(request, tmp_path / "timed")
    recorded = config.load(tmp_path / "timed" / "config.yaml")
    state = read_checkpoint(tmp_path / "timed")["run"]
    # A loaded machine may starve any epoch, but the last was begun within the budget, or else it was the second.
    assert result.epochs == 2 or state["history"][-2]["elapsed"] < 60 * minutes
    assert recorded.training.max_minutes is None
    assert recorded.schedule.cooldown_epochs >= 1
    assert recorded.training.epochs == state["epochs"]
    if not state["stopped"]:
        cooldown = recorded.schedule.cooldown_epochs * recorded.training.steps_per_epoch
        assert state["history"][-1]["learning_rate"] <= 1.001 * request.optimizer.learning_rate / cooldown
    train(recorded, tmp_path / "counted")
    rows = rows_without_times(tmp_path / "counted")
    assert rows[: result.epochs + 1] == rows_without_times(tmp_path / "timed")


def test_a_timed_run_resumes_with_the_time_that_is_left(tiny, tmp_path):
    request = tiny(training__epochs="unset", training__max_minutes=0.05)
    first = train(request, tmp_path / "run")
    (tmp_path / "run" / "model" / "config.json").unlink()
    again = train(request, tmp_path / "run", resume=True)
    assert again.epochs == first.epochs
    assert again.seconds == first.seconds


def test_other_schedules_need_a_number_of_epochs():
    with pytest.raises(ConfigError, match=r"'schedule.name' is 'cosine'; it must be trapezoid or constant"):
        config.load(None, ["schedule.name=cosine"], training__max_minutes=1)


def test_a_budget_shorter_than_the_first_epoch_still_ends_with_a_model(tiny, tmp_path):
    """Without a validation there would be no weights to keep: the epoch after the first is validated and the last."""
    request = tiny(
        "schedule.name=constant",
        training__epochs="unset",
        training__max_minutes=1e-4,
        training__validate_every=5,
    )
    result = train(request, tmp_path / "run")
    assert (result.epochs, result.best["epoch"]) == (2, 2)
    assert (tmp_path / "run/model/model.safetensors").is_file()


def test_a_timed_run_that_was_killed_resumes_with_either_form_of_its_configuration(tiny, tmp_path):
    """config.yaml gets the fitted epochs when a session begins or ends, which the last checkpoint may not know yet."""
    request = tiny(training__epochs="unset", training__max_minutes=0.05)
    train(request, tmp_path / "run")
    (tmp_path / "run" / "model" / "config.json").unlink()
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert last["run"]["settings"]["training.max_minutes"] == 0.05
    assert config.load(tmp_path / "run" / "config.yaml").training.max_minutes is None
    assert train(request, tmp_path / "run", resume=True).epochs == last["run"]["epochs"]
