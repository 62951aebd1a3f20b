from __future__ import annotations

from pathlib import Path

import pytest
import tifffile

from dotcount.data.depth import depth_note, fit_intensity
from dotcount.errors import DataError
from dotcount.intensity import IntensityRule

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
    assert fit_intensity(paths) == IntensityRule()
    assert depth_note(paths) is None


def test_the_range_is_that_of_all_deep_files_and_broken_ones_are_left_to_their_readers(tmp_path: Path) -> None:
    paths = deep(tmp_path, 3)
    (tmp_path / "broken.tif").write_bytes(b"II*\0 nothing")
    rule = fit_intensity([*paths, tmp_path / "broken.tif", tmp_path / "gone.tif", picture(tmp_path / "a.png", 20, 20)])
    assert rule == IntensityRule.fit([tifffile.imread(path) for path in paths])
    assert rule.images == 3


def test_mixed_depths_are_told_and_types_without_a_common_range_refused(tmp_path: Path) -> None:
    integers, floats = deep(tmp_path, 2), deep(tmp_path, 1, dtype="float32")
    eight = picture(tmp_path / "a.png", 20, 20)
    note = depth_note([*integers, eight])
    assert note is not None
    assert "2 images hold more than 8 bits (uint160.tif), 1 hold 8" in note
    assert depth_note(integers) is None
    with pytest.raises(DataError, match=r"uint160\.tif holds integers .*float320\.tif floats"):
        fit_intensity([*integers, *floats], strict=True)
    assert fit_intensity([*integers, *floats]).kind == "integer"


def test_of_many_files_a_sample_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = deep(tmp_path, 5)
    monkeypatch.setattr("dotcount.data.depth.SAMPLE", 2)
    assert fit_intensity(paths) == IntensityRule.fit([tifffile.imread(paths[0]), tifffile.imread(paths[4])])
    assert fit_intensity(paths).images == 2
