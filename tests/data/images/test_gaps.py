"""Missing values: found, filled, told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from dotcount.data.images import load_image, read_image
from dotcount.errors import ImageReadError

PLAIN = np.random.default_rng(0).uniform(3, 9, (40, 50)).astype(np.float32)


def write(path: Path, pixels: np.ndarray, no_data: str | None = None) -> Path:
    tags = [] if no_data is None else [(42113, "s", 0, no_data, True)]
    tifffile.imwrite(path, pixels, extratags=tags)
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -9999, -3.4028234663852886e38, 1e38, -32768])
def test_single_values_take_their_neighbours_and_change_nothing_else(tmp_path: Path, value: float) -> None:
    whole = read_image(write(tmp_path / "a.tif", PLAIN))
    holed = PLAIN.copy()
    holed[7, 9] = value
    found = load_image(write(tmp_path / "b.tif", holed))
    assert found.notes == ("less than 0.1% of its pixels hold no data and were filled",)
    assert found.pixels[7, 9, 0] in (PLAIN[6, 9], PLAIN[8, 9], PLAIN[7, 8], PLAIN[7, 10])
    assert np.abs(read_image(tmp_path / "b.tif") - whole)[np.arange(40) != 7].max() < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint16", "int32"])
def test_declared_areas_become_as_dark_as_the_darkest_pixel(tmp_path: Path, dtype: str) -> None:
    pixels = (PLAIN * 100).astype(dtype)
    pixels[:10] = 7777
    found = load_image(write(tmp_path / "a.tif", pixels, "7777"))
    assert found.notes == ("25% of its pixels hold no data and were filled",)
    assert (found.pixels[:10] == pixels[10:].min()).all()
    np.testing.assert_array_equal(found.pixels[10:, :, 0], pixels[10:])


def test_the_lowest_value_of_a_signed_type_is_missing_and_other_negative_values_are_not(tmp_path: Path) -> None:
    pixels = (PLAIN * 100 - 700).astype(np.int16)
    assert load_image(write(tmp_path / "a.tif", pixels)).notes == ()
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif").pixels[..., 0], pixels)
    pixels[:, :5] = np.iinfo(np.int16).min
    assert "10% of its pixels" in load_image(write(tmp_path / "b.tif", pixels)).notes[0]
    assert read_image(tmp_path / "b.tif")[:, 5:].std() > 0.2


def test_eight_bits_are_taken_as_they_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (30, 20), dtype=np.uint8)
    found = load_image(write(tmp_path / "a.tif", pixels, "0"))
    np.testing.assert_array_equal(found.pixels[..., 0], pixels)
    assert found.notes == ()


def test_a_declared_value_that_the_type_can_not_hold_is_no_value(tmp_path: Path) -> None:
    pixels = np.arange(55000, 56000, dtype=np.uint16).reshape(20, 50)  # -9999 would wrap to 55,537
    for text in ("-9999", "nan", "0.5", "garbage"):
        np.testing.assert_array_equal(load_image(write(tmp_path / "a.tif", pixels, text)).pixels[..., 0], pixels)


def test_an_image_without_any_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"a\.tif can't be decoded \(it holds no data"):
        load_image(write(tmp_path / "a.tif", np.full((9, 9), np.nan, np.float32)))
