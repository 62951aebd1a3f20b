"""Predicting, explaining and their pictures decode every image once."""

from collections import Counter

import pytest

from dotcount.cli.main import main
from dotcount.data import images, open_collection
from dotcount.evaluation import evaluate, reading
from dotcount.metadata import ModelMetadata
from dotcount.prediction import Predictor, sources
from dotcount.report import Report, render
from tests.prediction.oracles import Bright, write_dotted


@pytest.fixture
def decoded(monkeypatch):
    """Count how often each file is decoded, by whatever reads pixels."""
    seen = Counter()
    real = images.load_image

    def load(path, *args, **options):
        seen[str(path).rsplit("/", 1)[-1]] += 1
        return real(path, *args, **options)

    for module in (images, images.reading, reading, sources.images):
        monkeypatch.setattr(module, "load_image", load)
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


def test_evaluating_and_its_report_decode_once(decoded, tmp_path):
    rows = ["image,x,y"]
    for k in range(3):
        write_dotted(tmp_path / "in" / f"{k}.png", [(9 + 8 * i, 9) for i in range(k)])
        rows += [f"{k}.png,{9 + 8 * i},9" for i in range(k)] or [f"{k}.png,,"]
    (tmp_path / "in" / "dots.csv").write_text("\n".join(rows) + "\n")
    collection = open_collection(tmp_path / "in")
    decoded.clear()
    result = evaluate(Predictor(Bright()), collection, None)
    render(Report("title", "subtitle", result, metadata=ModelMetadata(model="Bright", stride=4)))
    assert decoded == {f"{k}.png": 1 for k in range(3)}
