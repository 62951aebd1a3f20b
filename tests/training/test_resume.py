import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dotcount import config
from dotcount.training import ResumeError, train

from .helpers import rows_without_times


def test_a_run_killed_at_any_moment_ends_like_one_that_was_not(tiny, tmp_path):
    config.save_yaml(tiny(training__epochs=4), tmp_path / "request.yaml")
    script = Path(__file__).with_name("sessions.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path / "request.yaml", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7, done.stdout
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert rows_without_times(killed) == rows_without_times(whole)
    assert len(rows_without_times(whole)) == 5
    expected, found = (load_file(run / "model" / "model.safetensors") for run in (whole, killed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (whole / "config.yaml").read_bytes() == (killed / "config.yaml").read_bytes()
    assert {p.name for p in killed.iterdir()} <= {p.name for p in whole.iterdir()} | {"last.ckpt.tmp"}


def test_resuming_a_finished_run_does_nothing(finished, capsys):
    before = {p: p.stat().st_mtime_ns for p in finished.run.rglob("*")}
    again = train(finished.config, finished.run, resume=True)
    assert "already finished after 3 epochs; nothing to do" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in finished.run.rglob("*")} == before
    assert again == finished.result


def test_a_used_folder_needs_resume(finished):
    with pytest.raises(ResumeError, match=r"already holds a run; continue it with --resume, or choose another --out"):
        train(finished.config, finished.run, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimizer.learning_rate=0.01", r"optimizer.learning_rate = 0.001, the request 0.01"),
        ("training.epochs=4", r"training.epochs = 3, the request 4"),
        ("loss.options.epsilon=0.02", r"loss.options.epsilon = 0.01, the request 0.02"),
        ("model.name=mcnn", r"model.name = 'compact', the request 'mcnn'"),
    ],
)
def test_a_changed_configuration_is_refused(tiny, finished, change, message):
    with pytest.raises(ResumeError, match=message):
        train(tiny(change), finished.run, resume=True, progress=False)


def test_settings_of_the_machine_may_change(tiny, finished):
    changed = tiny("training.workers=1", "training.cache_mb=1", "training.device=auto")
    assert train(changed, finished.run, resume=True, progress=False) == finished.result


def test_nothing_to_resume_starts_a_run(tiny, tmp_path, capsys):
    train(tiny(training__epochs=1), tmp_path / "run", resume=True)
    said = capsys.readouterr().err
    assert "no run to resume; starting a new one" in said
    assert "epoch 1/1  loss" in said
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_changed_data_is_refused(tiny, scenes, tmp_path):
    copy = tmp_path / "scenes"
    shutil.copytree(scenes, copy)
    train(tiny(data__path=str(copy), training__epochs=1), tmp_path / "run", progress=False)
    shutil.rmtree(tmp_path / "run" / "model")
    dots = copy / "train" / "dots.csv"
    dots.write_text(dots.read_text() + "00.png,1,1\n")
    with pytest.raises(ResumeError, match="images or dots have changed"):
        train(tiny(data__path=str(copy), training__epochs=1), tmp_path / "run", resume=True, progress=False)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "pickle"])
def test_a_damaged_checkpoint_is_named(tiny, finished, tmp_path, content):
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    if content == "pickle":  # weights_only refuses what would run code
        torch.save({"run": {}, "code": subprocess.Popen}, run / "last.ckpt")
    else:
        (run / "last.ckpt").write_bytes(content)
    with pytest.raises(ResumeError, match=r"last\.ckpt: not a usable checkpoint") as caught:
        train(finished.config, run, resume=True, progress=False)
    assert "\n" not in str(caught.value)
