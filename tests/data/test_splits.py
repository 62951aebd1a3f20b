from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dotcount.data import Collection, Record, assign_splits, open_collection, write_splits
from dotcount.errors import DataError, InputError, OutputError
from dotcount.points import Points

from .layouts import picture, spots, vgg_cells, write_csv


def collection_of(names: list[str]) -> Collection:
    return Collection(Path(), "x", "test", tuple(Record(Path(n), n, Points.empty(5, 5)) for n in names))


@given(st.lists(st.integers(0, 9), min_size=40, max_size=120), st.integers(0, 5))
def test_groups_stay_together_and_shares_are_kept(sites: list[int], seed: int) -> None:
    names = [f"site{site}/{k}.png" for k, site in enumerate(sites)]
    if len(set(sites)) < 3:
        return
    split = assign_splits(collection_of(names), by="folder", seed=seed)
    by_site: dict[str, set[str | None]] = {}
    for record in split.records:
        by_site.setdefault(record.name.split("/")[0], set()).add(record.split)
    assert all(len(parts) == 1 for parts in by_site.values())
    assert set(split.splits) == {"train", "val", "test"}


def test_shares_of_single_images() -> None:
    split = assign_splits(collection_of([f"{k}.png" for k in range(200)]), {"train": 0.8, "test": 0.2}, seed=3)
    assert {s: len(split.split(s)) for s in split.splits} == {"train": 160, "test": 40}


def test_the_draw_depends_on_names_and_seed_alone() -> None:
    names = [f"{k}.png" for k in range(50)]

    def drawn(order: list[str], seed: int) -> dict[str, str | None]:
        return {r.name: r.split for r in assign_splits(collection_of(order), seed=seed).records}

    assert drawn(names, 1) == drawn(names[::-1], 1)
    assert drawn(names, 1) != drawn(names, 2)


def test_order_cuts_runs_and_knows_numbers() -> None:
    split = assign_splits(collection_of([f"frame{k}.png" for k in range(20)]), {"train": 0.5, "test": 0.5}, by="order")
    assert [r.name for r in split.split("test").records] == [f"frame{k}.png" for k in range(10, 20)]


def test_a_pattern_names_the_group() -> None:
    names = [f"plate{p}_well{w}.png" for p in range(6) for w in range(4)]
    split = assign_splits(collection_of(names), by=r"(plate\d+)_")
    for plate in range(6):
        assert len({r.split for r in split.records if r.name.startswith(f"plate{plate}_")}) == 1


def test_time_comes_from_exif(tmp_path: Path) -> None:
    records = []
    for k in range(6):
        exif = Image.Exif()
        exif[0x0132] = f"2024:01:{10 - k:02d} 12:00:00"
        records.append(Record(picture(tmp_path / f"{k}.jpg", exif=exif), f"{k}.jpg", Points.empty(40, 30)))
    collection = Collection(tmp_path, "x", "test", tuple(records))
    split = assign_splits(collection, {"train": 0.5, "test": 0.5}, by="time")
    assert {r.name for r in split.split("train").records} == {"3.jpg", "4.jpg", "5.jpg"}  # taken first
    picture(tmp_path / "0.jpg")
    with pytest.raises(DataError, match=r"0\.jpg does not tell when it was taken"):
        assign_splits(collection, by="time")


@pytest.mark.parametrize(
    ("fractions", "by", "error", "message"),
    [
        ({"train": 0.5, "test": 0.4}, "image", InputError, "add up to 1"),
        ({"train": 1.5, "test": -0.5}, "image", InputError, "positive"),
        (None, "folder", DataError, "1 groups by 'folder' can't fill 3 splits"),
        (None, "(", InputError, "regular expression"),
        (None, r"plate(\d)", DataError, "has no group"),
    ],
)
def test_wrong_requests(fractions: dict | None, by: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        assign_splits(collection_of([f"{k}.png" for k in range(9)]), fractions, by=by)


def labelled(root: Path, n: int = 10) -> Path:
    for k in range(n):
        picture(root / f"{k}.png", seed=k)
        write_csv(root / f"{k}.csv", spots(k, seed=k))
    return root


def test_a_manifest_is_written_and_obeyed(tmp_path: Path) -> None:
    labelled(tmp_path)
    split = assign_splits(open_collection(tmp_path), {"train": 0.6, "test": 0.4})
    write_splits(split, tmp_path / "splits.csv")
    rows = list(csv.DictReader((tmp_path / "splits.csv").open()))
    assert len(rows) == 10
    assert rows[3]["sha256"] == hashlib.sha256((tmp_path / rows[3]["image"]).read_bytes()).hexdigest()
    again = open_collection(tmp_path)
    assert {r.name: r.split for r in again.records} == {r.name: r.split for r in split.records}
    assert "splits from splits.csv" in again.note
    with pytest.raises(OutputError, match="exists already"):
        write_splits(split, tmp_path / "splits.csv")


def test_a_manifest_overrides_a_benchmark(tmp_path: Path) -> None:
    vgg_cells(tmp_path)
    collection = open_collection(tmp_path)
    turned = collection.where([replace(r, split="val") for r in collection.records])
    write_splits(turned, tmp_path / "splits.csv")
    assert open_collection(tmp_path).splits == ("val",)


@pytest.mark.parametrize("prefix", ["./images/train/", "", "images/train/"])
def test_lists_as_detectors_use_them(tmp_path: Path, prefix: str) -> None:
    for k in range(4):
        picture(tmp_path / f"images/train/{k}.png", seed=k)
        write_csv(tmp_path / f"labels/train/{k}.csv", spots(2, seed=k))
    (tmp_path / "images/train").rename(tmp_path / "images/all")
    (tmp_path / "labels/train").rename(tmp_path / "labels/all")
    names = [f"{prefix.replace('train', 'all')}{k}{'.png' if prefix else ''}\n" for k in range(4)]
    (tmp_path / "train.txt").write_text("".join(names[:3]))
    (tmp_path / "test.txt").write_text(names[3])
    assert [r.split for r in open_collection(tmp_path).records] == ["train"] * 3 + ["test"]


def test_other_texts_are_no_lists(tmp_path: Path) -> None:
    labelled(tmp_path, 3)
    (tmp_path / "train.txt").write_text("how we trained the annotators\nby hand\n")
    assert open_collection(tmp_path).splits == ()


def test_wrong_lists_are_reported(tmp_path: Path) -> None:
    labelled(tmp_path, 4)
    rows = ["image,split", "0.png,train", "0.png,test", "1.png,train", "gone.png,test", "2.png,test"]
    (tmp_path / "splits.csv").write_text("\n".join(rows))
    collection = open_collection(tmp_path, strict=False)
    messages = [p.message for p in collection.problems]
    assert len(messages) == 3
    assert "lists image '0.png' as train and as test" in messages[0]
    assert "'gone.png', which is not there" in messages[1]
    assert "no split for 1 images, the first 3.png" in messages[2]
    with pytest.raises(DataError, match="keep one"):
        open_collection(tmp_path)
    (tmp_path / "splits.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="needs the columns image and split"):
        open_collection(tmp_path)


def test_counts_are_whole_in_the_manifest(tmp_path: Path) -> None:
    collection = open_collection(labelled(tmp_path, 3))
    split = collection.where([replace(r, split="train") for r in collection.records])
    write_splits(split, tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    np.testing.assert_array_equal([int(r["count"]) for r in rows], [0, 1, 2])
