"""``dotcount annotate``: what it says, and what it refuses before it serves."""

from __future__ import annotations

import signal

import pytest
from PIL import Image

from dotcount.cli.main import main
from tests.web.annotating import annotating


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("L", (64, 48)).save(folder / "a.png")
    return folder


def complaint(capsys, *words: object) -> tuple[int, str]:
    code = main(["annotate", *map(str, words)])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return code, error


def test_what_can_not_be_annotated(photos, tmp_path, capsys):
    code, error = complaint(capsys, tmp_path / "nowhere")
    assert code == 1
    assert "nowhere is no folder; check the path" in error
    code, error = complaint(capsys, photos, "--format", "yolo")
    assert code == 2
    assert "data convert" in error
    code, error = complaint(capsys, photos, "--format", "cocoa")
    assert code == 2
    assert "coco" in error
    (tmp_path / "file").touch()
    code, error = complaint(capsys, photos, "--out", tmp_path / "file")
    assert code == 2
    assert "--out" in error
    code, error = complaint(capsys, photos, "--token", "short")
    assert code == 2
    assert "--token" in error


def test_data_and_run_in_the_wrong_places(photos, capsys):
    code, error = complaint(capsys, "cells", "--run", photos)
    assert code == 2
    assert "swapped" in error


def test_one_annotator_at_a_time_and_a_clean_end(photos, capsys):
    with annotating(photos) as (_, process):
        code, error = complaint(capsys, photos)
        assert code == 1
        assert "in use by another annotator" in error
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert "Traceback" not in process.stdout.read()
    assert sorted(path.name for path in photos.iterdir()) == [".dotcount", "a.png"]
