import json

import pytest

from dotcount.cli import demo


@pytest.fixture
def small(monkeypatch):
    """The demo with fewer and smaller images and a smaller network; everything else is the real thing."""
    for name, value in {"TRAIN": 6, "VALIDATION": 2, "TEST": 3, "SIZE": 64}.items():
        monkeypatch.setattr(demo, name, value)
    settings = demo.SETTINGS | {"training__crop": 32, "model__options": {"width": 4}}
    monkeypatch.setattr(demo, "SETTINGS", settings)


def test_the_whole_path(dotcount, small, tmp_path):
    out = tmp_path / "demo"
    code, printed, err = dotcount("demo", "--out", out, "--max-minutes", "0.01")
    assert code == 0, err
    assert {path.name for path in out.iterdir()} == set(demo.PARTS)
    assert json.loads((out / "test" / "metrics.json").read_text())["images"] == 3
    assert (out / "counts" / "counts.csv").exists()
    assert "mean absolute error" in printed
    assert f"Open {out / 'report.html'}" in printed
    assert "Demo: counting cells" in (out / "report.html").read_text(encoding="utf-8")
    demo.clear(out)  # a second demo replaces the first
    assert list(out.iterdir()) == []


def test_it_deletes_nothing_of_others(fails, tmp_path):
    mine = tmp_path / "mine"
    (mine / "data").mkdir(parents=True)
    (mine / "thesis.tex").write_text("years of work")
    assert "holds other files (thesis.tex)" in fails("demo", "--out", mine)
    assert (mine / "data").exists()
    (tmp_path / "file").write_text("")
    assert "is a file" in fails("demo", "--out", tmp_path / "file")
