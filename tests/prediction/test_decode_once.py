"""Predicting, explaining and their pictures decode every image once."""

from collections import Counter

import pytest

from dotcount.cli.main import main
from dotcount.prediction import Predictor, sources
from tests.prediction.oracles import Bright, write_dotted


@pytest.fixture
def decoded(monkeypatch):
    """Count how often each file is decoded, by whatever reads pixels."""
    from dotcount.data.images import reading

    seen = Counter()
    real = reading.load_image

    def load(path, *args, **options):
        seen[str(path).rsplit("/", 1)[-1]] += 1
        return real(path, *args, **options)

    monkeypatch.setattr(reading, "load_image", load)
    monkeypatch.setattr(sources.images, "load_image", load)
    return seen


def test_a_run_with_every_picture_decodes_once(decoded, tmp_path):
    for k in range(3):
        write_dotted(tmp_path / "in" / f"{k}.png", [(3, 3)])
    sinks = ["csv", "overlays", "heatmap", "density", "coco", "imagej"]
    list(Predictor(Bright()).stream(tmp_path / "in", out=tmp_path / "out", sinks=sinks))
    assert decoded == {f"{k}.png": 1 for k in range(3)}


def test_explaining_decodes_once(decoded, tmp_path):
    image = write_dotted(tmp_path / "a.png", [(30, 30)], size=(64, 64))
    (tmp_path / "dots.csv").write_text("x,y\n30,30\n")
    words = ["explain", "cells", image, "--dots", tmp_path / "dots.csv", "--out", tmp_path / "why", "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    assert decoded == {"a.png": 1}
