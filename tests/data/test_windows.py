"""Windows of TIFF files equal slices of the whole image; what can't be read in part is left to the whole reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dotcount.data import CropDataset, Record, read_pixels
from dotcount.data.windows import TiffWindows
from dotcount.errors import ImageReadError
from dotcount.points import Points

KINDS: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    "tiled": ((100, 130, 3), "uint8", {"tile": (32, 48)}),
    "tiled, deflated, predicted": ((100, 130, 3), "uint8", {"tile": (64, 64), "compression": "zlib", "predictor": 2}),
    "four bands": ((100, 130, 4), "uint8", {"tile": (32, 32), "extrasamples": ["unspecified"]}),
    "strips": ((100, 130, 3), "uint8", {"rowsperstrip": 7}),
    "deflated strips": ((100, 130, 3), "uint16", {"rowsperstrip": 9, "compression": "zlib"}),
    "grey": ((100, 130), "uint16", {"tile": (16, 16)}),
    "big-endian BigTIFF": ((100, 130, 3), "uint16", {"tile": (32, 32), "bigtiff": True, "byteorder": ">"}),
}


def write(path: Path, kind: str, **more: Any) -> Path:
    shape, dtype, options = KINDS[kind]
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    photometric = "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(path, pixels, photometric=photometric, **options, **more)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_windows_equal_slices_of_the_whole(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    path = write(tmp_path_factory.mktemp("tiff") / "a.tif", kind)
    whole, regions = read_pixels(path), TiffWindows.open(path)
    assert regions is not None
    assert regions.shape == whole.shape
    assert regions.dtype.newbyteorder("=") == whole.dtype
    assert regions.nbytes == whole.nbytes

    @given(st.integers(0, 99), st.integers(1, 100), st.integers(0, 129), st.integers(1, 130))
    def windows(top: int, height: int, left: int, width: int) -> None:
        rows, columns = slice(top, top + height), slice(left, left + width)
        np.testing.assert_array_equal(regions[rows, columns], whole[rows, columns])

    windows()


def test_a_tile_that_was_never_written_is_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tiles = iter([np.full((16, 16, 3), 9, np.uint8), None, None, np.full((16, 16, 3), 7, np.uint8)])
    tifffile.imwrite(path, tiles, shape=(32, 32, 3), dtype="uint8", tile=(16, 16), photometric="rgb")
    regions = TiffWindows.open(path)
    assert regions is not None
    window = regions[8:24, 8:24]
    assert [window[0, 0, 0], window[0, 15, 0], window[15, 15, 0]] == [9, 0, 7]


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "miniswhite"},
        {"planarconfig": "separate"},
        {"extratags": [(274, 3, 1, 6, True)]},
        {"extrasamples": ["unassalpha"]},
        {"dtype": "float32"},
        {"rowsperstrip": 60},
        {"compression": "lzw"},
    ],
    ids=str,
)
def test_what_needs_the_whole_is_left_to_the_whole_reader(tmp_path: Path, options: dict[str, Any]) -> None:
    options = {"photometric": "rgb", "rowsperstrip": 8} | options
    dtype = options.pop("dtype", "uint8")
    shape = {"miniswhite": (60, 70)}.get(options["photometric"], (60, 70, 4 if "extrasamples" in options else 3))
    pixels = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    if options.get("compression") == "lzw":
        Image.fromarray(pixels).save(tmp_path / "a.tif", compression="tiff_lzw")
    else:
        if options.get("planarconfig") == "separate":
            pixels = np.moveaxis(pixels, -1, 0)
        tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    assert TiffWindows.open(tmp_path / "a.tif") is None
    assert read_pixels(tmp_path / "a.tif").shape[-1] == 3


def test_other_and_damaged_files_have_no_regions(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.tif").write_bytes(b"II*\x00garbage")
    for name in ("a.png", "a.tif", "gone.tif"):
        assert TiffWindows.open(tmp_path / name) is None


def test_damage_is_named_when_it_is_met(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", "tiled, deflated, predicted")
    regions = TiffWindows.open(path)
    assert regions is not None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageReadError, match=r"a\.tif can't be decoded"):
        regions[0:100, 0:130]


def test_training_decodes_parts_where_the_cache_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tif", "tiled")
    records = [Record(path, "a.tif", Points(np.array([[20.5, 30.5], [99.0, 70.0]]), 130, 100))]
    whole, parts = CropDataset(records, 40, cache_mb=1), CropDataset(records, 40, cache_mb=0.001)
    expected = [whole[epoch, 0] for epoch in range(6)]
    monkeypatch.setattr("dotcount.data.samples.read_pixels", None)  # would fail where the whole were decoded
    for epoch, (image, dots, keys, _) in enumerate(expected):
        again = parts[epoch, 0]
        assert (again[0] == image).all()
        assert (again[1] == dots).all()
        assert (again[2] == keys).all()
