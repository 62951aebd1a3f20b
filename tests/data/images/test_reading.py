from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dotcount.data.images import (
    image_size,
    is_image,
    orientation,
    read_image,
    read_pixels,
    to_unit,
)
from dotcount.errors import ImageReadError
from dotcount.intensity import IntensityRule

from ..layouts import picture

RAMP = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3) * 2


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".ppm", ".tif", ".webp"])
def test_lossless_eight_bit_is_read_as_it_stands(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ä b{suffix}"
    Image.fromarray(RAMP).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    assert is_image(path)
    np.testing.assert_array_equal(read_pixels(path), RAMP)
    assert image_size(path) == (7, 5)
    image = read_image(path)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, RAMP.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA"])
def test_other_modes_become_three_channels(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(RAMP).convert(mode).save(path)
    pixels = read_pixels(path)
    assert pixels.shape == (5, 7, 3)
    assert pixels.dtype == np.uint8
    if mode in ("L", "1", "LA"):
        assert (pixels == pixels[..., :1]).all()


def test_transparent_pixels_are_shown_on_white(tmp_path: Path) -> None:
    layered = np.zeros((2, 2, 4), dtype=np.uint8)
    layered[0, 0] = 10, 20, 30, 255
    Image.fromarray(layered).save(tmp_path / "a.png")
    pixels = read_pixels(tmp_path / "a.png")
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[1, 1].tolist() == [255, 255, 255]


def test_near_infrared_labelled_as_alpha_is_left_out(tmp_path: Path) -> None:
    """GDAL labels the fourth band of any 8-bit TIFF as alpha; real alpha is nearly always a mask."""
    bands = np.random.default_rng(0).integers(0, 256, (9, 8, 4), dtype=np.uint8)
    for kind in ("unassalpha", "unspecified"):
        tifffile.imwrite(tmp_path / "a.tif", bands, photometric="rgb", extrasamples=[kind])
        np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), bands[..., :3])
    bands[..., 3] = 255
    bands[:2, :, 3] = 0
    tifffile.imwrite(tmp_path / "a.tif", bands, photometric="rgb", extrasamples=["unassalpha"])
    assert (read_pixels(tmp_path / "a.tif")[:2] == 255).all()
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif")[2:], bands[2:, :, :3])


DEEP = (np.arange(5 * 7, dtype=np.uint16).reshape(5, 7) * 1800 + 7).astype(np.uint16)


def test_sixteen_bit_grey_keeps_its_depth(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "grey.png")
    tifffile.imwrite(tmp_path / "grey.tif", DEEP)
    for name in ("grey.png", "grey.tif"):
        pixels = read_pixels(tmp_path / name)
        assert pixels.dtype == np.uint16
        np.testing.assert_array_equal(pixels[..., 1], DEEP)
    wide = np.linspace(0, 65535, 50 * 70).astype(np.uint16).reshape(50, 70)
    tifffile.imwrite(tmp_path / "wide.tif", wide)
    np.testing.assert_allclose(read_image(tmp_path / "wide.tif")[..., 0], wide / 65535, rtol=1e-6)


@pytest.mark.parametrize("bands", [3, 4])
def test_sixteen_bit_colour_png_keeps_its_depth(tmp_path: Path, bands: int) -> None:
    colour = np.stack([DEEP + k for k in range(bands)], axis=0)
    data = encode_png_16(colour)
    (tmp_path / "a.png").write_bytes(data)
    pixels = read_pixels(tmp_path / "a.png")
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, colour[:3].transpose(1, 2, 0))


def encode_png_16(bands: np.ndarray) -> bytes:
    """Encode (C, H, W) uint16 by the PNG specification; no library at hand writes 16-bit colour."""
    import struct
    import zlib

    channels, height, width = bands.shape
    rows = bands.transpose(1, 2, 0).astype(">u2")
    raw = b"".join(b"\x00" + rows[y].tobytes() for y in range(height))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def test_deep_tiff_with_bands_in_planes(tmp_path: Path) -> None:
    planes = np.stack([DEEP, DEEP // 2, DEEP // 3, DEEP // 4])
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), planes[:3].transpose(1, 2, 0))
    assert image_size(tmp_path / "a.tif") == (7, 5)


