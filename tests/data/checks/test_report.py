from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dotcount.data import assign_splits, open_collection, write_splits
from dotcount.data.checks import DataCheck, check, repair
from dotcount.data.synthetic import generate, write_dataset
from dotcount.errors import DataError

from .. import faults
from ..layouts import picture, shanghaitech_mat, spots, write_csv


def scenes_as_part_b(root: Path, train: int = 24, test: int = 6) -> Path:
    """Street scenes in the layout of ShanghaiTech part B, each with at least 12 people."""
    index = 0
    for split, number in (("train", train), ("test", test)):
        folder = root / f"{split}_data/images"
        folder.mkdir(parents=True)
        k = 0
        while k < number:
            image, points = generate("crowd", 3, index, (256, 192), count=(30, 120))
            index += 1
            if len(points) < 12:
                continue
            k += 1
            Image.fromarray(image).save(folder / f"IMG_{k}.jpg", quality=90)
            shanghaitech_mat(root / f"{split}_data/ground-truth/GT_IMG_{k}.mat", points.xy)
    return root


def found(report: DataCheck, fault: faults.Fault) -> bool:
    return any(f.kind in fault.kinds and fault.name in f"{f.name} {f.message} {f.related}" for f in report.findings)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataCheck, DataCheck, dict[str, faults.Fault]]:
    """Return the reports of an original and of its damaged copy, and what was planted."""
    root = tmp_path_factory.mktemp("planted")
    original = scenes_as_part_b(root / "original" / "part_B")
    damaged = faults.copy(original, root / "damaged" / "part_B")
    wanted = faults.plant(damaged)
    reports = [check(open_collection(p, strict=False)) for p in (original, damaged)]
    return reports[0], reports[1], wanted


def test_every_planted_fault_is_found(planted: tuple[DataCheck, DataCheck, dict[str, faults.Fault]]) -> None:
    _, report, wanted = planted
    assert {what for what, fault in wanted.items() if not found(report, fault)} == set()


def test_the_original_has_no_errors(planted: tuple[DataCheck, DataCheck, dict[str, faults.Fault]]) -> None:
    original, _, _ = planted
    assert [f.message for f in original.findings if f.severity == "error"] == []


def test_nothing_else_is_accused(planted: tuple[DataCheck, DataCheck, dict[str, faults.Fault]]) -> None:
    _, report, wanted = planted
    allowed = [fault.name for fault in wanted.values()] + ["IMG_9999"]
    others = [f.message for f in report.errors if not any(name in f"{f.name} {f.message}" for name in allowed)]
    assert others == []


def test_findings_are_one_line_and_worst_first(planted: tuple[DataCheck, DataCheck, dict[str, faults.Fault]]) -> None:
    _, report, _ = planted
    assert all("\n" not in f.message and len(f.message) < 400 for f in report.findings)
    order = ["error", "warning", "info"]
    places = [order.index(f.severity) for f in report.findings]
    assert places == sorted(places)


def test_the_report_for_programs(tmp_path: Path, planted: tuple[DataCheck, DataCheck, dict[str, faults.Fault]]) -> None:
    _, report, _ = planted
    report.write_json(tmp_path / "check.json")
    content = json.loads((tmp_path / "check.json").read_text())
    assert Counter(f["severity"] for f in content["findings"])["error"] == len(report.errors)
    assert content["statistics"]["images"] == report.figures.images  # type: ignore[union-attr]
    assert list(tmp_path.iterdir()) == [tmp_path / "check.json"]


def test_the_corrected_copy_has_no_errors(
    tmp_path: Path, planted: tuple[DataCheck, DataCheck, dict[str, faults.Fault]]
) -> None:
    original, report, wanted = planted
    changes = repair(report, tmp_path / "fixed")
    again = check(open_collection(tmp_path / "fixed", strict=False))
    assert [f.message for f in again.errors] == []
    assert (tmp_path / "fixed/changes.txt").read_text().splitlines() == changes
    truth = {r.name: r for r in original.collection.records}
    mended = {r.name.removeprefix("train/").removeprefix("test/"): r for r in again.collection.records}
    for what in ("duplicated dots", "dot off the image"):
        name = wanted[what].name
        got, expected = mended[name].points, truth[name].points
        assert got is not None
        assert expected is not None
        np.testing.assert_allclose(np.sort(got.xy, axis=0), np.sort(expected.xy, axis=0), atol=1e-6)
    for what in ("truncated file", "train image in test"):
        assert wanted[what].name not in mended
    for what in ("swapped axes", "twice as large", "half as large", "turned by EXIF"):
        name = wanted[what].name
        assert name not in mended
        assert any(line.startswith(f"{name}: left out ({wanted[what].kinds[0].replace('_', ' ')}") for line in changes)


