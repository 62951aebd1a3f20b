"""Each benchmark is read from a small copy of its real layout, by name and by recognition."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dotcount.data import ResizeRule, open_collection
from dotcount.data.benchmarks import BENCHMARKS
from dotcount.data.formats.masks import DotMask
from dotcount.errors import DataError

from .. import layouts


def test_shanghaitech(tmp_path: Path) -> None:
    written = layouts.shanghaitech(tmp_path / "part_B")
    for path in (tmp_path / "part_B", tmp_path, f"shanghaitech_b:{tmp_path / 'part_B'}"):
        collection = open_collection(path)
        assert collection.format == "shanghaitech_b"
        assert {r.split: len(collection.split(r.split)) for r in collection.records if r.split} == {
            "train": 3,
            "test": 2,
        }
        for record in collection.records:
            assert record.points is not None
            np.testing.assert_array_equal(record.points.xy, written[record.name])
    assert collection.citation is not None


@pytest.mark.parametrize(("part", "truth"), [("part_A_final", "ground_truth"), ("part_A", "ground-truth")])
def test_shanghaitech_spellings(tmp_path: Path, part: str, truth: str) -> None:
    layouts.shanghaitech(tmp_path / part, truth)
    assert open_collection(tmp_path / part).format == "shanghaitech_a"
    assert open_collection(tmp_path).n_dots == 1 + 2 + 3 + 1 + 2


def test_shanghaitech_under_another_name_by_recipe(tmp_path: Path) -> None:
    layouts.shanghaitech(tmp_path / "shb")
    assert open_collection(f"shanghaitech_b:{tmp_path / 'shb'}").n_dots == 9


def test_shanghaitech_numbers_order_the_images(tmp_path: Path) -> None:
    layouts.shanghaitech(tmp_path / "part_B", train=11, test=1)
    names = [Path(r.name).stem for r in open_collection(tmp_path / "part_B").split("train").records]
    assert names == [f"IMG_{k}" for k in range(1, 12)]


def test_shanghaitech_with_dots_outside_keeps_them(tmp_path: Path) -> None:
    layouts.shanghaitech(tmp_path / "part_B")
    outside = np.array([[-3.0, 4.0], [5.0, 5.0]])
    layouts.shanghaitech_mat(tmp_path / "part_B/train_data/ground-truth/GT_IMG_1.mat", outside)
    record = open_collection(tmp_path / "part_B").records[0]
    assert record.error is None
    assert record.count == 2


def test_shanghaitech_damage_is_named(tmp_path: Path) -> None:
    root = tmp_path / "part_B"
    layouts.shanghaitech(root)
    mat = root / "train_data/ground-truth/GT_IMG_2.mat"
    mat.write_bytes(mat.read_bytes()[:150])
    with pytest.raises(DataError, match=r"GT_IMG_2\.mat is not a readable \.mat file"):
        open_collection(root)
    mat.unlink()
    with pytest.raises(DataError, match=r"IMG_2\.jpg has no dots"):
        open_collection(root)
    (root / "train_data/images/IMG_2.jpg").unlink()
    (root / "train_data/images/IMG_3.jpg").unlink()
    with pytest.raises(DataError, match=r"GT_IMG_3\.mat has no image"):
        open_collection(root)


def test_vgg_cells(tmp_path: Path) -> None:
    layouts.vgg_cells(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "vgg_cells"
    assert [r.split for r in collection.records] == ["train"] * 3 + ["test"] * 2
    assert [r.count for r in collection.records] == [k % 7 + 1 for k in (1, 2, 100, 101, 200)]
    for record in collection.records:
        assert record.points is not None
        np.testing.assert_array_equal(record.points.xy % 1, 0.5)  # pixel centres


@pytest.mark.parametrize("flat", [True, False])
def test_cells_without_csv_are_read_from_their_masks(tmp_path: Path, flat: bool) -> None:
    layouts.vgg_cells(tmp_path)
    from_csv = open_collection(tmp_path)
    shutil.rmtree(tmp_path / "points_csv")
    if flat:
        for path in [*(tmp_path / "images").iterdir(), *(tmp_path / "points").iterdir()]:
            path.rename(tmp_path / path.name)
        (tmp_path / "images").rmdir()
        (tmp_path / "points").rmdir()
    from_masks = open_collection(tmp_path)
    assert from_masks.format == "vgg_cells"
    for one, two in zip(from_csv.records, from_masks.records, strict=True):
        assert one.points is not None
        assert two.points is not None
        assert one.split == two.split
        assert sorted(set(map(tuple, one.points.xy))) == sorted(map(tuple, two.points.xy))


def test_adipocyte(tmp_path: Path) -> None:
    layouts.adipocyte(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "adipocyte"
    assert {s: len(collection.split(s)) for s in ("train", "val", "test")} == {"train": 2, "val": 2, "test": 4}
    assert collection.n_dots == sum(range(1, 9))


def test_urban_trees(tmp_path: Path) -> None:
    layouts.urban_trees(tmp_path / "trees")
    collection = open_collection(tmp_path / "trees")
    assert collection.format == "urban_trees_socal"
    assert [r.split for r in collection.records] == ["train"] * 4 + ["val", "test"]
    assert [r.count for r in collection.records] == [1, 2, 0, 4, 5, 6]  # no csv: no trees
    assert collection.records[2].points is not None
    assert collection.records[0].labels == {"city": "long_beach"}
    (tmp_path / "trees/images/long_beach_2020_3.tif").unlink()
    with pytest.raises(DataError, match=r"long_beach_2020_3\.tif is missing"):
        open_collection(tmp_path / "trees")


def test_ucf_qnrf(tmp_path: Path) -> None:
    layouts.ucf_qnrf(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "ucf_qnrf"
    assert [(r.name, r.split, r.count) for r in collection.records] == [
        ("Train/img_0001.jpg", "train", 2),
        ("Train/img_0002.jpg", "train", 3),
        ("Train/img_0010.jpg", "train", 11),
        ("Test/img_0001.jpg", "test", 2),
    ]
    assert collection.resize == ResizeRule(min_side=512, max_short_side=2048)
    assert all(r.error is None for r in collection.records)  # a dot outside is known and counted


@pytest.mark.parametrize("fold", range(1, 6))
def test_ucf_cc_50_folds(tmp_path: Path, fold: int) -> None:
    layouts.ucf_cc_50(tmp_path)
    collection = open_collection(f"ucf_cc_50_fold{fold}:{tmp_path}")
    assert [r.count for r in collection.records] == list(range(1, 11))
    assert [r.count for r in collection.split("test").records] == [2 * fold - 1, 2 * fold]
    assert len(collection.split("train")) == 8
    assert open_collection(tmp_path).format.startswith("ucf_cc_50")


def test_jhu_crowd(tmp_path: Path) -> None:
    layouts.jhu_crowd(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "jhu_crowd"
    assert collection.splits == ("train", "val", "test")
    first, empty = collection.split("val").records
    assert first.points is not None
    assert first.points.xy.tolist() == [[10.5, 20.5], [30.5, 12.5]]
    assert first.classes == ("visible", "hidden, blurred")
    assert first.labels == {"scene": "protest", "weather": "rain", "weather subset": "Weather"}
    assert empty.count == 0
    assert empty.labels == {"scene": "street", "weather": "clear", "distractor": "distractor"}
    (tmp_path / "train/gt/0001.txt").write_text("10\n")
    with pytest.raises(DataError, match=r"0001\.txt, line 1: '10' is not x y w h o b"):
        open_collection(tmp_path)


@pytest.mark.parametrize(("annotation", "parts"), [("mats", False), ("jsons", True)])
def test_nwpu(tmp_path: Path, annotation: str, parts: bool) -> None:
    layouts.nwpu(tmp_path, annotation, parts)
    collection = open_collection(tmp_path)
    assert collection.format == "nwpu"
    assert {(Path(r.name).stem, r.split, r.count) for r in collection.records} == {
        ("0003", "train", 2),
        ("0001", "train", 0),
        ("0002", "val", 1),
        ("0004", "val", 3),
        ("0005", "test", None),
    }
    assert collection.records[0].labels == {"luminance": "L1", "level": "S1"}
    next((tmp_path / annotation).iterdir()).unlink()
    with pytest.raises(DataError, match=r"000\d\.json: No such file"):
        open_collection(tmp_path)


def test_bone_marrow_as_its_repository_has_it(tmp_path: Path) -> None:
    layouts.bone_marrow(tmp_path / "MBM_data")
    for path in (tmp_path / "MBM_data").iterdir():
        path.rename(path.with_name(f"{path.stem}_003.png"))
    for root, folder in ((tmp_path, "MBM_data/"), (tmp_path / "MBM_data", "")):
        collection = open_collection(root)
        assert collection.format == "mbm"
        assert len(collection) == 6
        assert collection.records[0].name == f"{folder}BM_GRAZ_HE_0001_00_003.png"
        assert not collection.problems


def test_bone_marrow(tmp_path: Path) -> None:
    layouts.bone_marrow(tmp_path)
    collection = open_collection(tmp_path)
    assert collection.format == "mbm"
    assert [r.count for r in collection.records] == [2, 3, 4, 5, 6, 7]
    assert {s: len(collection.split(s)) for s in ("train", "val", "test")} == {"train": 2, "val": 1, "test": 3}


def test_every_benchmark_says_whose_it_is() -> None:
    for name in BENCHMARKS:
        benchmark = BENCHMARKS.create(name)
        assert benchmark.title
        assert benchmark.license
        assert any(year in benchmark.citation for year in map(str, range(2010, 2030)))
        width, height = benchmark.resize.size(1600, 1200)
        assert abs(width / height - 4 / 3) < 0.01


def test_releases_are_told_apart() -> None:
    part_b = BENCHMARKS.create("shanghaitech_b")
    assert part_b.release("train", 400, 49_151) == "November 2016 release"
    assert "2015" in (part_b.release("all", 716, 88_488) or "")
    assert part_b.release("train", 400, 49_150) is None


@pytest.mark.parametrize(
    "recipe",
    [
        "shanghaitech_a",
        "vgg_cells",
        "adipocyte",
        "urban_trees_socal",
        "ucf_qnrf",
        "ucf_cc_50",
        "jhu_crowd",
        "nwpu",
        "mbm",
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, recipe: str) -> None:
    layouts.picture(tmp_path / "a.png")
    assert not BENCHMARKS.create(recipe).recognises(tmp_path)
    with pytest.raises(DataError, match=r"is not laid out like .*expected"):
        open_collection(f"{recipe}:{tmp_path}")


REAL: list[tuple[str, str, dict[str, tuple[int, int]]]] = [
    ("ShanghaiTech/part_B", "shanghaitech_b", {"train": (400, 49_151), "test": (316, 39_121)}),
    ("vgg_cells", "vgg_cells", {"train": (100, 18_045), "test": (100, 17_147)}),
    ("adipocyte", "adipocyte", {"train": (50, 8_003), "val": (50, 7_959), "test": (100, 15_055)}),
    ("urban_trees_socal", "urban_trees_socal", {"train": (383, 19_809), "val": (43, 2_070), "test": (48, 2_681)}),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg_cells", "adipocyte"])
def test_masks_of_real_cells_agree_with_their_csv(data_folder: Callable[[str], Path], name: str) -> None:
    """The csv was extracted from the masks by somebody else; the mask reader has to find the same dots."""
    root = data_folder(name)
    collection = open_collection(root)
    masks = sorted((root / "points").iterdir())
    differing = 0
    for record, mask in zip(collection.records, masks, strict=True):
        assert record.points is not None
        found = DotMask().read(mask, record.points.width, record.points.height)
        differing += abs(len(found.xy) - len(record.points))
    assert differing == 0


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "format", "totals"), REAL)
def test_real_copies(
    data_folder: Callable[[str], Path], folder: str, format: str, totals: dict[str, tuple[int, int]]
) -> None:
    collection = open_collection(data_folder(folder))
    assert collection.format == format
    assert {s: (len(collection.split(s)), collection.split(s).n_dots) for s in collection.splits} == totals
    assert not collection.problems
    assert all(r.points is not None and r.points.inside().all() for r in collection.records)
