from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotcount.data import open_collection, read_pixels
from dotcount.data.synthetic import KINDS, generate, write_dataset
from dotcount.data.synthetic.drawing import blur, paint_box, paint_ellipse, smooth_noise
from dotcount.errors import InputError, OutputError, UnknownNameError


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(index=st.integers(0, 1000), width=st.integers(32, 150), height=st.integers(32, 150))
def test_dots_lie_inside_and_the_scene_has_its_size(kind: str, index: int, width: int, height: int) -> None:
    image, points = generate(kind, 0, index, (width, height))
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    assert (points.width, points.height) == (width, height)
    assert points.inside().all()


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_repeat_by_seed_and_index(kind: str) -> None:
    image, points = generate(kind, 5, 3, 96)
    again, same = generate(kind, 5, 3, 96)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(points.xy, same.xy)
    assert not np.array_equal(image, generate(kind, 5, 4, 96)[0])
    assert not np.array_equal(image, generate(kind, 6, 3, 96)[0])


@pytest.mark.parametrize(
    ("kind", "count", "first", "digest"),
    [
        ("cells", 9, (24.601880424, 116.088944071), "173b95e4e6673bbe"),
        ("crowd", 6, (80.724064804, 78.890338793), "432f5a864629fab7"),
    ],
)
def test_scenes_are_the_same_everywhere(kind: str, count: int, first: tuple[float, float], digest: str) -> None:
    """Numbers recorded once: another platform or library version must draw the same scene."""
    image, points = generate(kind, 0, 1, 128)
    assert len(points) == count
    assert tuple(points.xy[0]) == pytest.approx(first, abs=1e-9)
    assert hashlib.sha256((image // 8).tobytes()).hexdigest()[:16] == digest


def test_cells_are_bright_where_their_dots_are() -> None:
    ratios = []
    for index in range(8):
        image, points = generate("cells", 0, index)
        light = image.max(axis=2).astype(float)
        column, row = np.floor(points.xy).astype(int).T
        ratios.append(np.median(light[row, column]) / np.median(light))
    assert min(ratios) > 2


def test_counts_are_as_asked_for() -> None:
    counts = [len(generate("cells", 1, k)[1]) for k in range(30)]
    assert 10 <= min(counts) < 35
    assert 65 < max(counts) <= 95
    assert len(generate("cells", 0, 0, count=(0, 0))[1]) == 0
    few = [len(generate("cells", 1, k, count=(3, 6))[1]) for k in range(10)]
    assert max(few) <= 12


def test_crowds_grow_towards_the_camera_and_some_streets_are_empty() -> None:
    scenes = [generate("crowd", 0, k, 128)[1] for k in range(60)]
    counts = np.array([len(p) for p in scenes])
    assert 1 <= (counts == 0).sum() <= 20
    assert counts.max() > 8
    below = [float((p.xy[:, 1] > 64).mean()) for p in scenes if len(p)]
    assert np.mean(below) > 0.6


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "cell"}, UnknownNameError, "Did you mean 'cells'"),
        ({"size": 8}, InputError, "at least 32"),
        ({"count": (5, 2)}, InputError, "range"),
        ({"seed": -1}, InputError, "negative"),
    ],
)
def test_wrong_arguments(arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        generate(**arguments)


def test_a_written_data_set_reads_back(tmp_path: Path) -> None:
    out = write_dataset(tmp_path / "scenes", "crowd", train=3, val=2, test=12, seed=0, size=64)
    collection = open_collection(out)
    assert collection.format == "csv"
    assert {s: len(collection.split(s)) for s in ("train", "val", "test")} == {"train": 3, "val": 2, "test": 12}
    assert 0 in [r.count for r in collection.records]
    for record in collection.records:
        image, points = generate("crowd", 0, int(record.image.stem), 64)
        np.testing.assert_array_equal(read_pixels(record.image), image)
        assert record.points is not None
        np.testing.assert_array_equal(record.points.xy, points.xy)
    assert list(tmp_path.iterdir()) == [out]


def test_writing_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").touch()
    with pytest.raises(OutputError, match="exists already"):
        write_dataset(tmp_path / "used")
    with pytest.raises(InputError, match="not all 0"):
        write_dataset(tmp_path / "new", train=0, val=0, test=0)
    with pytest.raises(UnknownNameError):
        write_dataset(tmp_path / "new", "crowds")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"can.t write to"):
        write_dataset(tmp_path / "file" / "new", train=1, val=0, test=0, size=32)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "used"]


def test_drawing_tools() -> None:
    canvas = np.zeros((20, 30, 3))
    paint_box(canvas, 2.5, 3.0, 6.0, 5.25, [1.0, 1.0, 1.0])
    assert canvas[..., 0].sum() == pytest.approx(3.5 * 2.25)
    paint_box(canvas, 100, 100, 120, 120, [1.0, 1.0, 1.0])
    disc = np.zeros((40, 40, 3))
    paint_ellipse(disc, 20, 20, 10, 6, [1.0, 1.0, 1.0])
    assert disc[..., 1].sum() == pytest.approx(np.pi * 60, rel=0.03)
    assert disc[..., 1].sum(0).argmax() in (19, 20)
    paint_ellipse(disc, 500, 20, 10, 6, [1.0, 1.0, 1.0])
    spot = np.zeros((31, 31))
    spot[15, 15] = 1
    assert blur(spot, 2.0).sum() == pytest.approx(1.0)
    assert blur(spot, 2.0)[15, 15] == pytest.approx(1 / (2 * np.pi * 4), rel=0.02)
    np.testing.assert_allclose(blur(np.ones((5, 5, 3)), 1.5), 1.0)
    noise = smooth_noise(30, 40, 8, np.random.default_rng(0))
    assert noise.shape == (30, 40)
    assert 0 <= noise.min() < noise.max() <= 1
    assert np.abs(np.diff(noise, axis=1)).max() < 0.3