@pytest.mark.parametrize(("scale", "named"), [(1, "look like shares"), (100, "look like percent")])
def test_shares_and_percent_are_never_multiplied(tmp_path: Path, scale: int, named: str) -> None:
    """Neither read as px, nor corrected by a factor that happens to bring them inside."""
    rows = ["image,x,y"]
    for k in range(3):
        picture(tmp_path / f"data/{k}.png", 400, 300, seed=k)
        rows += [f"{k}.png,{x * scale / 400},{y * scale / 300}" for x, y in spots(8, 400, 300, seed=k) + 0.123]
    (tmp_path / "data/dots.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=named if scale == 100 else "x_share"):
        open_collection(tmp_path / "data")
    if scale == 100:
        report = check(open_collection(tmp_path / "data", strict=False))
        assert "units" in {f.kind for f in report.errors}
        with pytest.raises(DataError, match="can't be corrected without a guess"):
            repair(report, tmp_path / "fixed")
        assert not (tmp_path / "fixed").exists()
    rows[0] = "image,x_percent,y_percent" if scale == 100 else "image,x_share,y_share"
    (tmp_path / "data/dots.csv").write_text("\n".join(rows) + "\n")
    points = open_collection(tmp_path / "data").records[0].points
    assert points is not None
    np.testing.assert_allclose(points.xy, spots(8, 400, 300, seed=0) + 0.123)
    rows[0] = "image,x_px,y_px"
    (tmp_path / "data/dots.csv").write_text("\n".join(rows) + "\n")
    assert open_collection(tmp_path / "data").n_dots == 24


def test_files_that_changed_since_the_split_are_told(tmp_path: Path) -> None:
    for k in range(6):
        picture(tmp_path / f"{k}.png", seed=k)
        write_csv(tmp_path / f"{k}.csv", spots(3, seed=k))
    write_splits(assign_splits(open_collection(tmp_path), {"train": 0.5, "test": 0.5}), tmp_path / "splits.csv")
    assert [f for f in check(open_collection(tmp_path)).findings if f.kind == "changed"] == []
    picture(tmp_path / "4.png", seed=99)
    changed = [f.name for f in check(open_collection(tmp_path)).findings if f.kind == "changed"]
    assert changed == ["4.png"]


@pytest.mark.parametrize("kind", ["cells", "crowd"])
def test_clean_scenes_raise_nothing(tmp_path: Path, kind: str) -> None:
    collection = open_collection(write_dataset(tmp_path / "d", kind, train=20, val=5, test=5, size=128))
    report = check(collection)
    assert [f for f in report.findings if f.severity == "error"] == []
    assert report.suggestions is not None
    assert report.suggestions.crop == 128


@pytest.mark.slow
def test_real_street_scenes(data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """The same ten faults in a copy of the real part B; the check of its 716 images takes less than a minute."""
    source = data_folder("ShanghaiTech/part_B")
    started = time.perf_counter()
    original = check(open_collection(source, strict=False))
    assert time.perf_counter() - started < 60
    assert [f.message for f in original.errors] == []
    assert "November 2016 release" in " ".join(f.message for f in original.findings if f.kind == "totals")
    damaged = faults.copy(source, tmp_path / "part_B")
    wanted = faults.plant(damaged)
    report = check(open_collection(damaged, strict=False))
    assert {what for what, fault in wanted.items() if not found(report, fault)} == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg_cells", "adipocyte", "urban_trees_socal"])
def test_real_sets_have_no_errors(data_folder: Callable[[str], Path], name: str) -> None:
    assert [f.message for f in check(open_collection(data_folder(name), strict=False)).errors] == []


def kinds(report: DataCheck) -> list[tuple[str, str]]:
    return [(f.severity, f.kind) for f in report.findings]


def test_a_set_without_any_dot_is_an_error(tmp_path: Path) -> None:
    for k in range(4):
        picture(tmp_path / f"{k}.png", seed=k)
        write_csv(tmp_path / f"{k}.csv", spots(0))
    assert kinds(check(open_collection(tmp_path, strict=False))) == [("error", "no_dots")]


def test_mixed_depths_are_told(tmp_path: Path) -> None:
    for k in range(4):
        picture(tmp_path / f"{k}.png", seed=k)
        write_csv(tmp_path / f"{k}.csv", spots(3, seed=k))
    deep = np.random.default_rng(9).integers(0, 4096, (30, 40)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "3.png")
    assert kinds(check(open_collection(tmp_path, strict=False))) == [("warning", "mixed_depths")]


def test_a_set_of_which_every_image_has_a_dot_outside_is_checked_all_the_same(tmp_path: Path) -> None:
    for k in range(4):
        picture(tmp_path / f"{k}.png", seed=k)
        write_csv(tmp_path / f"{k}.csv", np.vstack([spots(30, seed=k), [[0.25, 0.5], [40, 3.25]]]))
    with pytest.raises(DataError, match="lie outside it"):
        open_collection(tmp_path)
    report = check(open_collection(tmp_path, strict=False))
    assert [f.kind for f in report.errors] == ["outside"] * 4
    repair(report, tmp_path / "fixed")
    assert open_collection(tmp_path / "fixed").n_dots == 4 * 32


def test_a_set_of_which_nothing_would_remain_says_why(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path / f"{k}.png", seed=k)
        write_csv(tmp_path / f"{k}.csv", np.array([[40, 30], [5, 6]]))  # counted from 1
    report = check(open_collection(tmp_path, strict=False))
    with pytest.raises(DataError, match=r"no image would remain \(0\.png: left out"):
        repair(report, tmp_path / "fixed")
    assert not (tmp_path / "fixed").exists()