def test_eight_bit_tiff_with_near_infrared_gives_the_first_three_bands(tmp_path: Path) -> None:
    bands = np.concatenate([RAMP, RAMP[..., :1] // 3], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", bands, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), RAMP)


def test_first_page_of_a_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([DEEP, DEEP // 2]))
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif")[..., 2], DEEP)


def test_float_tiff(tmp_path: Path) -> None:
    unit = np.linspace(0, 1, 50 * 70, dtype=np.float32).reshape(50, 70)
    tifffile.imwrite(tmp_path / "unit.tif", unit)
    tifffile.imwrite(tmp_path / "wide.tif", unit * 500 - 100)
    np.testing.assert_array_equal(read_image(tmp_path / "unit.tif")[..., 0], unit)
    np.testing.assert_allclose(read_image(tmp_path / "wide.tif")[..., 0], unit, atol=2e-3)


def shown_as(stored: np.ndarray, turn: int) -> np.ndarray:
    """The definition in the EXIF standard: where the first row and column of the stored image are shown."""
    return {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, 3),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored),
    }[turn]


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_applied_to_size_and_pixels(tmp_path: Path, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(RAMP).save(tmp_path / "a.png", exif=exif)
    shown = shown_as(RAMP, turn)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), shown)
    assert image_size(tmp_path / "a.png") == (shown.shape[1], shown.shape[0])
    assert orientation(tmp_path / "a.png") == turn


@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_tiff_is_turned_as_its_tag_says(tmp_path: Path, turn: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DEEP, extratags=[(274, "H", 1, turn, True)])
    expected = shown_as(DEEP[..., None], turn)[..., 0]
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif")[..., 0], expected)
    assert image_size(tmp_path / "a.tif") == expected.shape[::-1]


def test_missing_empty_foreign_and_truncated_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not an image")
    whole = picture(tmp_path / "whole.jpg", 200, 200).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    tifffile.imwrite(tmp_path / "deep.tif", np.tile(DEEP, (20, 20)))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "deep.tif").read_bytes()[:400])
    for name, message in [
        ("missing.jpg", "No such file"),
        ("empty.jpg", "empty file"),
        ("text.png", "not an image"),
        ("cut.jpg", "can't be decoded"),
        ("cut.tif", "cut.tif"),
    ]:
        with pytest.raises(ImageReadError, match=message) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".gif", ".webp"])
@settings(max_examples=25)
@given(data=st.data())
def test_damaged_files_raise_only_our_error(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(picture(folder / f"a{suffix}", 16, 12).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / f"b{suffix}"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    for read in (image_size, read_image):
        with suppress(ImageReadError):
            read(path)


def test_reading_in_threads_leaves_warnings_as_they_were(tmp_path: Path) -> None:
    import logging
    import warnings
    from concurrent.futures import ThreadPoolExecutor

    paths = [picture(tmp_path / f"{k}.tif", 64, 64, seed=k) for k in range(24)]
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_pixels, paths * 4))
    assert warnings.filters == before
    assert not logging.getLogger("tifffile").disabled


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", 40, 30)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageReadError, match=r"a\.png claims more than .* cut it into tiles"):
        read_image(tmp_path / "a.png")


def test_values_map_to_the_unit_interval() -> None:
    assert to_unit(np.array([[0, 255]], dtype=np.uint8)).tolist() == [[0.0, 1.0]]
    assert to_unit(np.array([[0, 65535]], dtype=np.uint16)).tolist() == [[0.0, 1.0]]
    assert to_unit(np.array([[np.nan, 0.5]], dtype=np.float32)).tolist() == [[0.0, 0.5]]
    rule = IntensityRule(100, 300, "percentiles", 5, "integer")
    assert to_unit(np.array([[0, 200, 400]], dtype=np.uint16), rule).tolist() == [[0.0, 0.5, 1.0]]
    assert to_unit(np.array([[0, 255]], dtype=np.uint8), rule).tolist() == [[0.0, 1.0]]
    assert to_unit(np.array([[0.0, 0.5]], dtype=np.float32), rule).tolist() == [[0.0, 0.5]]
