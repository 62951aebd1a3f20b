"""The whole way: judge, look, decide, correct; and models that are trained for it."""

from dataclasses import replace

import numpy as np
import pytest

from dotcount.cli.main import main
from dotcount.data import convert, open_collection
from dotcount.data.synthetic import write_dataset

TINY = "model.name=compact model.options.width=4 training.epochs=1 training.steps_per_epoch=1 training.batch_size=2"


@pytest.fixture
def data(tmp_path):
    """Four images; in the first, the dot that is farthest from the others is gone."""
    clean = open_collection(write_dataset(tmp_path / "clean", train=2, val=0, test=2, size=96))
    first = clean.records[0]
    gaps = np.linalg.norm(first.points.xy[:, None] - first.points.xy, axis=2) + 100 * np.eye(len(first.points))
    wrong = replace(first, points=first.points.select(np.arange(len(first.points)) != gaps.min(1).argmax()))
    return convert(clean.where([wrong, *clean.records[1:]]), tmp_path / "data")


def audit(*words):
    return main(["audit", *map(str, words)])


def test_an_audit_is_looked_at_decided_and_corrected(data, tmp_path, capsys):
    out = tmp_path / "out"
    assert audit("cells", data, "--out", out) == 0
    told = capsys.readouterr().out
    assert "add a dot at" in told
    assert "--folds" in told
    assert {p.name for p in out.iterdir()} == {"audit.html", "suspicions.csv", "images.csv", "dotcount.json"}
    lines = (out / "suspicions.csv").read_text(encoding="utf-8").splitlines()
    first = next(k for k, line in enumerate(lines) if ",missing," in line)
    lines[first] += "yes"
    (tmp_path / "decisions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ("cells", data, "--out", out, "--decisions", tmp_path / "decisions.csv", "--fix", tmp_path / "fixed")
    assert audit(*words) == 0
    assert open_collection(tmp_path / "fixed").n_dots == open_collection(data).n_dots + 1
    assert audit("cells", data, "--out", out, "--split", "test") == 0
    assert len((out / "images.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_folds_are_trained_once_and_gone_on_with(data, tmp_path, capsys):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text("model: {name: compact}\ndata: {train_images: 1, classes: [x]}\n", encoding="utf-8")
    words = [recipe, data, "--out", out, "--folds", 2, *(w for pair in TINY.split() for w in ("--set", pair))]
    assert audit(*words) == 0
    page = (out / "audit.html").read_text(encoding="utf-8").replace("<wbr>", "")
    assert "Cross-fitted" in page
    assert "The model is too poor to judge" in page
    assert "too poor to judge" in capsys.readouterr().out
    models = sorted(out.glob("folds/*/run/model/model.safetensors"))
    times = [m.stat().st_mtime_ns for m in models]
    assert len(models) == 2
    capsys.readouterr()
    assert audit(*words) == 0
    assert [m.stat().st_mtime_ns for m in models] == times
    assert "already finished" in capsys.readouterr().err
    assert len(open_collection(out.parent / "data")) == 4
    assert audit(*words, "--seed", 1) == 1
    assert "choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--decisions", "x.csv"), "--decisions needs --fix"),
        (("--max-minutes", "1"), "give --folds K"),
        (("--folds", "2"), "cells holds no config.yaml"),
        (("--least", "2"), "from 0 to 1"),
        (("--class", "a", "--fix", "copy"), "all other classes"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(data, tmp_path, capsys, words, told):
    assert audit("cells", data, "--out", tmp_path / "out", *words) == 2
    assert told in capsys.readouterr().err
