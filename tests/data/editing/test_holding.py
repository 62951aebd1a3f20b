"""Images that are held out stay held out while more are annotated."""

from __future__ import annotations

from pathlib import Path

import pytest

from dotcount.data.editing import with_held_out
from dotcount.data.editing.holding import ASSISTED, write_names
from dotcount.data.records import Collection, Record
from dotcount.errors import AnnotationError, DataError
from dotcount.points import Points


def collection(root: Path, n: int, split: str | None = None) -> Collection:
    records = [
        Record(root / f"{k}.png", f"{k:03d}.png", Points([[1, 1]] * (k % 5), 9, 9), split if k == 0 else None)
        for k in range(n)
    ]
    return Collection(root, "x", "csv", tuple(records))


def held(found: Collection) -> list[str]:
    return [record.name for record in found.split("val").records]


def test_once_held_out_always_held_out(tmp_path):
    first = held(with_held_out(collection(tmp_path, 6)))
    assert len(first) == 2
    for n in (7, 12, 19):
        assert held(with_held_out(collection(tmp_path, n))) == first
    more = held(with_held_out(collection(tmp_path, 60)))  # two of sixty say little
    assert len(more) == 12
    assert set(first) <= set(more)


def test_images_that_a_model_has_helped_with_are_not_drawn(tmp_path):
    write_names(tmp_path / ".dotcount" / ASSISTED, [f"{k:03d}.png" for k in range(5, 20)])
    assert set(held(with_held_out(collection(tmp_path, 20)))) <= {f"{k:03d}.png" for k in range(5)}


def test_images_that_a_model_has_learnt_from_are_not_drawn_while_there_are_others(tmp_path):
    first = with_held_out(collection(tmp_path, 10))
    learnt = {record.name for record in first.split("train").records}
    assert len(learnt) == 8
    more = set(held(with_held_out(collection(tmp_path, 60))))
    assert len(more) == 12
    assert not more & learnt


def test_a_split_of_the_data_is_kept(tmp_path):
    found = with_held_out(collection(tmp_path, 6, "val"))
    assert held(found) == ["000.png"]
    tested = with_held_out(collection(tmp_path, 6, "test"))
    assert "000.png" not in held(tested)
    assert len(tested.split("test")) == 1
    assert len(tested.split("train")) == 3


def test_too_few_images_and_a_damaged_list(tmp_path):
    with pytest.raises(DataError, match="at least 2"):
        with_held_out(collection(tmp_path, 1))
    write_names(tmp_path / ".dotcount" / ASSISTED, [])
    (tmp_path / ".dotcount" / "held_out.json").write_text('{"a": 1}')
    with pytest.raises(AnnotationError, match="held_out"):
        with_held_out(collection(tmp_path, 6))
