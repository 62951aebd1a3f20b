import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dotcount import config
from dotcount.errors import DataError, OutputError
from dotcount.folders import locked
from dotcount.training import ResumeError, train

from .helpers import rows_without_times


def visible(run):
    return {path.name for path in run.iterdir() if not path.name.startswith(".")}


def test_a_run_killed_at_any_moment_ends_like_one_that_was_not(tiny, tmp_path):
    config.save_yaml(tiny(training__epochs=4), tmp_path / "request.yaml")
    script = Path(__file__).with_name("sessions.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path / "request.yaml", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8, done.stdout
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert rows_without_times(killed) == rows_without_times(whole)
    assert len(rows_without_times(whole)) == 5
    expected, found = (load_file(run / "model" / "model.safetensors") for run in (whole, killed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (whole / "config.yaml").read_bytes() == (killed / "config.yaml").read_bytes()
    assert visible(killed) == visible(whole)


def test_resuming_a_finished_run_does_nothing(finished, heard):
    before = {p: p.stat().st_mtime_ns for p in finished.run.rglob("[!.]*")}
    again = train(finished.config, finished.run, resume=True, listener=heard)
    assert "already finished after 3 epochs; nothing to do" in heard.notes[0]
    assert {p: p.stat().st_mtime_ns for p in finished.run.rglob("[!.]*")} == before
    assert again == finished.result


def test_a_used_folder_needs_resume(finished):
    with pytest.raises(ResumeError, match=r"already holds a run; resume it, or choose another `out`"):
        train(finished.config, finished.run)


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
        train(tiny(change), finished.run, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epochs=4", r"config.yaml was changed: it has training.epochs = 4, but last.ckpt .* with 1; restore"),
        ("schedule.cooldown_epochs=1", r"schedule.cooldown_epochs = 1, but .* with 0"),
        ("optimizer.learning_rate=0.01", r"optimizer.learning_rate = 0.01, but .* with 0.001"),
        ("loss.options.epsilon=0.02", r"loss.options.epsilon = 0.02, but .* with 0.01"),
    ],
)
def test_a_configuration_changed_in_the_folder_is_refused(half, tmp_path, change, message):
    """Also where the request agrees with it."""
    run = tmp_path / "run"
    shutil.copytree(half / "run", run)
    changed = config.load(run / "config.yaml", [change])
    config.save_yaml(changed, run / "config.yaml")
    with pytest.raises(ResumeError, match=message):
        train(changed, run, resume=True)


def test_settings_of_the_machine_may_change(tiny, finished):
    changed = tiny("training.workers=1", "training.cache_mb=1", "training.device=auto")
    assert train(changed, finished.run, resume=True) == finished.result


def test_nothing_to_resume_is_refused(tiny, tmp_path):
    with pytest.raises(ResumeError, match="run holds no run to resume; leave resume out to start one there"):
        train(tiny(training__epochs=1), tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def half(tiny, scenes, tmp_path_factory):
    """A run of one epoch on a copy of the data, without its model and report."""
    root = tmp_path_factory.mktemp("half")
    shutil.copytree(scenes, root / "scenes")
    train(tiny(data__path=str(root / "scenes"), training__epochs=1), root / "run")
    shutil.rmtree(root / "run" / "model")
    return root


def one_more_dot(root):
    dots = root / "train" / "dots.csv"
    dots.write_text(dots.read_text() + "00.png,1,1\n")


def darker(root):
    with Image.open(root / "train" / "03.png") as image:
        image.point(lambda value: value // 2).save(root / "train" / "03.png")


def gone(root):
    """A validation image and its dots are removed."""
    (root / "val" / "01.png").unlink()
    dots = root / "val" / "dots.csv"
    dots.write_text("\n".join(line for line in dots.read_text().splitlines() if not line.startswith("01.")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_more_dot, "images or dots have changed since"),
        (darker, r"images have changed since .*: train/03\.png is changed; start a new run"),
        (gone, r"images have changed since .*: val/01\.png is missing"),
    ],
)
def test_changed_data_is_refused(tiny, half, tmp_path, change, message):
    shutil.copytree(half, tmp_path / "copy")
    change(tmp_path / "copy" / "scenes")
    with pytest.raises(ResumeError, match=message):
        train(
            tiny(data__path=str(tmp_path / "copy" / "scenes"), training__epochs=1),
            tmp_path / "copy" / "run",
            resume=True,
        )


def test_copied_data_is_the_same_data(tiny, half, tmp_path):
    """Copies have other times and another place; what is left of the run, its model and its report, is made."""
    shutil.copytree(half, tmp_path / "copy", copy_function=shutil.copyfile)
    run = tmp_path / "copy" / "run"
    (run / "report.html").unlink()
    train(tiny(data__path=str(tmp_path / "copy" / "scenes"), training__epochs=1), run, resume=True)
    assert (run / "model" / "model.safetensors").exists()
    assert (run / "report.html").exists()


def test_a_checkpoint_of_an_older_version_is_resumed(tiny, half, tmp_path):
    shutil.copytree(half, tmp_path / "copy")
    checkpoint = torch.load(tmp_path / "copy" / "run" / "last.ckpt", weights_only=True)
    for name in ("images", "validated"):
        del checkpoint["run"][name]
    torch.save(checkpoint, tmp_path / "copy" / "run" / "last.ckpt")
    request = tiny(data__path=str(tmp_path / "copy" / "scenes"), training__epochs=1)
    assert train(request, tmp_path / "copy" / "run", resume=True).epochs == 1


def test_a_validation_image_that_vanishes_during_the_run_ends_it(tiny, scenes, tmp_path, heard):
    """Without it the epochs could not be compared; put back, the run goes on."""
    root, run = tmp_path / "scenes", tmp_path / "run"
    shutil.copytree(scenes, root)
    image = root / "val" / "02.png"
    request = tiny(data__path=str(root), training__epochs=3, training__cache_mb=0)

    class Remover(type(heard)):
        def epoch_ended(self, state):
            super().epoch_ended(state)
            if state.done == 1:
                image.rename(tmp_path / "kept.png")

    with pytest.raises(DataError, match=r"validation image .*02\.png can't be read any more; .* resume the run"):
        train(request, run, listener=Remover())
    (tmp_path / "kept.png").rename(image)
    assert train(request, run, resume=True).epochs == 3


def test_two_trainings_in_one_folder(tiny, tmp_path):
    """While one trains there, another is refused, to begin as well as to resume."""
    run = tmp_path / "run"
    run.mkdir()
    with locked(run, "training"):  # another open file, as another process would have
        with pytest.raises(OutputError, match="in use by another training"):
            train(tiny(), run)
        config.save_yaml(tiny(), run / "config.yaml")
        with pytest.raises(OutputError, match="in use by another training"):
            train(tiny(), run, resume=True)
    assert not (run / "last.ckpt").exists()


@pytest.mark.slow
def test_a_second_process_is_refused_while_one_trains(tiny, tmp_path):
    """Two real trainings in one folder: the second ends with one line, the first is not disturbed."""
    run, written = tmp_path / "run", tmp_path / "config.yaml"
    config.save_yaml(tiny(training__epochs=400), written)
    command = [
        sys.executable,
        "-m",
        "dotcount",
        "train",
        str(tiny().data.path),
        "--config",
        str(written),
        "--out",
        str(run),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        try:
            while not (run / "last.ckpt").exists():
                assert first.poll() is None, first.stderr.read()
                time.sleep(0.2)
            with pytest.raises(OutputError, match="in use by another training"):
                train(tiny(), run, resume=True)
            assert first.poll() is None
        finally:
            first.kill()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "pickle"])
def test_a_damaged_checkpoint_is_named(tiny, finished, tmp_path, content):
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    if content == "pickle":  # weights_only refuses what would run code
        torch.save({"run": {}, "code": subprocess.Popen}, run / "last.ckpt")
    else:
        (run / "last.ckpt").write_bytes(content)
    with pytest.raises(ResumeError, match=r"last\.ckpt: not a usable checkpoint") as caught:
        train(finished.config, run, resume=True)
    assert "\n" not in str(caught.value)
