"""Predicting, explaining and their pictures decode every image once."""

from collections import Counter

import numpy as np
import pytest
import tifffile

from dotcount.cli.main import main
from dotcount.data import cache, images, open_collection
from dotcount.evaluation import evaluate, reading
from dotcount.metadata import ModelMetadata
from dotcount.prediction import Predictor
from dotcount.report import Report, render
from dotcount.selection import ImageSelection
from tests.prediction.oracles import Bright, write_dotted


@pytest.fixture
def decoded(monkeypatch):
    """Count how often each file is decoded, by whatever reads pixels."""
    seen = Counter()
    real = images.load_image

    def load(path, *args, **options):
        seen[str(path).rsplit("/", 1)[-1]] += 1
        return real(path, *args, **options)

    for module in (images, images.reading, reading, cache):
        monkeypatch.setattr(module, "load_image", load)
    return seen


def test_a_run_with_every_picture_decodes_once(decoded, tmp_path):
    for k in range(3):
        write_dotted(tmp_path / "in" / f"{k}.png", [(3, 3)])
    sinks = ["csv", "overlays", "heatmap", "density", "coco", "imagej"]
    list(Predictor(Bright()).stream(tmp_path / "in", out=tmp_path / "out", sinks=sinks))
    assert decoded == {f"{k}.png": 1 for k in range(3)}


def test_images_sampled_for_the_range_of_their_set_are_not_decoded_again(decoded, tmp_path):
    for k in range(6):
        pixels = np.linspace(0, 900 + k, 48 * 64).reshape(48, 64).astype(np.uint16)
        tifffile.imwrite(tmp_path / f"{k}.tif", pixels)
    counted = [frame.name for frame, _ in Predictor(Bright()).predict_many(tmp_path)]
    assert counted == [f"{k}.tif" for k in range(6)]
    # The first ones were at hand, since decoding is ahead, before the range was needed.
    assert all(decoded[f"{k}.tif"] == 1 for k in range(3, 6))
    assert max(decoded.values()) <= 2


def test_no_more_sampled_images_are_kept_than_there_is_room_for(decoded, tmp_path):
    for k in range(3):
        tifffile.imwrite(tmp_path / f"{k}.tif", np.full((10, 10), k, np.uint16))
    sampled, one = cache.SampledImages(0.0012), ImageSelection()  # two images of 600 bytes
    for k in range(3):
        sampled.sample(tmp_path / f"{k}.tif", one)
    got = [int(sampled.take(tmp_path / f"{k}.tif", one).pixels[0, 0, 0]) for k in (2, 0, 1, 0)]
    assert got == [2, 0, 1, 0]
    assert decoded == {"0.tif": 2, "1.tif": 1, "2.tif": 2}


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
