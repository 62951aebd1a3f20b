from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dotcount.data import Collection, Record
from dotcount.data.checks import check, statistics, suggest
from dotcount.data.checks.statistics import Statistics
from dotcount.points import Points

from ..layouts import picture


def collection_of(*points: Points, classes: tuple[str, ...] = ()) -> Collection:
    records = tuple(
        Record(Path(f"{k}"), f"{k}", p, "train" if k else "test", classes=classes[: len(p)])
        for k, p in enumerate(points)
    )
    return Collection(Path(), "x", "test", records)


def lattice(step: float, n: int = 10, size: int = 400) -> Points:
    x, y = np.meshgrid(np.arange(n) * step + 1, np.arange(n) * step + 1)
    return Points(np.stack([x.ravel(), y.ravel()], axis=1), size, size)


def test_figures_in_numbers() -> None:
    figures = statistics(collection_of(lattice(20.0), Points.empty(300, 500), Points(np.ones((1, 2)), 400, 400)))
    assert figures is not None
    assert (figures.images, figures.dots, figures.empty) == (3, 101, 1)
    assert (figures.count_min, figures.count_median, figures.count_max) == (0, 1.0, 100)
    assert (figures.width, figures.height) == ((300, 400), (400, 500))
    assert figures.spacing == (20.0, 20.0, 20.0)
    assert figures.splits == {"test": (1, 100), "train": (2, 1)}
    assert statistics(collection_of()) is None


@pytest.mark.parametrize(("step", "stride"), [(40.0, 8), (16.0, 8), (15.0, 4), (8.0, 4), (5.0, 2), (3.0, 1)])
def test_stride_keeps_neighbours_apart(step: float, stride: int) -> None:
    figures = statistics(collection_of(lattice(step)))
    assert figures is not None
    suggestions = suggest(figures)
    assert suggestions.stride == stride
    assert suggestions.sigma == pytest.approx(0.3 * step, abs=0.01)
    assert suggestions.crop == 256


@pytest.mark.parametrize(("size", "crop"), [(1000, 256), (256, 256), (255, 224), (100, 96), (20, 20)])
def test_crop_fits_the_smallest_image(size: int, crop: int) -> None:
    figures = statistics(collection_of(Points.empty(size, 2 * size), Points.empty(2000, 2000)))
    assert isinstance(figures, Statistics)
    suggestions = suggest(figures)
    assert (suggestions.crop, suggestions.sigma) == (crop, None)


def test_rare_classes_and_odd_empties_are_reported(tmp_path: Path) -> None:
    records = []
    for k in range(30):
        points = Points.empty(40, 30) if k == 7 else Points(np.random.default_rng(k).random((9, 2)) * (40, 30), 40, 30)
        names = ("common",) * 8 + ("rare" if k == 3 else "common",)
        records.append(Record(picture(tmp_path / f"{k}.png", seed=k), f"{k}.png", points, classes=names[: len(points)]))
    report = check(Collection(tmp_path, "x", "test", tuple(records)))
    kinds = {f.kind: f for f in report.findings}
    assert kinds["empty"].name == "7.png"
    assert "rare 1" in kinds["class_imbalance"].message
    assert report.errors == ()
