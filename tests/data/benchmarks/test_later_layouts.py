"""The benchmarks of cars, malls, drones, stained cells and crowns, each from a small copy of its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from dotcount.data import open_collection
from dotcount.data.benchmarks import BENCHMARKS
from dotcount.errors import DataError

from .. import layouts


def counts(collection) -> dict[str, int | None]:  # type: ignore[no-untyped-def]
    return {record.name: record.count for record in collection.records}


def test_trancos(tmp_path: Path) -> None:
    layouts.trancos(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "trancos"
    assert [r.split for r in collection.records] == ["train", "train", "val", "test"]
    assert [r.count for r in collection.records] == [2, 3, 4, 5]
    assert all(np.all(r.points.xy % 1 == 0.5) for r in collection.records if r.points is not None)
    (tmp_path / "images/image-0-000001dots.png").unlink()
    with pytest.raises(DataError, match=r"image-0-000001\.jpg has no dots"):
        open_collection(tmp_path)


@pytest.mark.parametrize(
    ("folder", "suffix", "name"), [("CARPK_devkit", ".png", "carpk"), ("PUCPR+_devkit", ".jpg", "pucpr")]
)
def test_parking_lots(tmp_path: Path, folder: str, suffix: str, name: str) -> None:
    layouts.parking_lot(tmp_path / folder, suffix)
    for path in (tmp_path / folder, tmp_path / folder / "data", f"{name}:{tmp_path / folder}"):
        collection = open_collection(path)
        assert collection.format == name
        assert [r.split for r in collection.records] == ["train", "train", "test"]
        assert [r.count for r in collection.records] == [1, 0, 3]
    record = collection.records[2]
    assert record.points is not None
    np.testing.assert_array_equal(record.points.xy, [[3, 8], [7, 8], [11, 8]])


def test_a_box_with_corners_in_disorder_is_named(tmp_path: Path) -> None:
    layouts.parking_lot(tmp_path / "CARPK_devkit")
    (tmp_path / "CARPK_devkit/data/Annotations/2016_00001.txt").write_text("1 2 3 4 1\n9 2 3 4 1\n")
    with pytest.raises(DataError, match=r"2016_00001\.txt, line 2: .* is no box"):
        open_collection(tmp_path / "CARPK_devkit")


def test_mall(tmp_path: Path) -> None:
    layouts.mall(tmp_path)
    (tmp_path / "frames/seq_000002.jpg").unlink()
    with pytest.raises(DataError, match="802 frames, 4 are there"):
        open_collection(tmp_path)


def test_mall_with_all_its_frames(tmp_path: Path) -> None:
    layouts.mall(tmp_path, 802)
    for k in range(1, 803):
        if not (path := tmp_path / f"frames/seq_{k:06d}.jpg").exists():
            path.hardlink_to(tmp_path / "frames/seq_000001.jpg")
    collection = open_collection(tmp_path)
    assert collection.format == "mall"
    assert (len(collection.split("train")), len(collection.split("test"))) == (800, 2)
    assert [r.count for r in collection.records[:4]] == [1, 2, 3, 0]
    record = collection.records[801]
    assert record.points is not None
    np.testing.assert_array_equal(record.points.xy, layouts.spots(2, seed=802))


def test_mall_whose_counts_disagree_with_its_heads_is_refused(tmp_path: Path) -> None:
    layouts.mall(tmp_path, 3)
    content = scipy.io.loadmat(tmp_path / "mall_gt.mat")
    scipy.io.savemat(tmp_path / "mall_gt.mat", {"frame": content["frame"], "count": [[1], [5], [3]]})
    with pytest.raises(DataError, match=r"counts and heads disagree \(frame 2\)"):
        open_collection(tmp_path)


def test_bcdata(tmp_path: Path) -> None:
    layouts.bcdata(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "bcdata"
    assert counts(collection)["images/train/0.png"] == 3
    assert counts(collection)["images/validation/1.png"] == 4
    assert {r.split for r in collection.records} == {"train", "val", "test"}
    record = next(r for r in collection.records if r.name == "images/test/1.png")
    assert record.points is not None
    np.testing.assert_array_equal(record.points.xy[0], np.floor(layouts.spots(1, seed=11))[0] + 0.5)
    assert open_collection(tmp_path, classes=["positive"]).n_dots == 3
    (tmp_path / "annotations/train/negative/0.h5").unlink()
    with pytest.raises(DataError, match=r"0\.png has no dots"):
        open_collection(tmp_path)


def test_two_cells_of_one_class_are_not_turned(tmp_path: Path) -> None:
    """A square array looks the same turned; x and y must not change places."""
    import h5py

    layouts.bcdata(tmp_path)
    with h5py.File(tmp_path / "annotations/train/positive/0.h5", "w") as file:
        file["coordinates"] = np.array([[30, 5], [20, 7]])
    record = open_collection(tmp_path, classes=["positive"]).records[0]
    assert record.points is not None
    np.testing.assert_array_equal(record.points.xy, [[30.5, 5.5], [20.5, 7.5]])


def test_visdrone_cc(tmp_path: Path) -> None:
    layouts.visdrone_cc(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "visdrone_cc"
    assert [r.count for r in collection.split("train").records] == [2, 1, 0, 1]
    assert [r.points for r in collection.split("test").records] == [None, None]
    first = collection.records[0]
    assert first.points is not None
    np.testing.assert_array_equal(first.points.xy, [[5.5, 6.5], [20.5, 7.5]])
    assert first.labels == {"sequence": "00001"}
    (tmp_path / "annotations/00002.txt").write_text("2;30;20\n")
    with pytest.raises(DataError, match=r"00002\.txt, line 1: '2;30;20' is not frame,x,y"):
        open_collection(tmp_path)


def test_tree_points(tmp_path: Path) -> None:
    layouts.tree_points(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "tree_points"
    assert [(r.split, r.count) for r in collection.records] == [("train", 1), ("train", None), ("test", 3)]
    assert collection.records[1].points is None  # an incomplete annotation is no count
    text = (tmp_path / "random.csv").read_text()
    (tmp_path / "random.csv").write_text(text + "../tile_0.png,1,1,train,city 0,True\n")
    with pytest.raises(DataError, match="is not the name of an image"):
        open_collection(tmp_path)


@pytest.mark.parametrize("name", ["trancos", "carpk", "pucpr", "mall", "bcdata", "visdrone_cc", "tree_points"])
def test_another_folder_is_refused_with_what_is_expected(tmp_path: Path, name: str) -> None:
    assert not BENCHMARKS.create(name).recognises(tmp_path)
    with pytest.raises(DataError, match="expected"):
        BENCHMARKS.create(name).read(tmp_path)
