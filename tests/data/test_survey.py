from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from dotcount.data.images import read_pixels
from dotcount.data.survey import survey
from dotcount.errors import DataError
from dotcount.intensity import IntensityRule
from dotcount.selection import ImageSelection

from ..test_intensity import blobs
from .layouts import picture


def deep(folder: Path, n: int, factor: float = 13.7, dtype: str = "uint16") -> list[Path]:
    paths = []
    for k in range(n):
        paths.append(folder / f"{dtype}{k}.tif")
        tifffile.imwrite(paths[-1], (blobs(k) * factor / (k + 1) + 100).astype(dtype))
    return paths


def test_a_set_of_eight_bits_needs_no_range(tmp_path: Path) -> None:
    paths = [picture(tmp_path / name, 20, 20) for name in ("a.png", "b.jpg", "c.tif")]
    assert survey(paths).intensity() == IntensityRule()
    assert survey(paths).messages() == []


def test_the_range_is_that_of_all_deep_files_and_broken_ones_are_left_to_their_readers(tmp_path: Path) -> None:
    paths = deep(tmp_path, 3)
    (tmp_path / "broken.tif").write_bytes(b"II*\0 nothing")
    others = [tmp_path / "broken.tif", tmp_path / "gone.tif", picture(tmp_path / "a.png", 20, 20)]
    rule = survey([*paths, *others]).intensity(strict=True)
    assert rule == IntensityRule.fit([tifffile.imread(path) for path in paths])
    assert rule.images == 3


def test_mixed_depths_are_told_and_types_without_a_common_range_refused(tmp_path: Path) -> None:
    integers, floats = deep(tmp_path, 2), deep(tmp_path, 1, dtype="float32")
    eight = picture(tmp_path / "a.png", 20, 20)
    (note,) = survey([*integers, eight]).messages()
    assert "2 images hold more than 8 bits (such as uint160.tif) and 1 image holds 8 (such as a.png)" in note
    assert survey(integers).messages() == []
    mixed = survey([*integers, *floats])
    with pytest.raises(DataError, match=r"uint160\.tif holds integers .*float320\.tif floats"):
        mixed.intensity(strict=True)
    assert mixed.intensity().kind == "integer"


def test_what_files_hold_beyond_what_is_read_is_told_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.tif" for k in range(3)]
    for path in paths:
        tifffile.imwrite(path, np.zeros((4, 20, 20), np.uint8), photometric="minisblack")
    told = survey([*paths, picture(tmp_path / "a.png", 20, 20)]).messages()
    assert told == ["page 1 of 4 pages was read, the other 3 were not: 3 images (such as 0.tif)"]
    assert "maximum" in survey(paths, ImageSelection(projection="max")).messages()[0]


def test_of_many_files_a_sample_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = deep(tmp_path, 5)
    monkeypatch.setattr("dotcount.data.survey.SAMPLE", 2)
    assert survey(paths).intensity() == IntensityRule.fit([tifffile.imread(paths[0]), tifffile.imread(paths[4])])
    assert survey(paths).intensity().images == 2


def test_how_dark_and_bright_the_images_are_is_measured(tmp_path: Path) -> None:
    paths = [picture(tmp_path / name, 40, 30, seed=k) for k, name in enumerate(("a.png", "b.jpg", "c.tif"))]
    rule = survey(paths).measured(IntensityRule())
    assert 0 <= rule.dark < rule.bright <= 1
    assert rule == IntensityRule().measured([read_pixels(path) for path in paths])
