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
from dotcount.data.images import load_image, read_header
from dotcount.data.resizing import resize_pixels
from dotcount.data.windows import ResizedWindows, TiffWindows
from dotcount.errors import ImageReadError
from dotcount.points import Points
from dotcount.selection import ImageSelection

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


LOOSE: dict[str, tuple[int, dict[str, Any]]] = {
    "JPEG, YCbCr": (2, {"tile": (48, 32), "compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)}),
    "JPEG, RGB": (2, {"tile": (48, 32), "compression": "jpeg", "compressionargs": {"outcolorspace": "rgb"}}),
    "JPEG 2000": (1, {"tile": (64, 64), "compression": 33005, "compressionargs": {"level": 0}}),
    "planes one after the other": (0, {"tile": (32, 32), "planarconfig": "separate", "compression": "zlib"}),
    "planes in strips": (0, {"rowsperstrip": 7, "planarconfig": "separate"}),
}


def smooth(height: int = 100, width: int = 130) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([2 * x, 2 * y, 120 + 60 * np.sin(x / 9)], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", LOOSE)
def test_what_decoders_undo_differently_is_the_whole_up_to_that(tmp_path: Path, kind: str) -> None:
    most, options = LOOSE[kind]
    pixels, options = smooth(), {"photometric": "rgb"} | options
    separate = options.get("planarconfig") == "separate"
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(pixels, -1, 0) if separate else pixels, **options)
    windows = TiffWindows.open(tmp_path / "a.tif", exact=False)
    assert windows is not None
    assert TiffWindows.open(tmp_path / "a.tif") is None
    assert windows.notes == []
    whole = read_pixels(tmp_path / "a.tif").astype(int)
    for top, bottom, left, right in ((0, 100, 0, 130), (47, 50, 31, 100), (99, 100, 129, 130)):
        found = windows[top:bottom, left:right]
        assert np.abs(found - whole[top:bottom, left:right]).max() <= most
        if kind != "JPEG, YCbCr":
            assert np.abs(found.astype(int) - pixels[top:bottom, left:right]).max() <= 12  # it is the picture


def check_against_the_whole(path: Path) -> TiffWindows:
    windows, whole = TiffWindows.open(path, exact=False), load_image(path)
    assert windows is not None
    height, width = whole.pixels.shape[:2]
    for top in range(0, height, 23):
        for left in range(0, width, 31):
            part = (slice(top, top + 23), slice(left, left + 31))
            np.testing.assert_array_equal(windows[part], whole.pixels[part])
    assert tuple(windows.notes) == whole.notes
    return windows


@pytest.mark.parametrize("alpha", ["mask", "opaque", "clear", "near infrared"])
@pytest.mark.parametrize("label", ["unassalpha", "assocalpha"])
def test_transparency_is_that_of_the_whole(tmp_path: Path, alpha: str, label: str) -> None:
    if label == "assocalpha" and alpha == "near infrared":
        pytest.skip("colours multiplied by such a band are no colours")
    band = np.full((100, 130), 255, np.uint8)
    if alpha in ("mask", "clear"):
        band[20 if alpha == "mask" else 0 :] = 0
    if alpha == "near infrared":
        band[60, 70] = 17
    pixels = np.concatenate([smooth(), band[..., None]], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[label], tile=(32, 32))
    check_against_the_whole(tmp_path / "a.tif")


@pytest.mark.parametrize("missing", ["few", "area", "none"])
@pytest.mark.parametrize("bands", [1, 3])
def test_missing_values_are_filled_as_in_the_whole(tmp_path: Path, missing: str, bands: int) -> None:
    pixels = np.random.default_rng(0).integers(100, 4000, (200, 260, bands)).astype(np.uint16)
    if missing == "few":
        pixels[90:103, 64:70], pixels[199, 0] = 7, 7
    elif missing == "area":
        pixels[:40, 30:] = 7
    tags = [(42113, "s", 0, "7", True)]
    kind = "rgb" if bands == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", pixels.squeeze(), photometric=kind, tile=(64, 64), extratags=tags)
    check_against_the_whole(tmp_path / "a.tif")


@pytest.mark.parametrize("missing", ["few", "area", "all", "none"])
@pytest.mark.parametrize("alpha", [False, True])
def test_missing_values_of_8_bits_stay_and_are_told_as_of_the_whole(tmp_path: Path, missing: str, alpha: bool) -> None:
    pixels = np.random.default_rng(0).integers(100, 250, (200, 260, 3)).astype(np.uint8)
    rows = {"few": 1, "area": 40, "all": 200, "none": 0}[missing]
    pixels[:rows] = 255
    options: dict[str, Any] = {"extratags": [(42113, "s", 0, "255", True)]}
    if alpha:
        clear = np.full((200, 260, 1), 255, np.uint8)
        clear[-50:] = 0  # shown white
        pixels, options["extrasamples"] = np.concatenate([pixels, clear], axis=-1), ["unassalpha"]
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", tile=(64, 64), **options)
    windows = check_against_the_whole(tmp_path / "a.tif")
    assert any("hold no data, and are part of its area" in note for note in windows.notes) == (
        alpha or missing in ("area", "all")
    )


@pytest.mark.parametrize("alpha", ["mask", "opaque", "near infrared"])
@pytest.mark.parametrize("declared", [False, True])
def test_transparency_of_16_bits_is_told_as_of_the_whole(tmp_path: Path, alpha: str, declared: bool) -> None:
    pixels = np.random.default_rng(0).integers(100, 4000, (200, 260, 4)).astype(np.uint16)
    pixels[:40, :, :3] = 7
    if alpha != "near infrared":
        pixels[..., 3] = 65535
    if alpha == "mask":
        pixels[:30, :, 3] = 0
    tags = [(42113, "s", 0, "7", True)] if declared else []
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"], "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=tags, **options)
    windows = check_against_the_whole(tmp_path / "a.tif")
    assert len(windows.notes) == declared + (alpha != "opaque")


@pytest.mark.parametrize("channels", [(5,), (4, 2), (3, 2, 1), (1, 1, 5)])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_chosen_channels_are_those_of_the_whole(
    tmp_path: Path, channels: tuple[int, ...], planar: str, dtype: type
) -> None:
    pixels = np.random.default_rng(0).integers(0, 250, (100, 130, 5)).astype(dtype)
    pixels[:30] = 9
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    tags = [(42113, "s", 0, "9", True)]
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": planar, "tile": (32, 32), "extratags": tags}
    tifffile.imwrite(tmp_path / "a.tif", stored, extrasamples=["unspecified"] * 2, **options)
    windows = TiffWindows.open(tmp_path / "a.tif", exact=False, channels=channels)
    whole = load_image(tmp_path / "a.tif", ImageSelection(channels=channels))
    assert windows is not None
    assert set(windows.notes) <= set(whole.notes)
    for part in ((slice(0, 100), slice(0, 130)), (slice(25, 60), slice(40, 99))):
        np.testing.assert_array_equal(windows[part], whole.pixels[part])
    assert TiffWindows.open(tmp_path / "a.tif", exact=False, channels=(6,)) is None, "told by the whole reader"


def test_nothing_but_missing_values_is_told(tmp_path: Path) -> None:
    tags = [(42113, "s", 0, "7", True)]
    tifffile.imwrite(tmp_path / "a.tif", np.full((64, 64), 7, np.uint16), tile=(16, 16), extratags=tags)
    windows = TiffWindows.open(tmp_path / "a.tif", exact=False)
    assert windows is not None
    with pytest.raises(ImageReadError, match=r"a\.tif can't be decoded \(it holds no data"):
        windows.notes  # noqa: B018


def write_slide(path: Path, pixels: np.ndarray, mpp: float = 0.25) -> Path:
    """Write a slide as Aperio's scanners do: the picture, a thumbnail, reduced copies, a label."""
    about = f"Aperio Image Library v11.2.1\r\n{pixels.shape[1]}x{pixels.shape[0]} |AppMag = 40|MPP = {mpp}"
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, tile=(64, 64), compression="jpeg", photometric="rgb", description=about, metadata=None)
        file.write(pixels[::8, ::8], rowsperstrip=16, compression="jpeg", photometric="rgb", metadata=None)
        for step in (2, 4):
            less = pixels.reshape(pixels.shape[0] // step, step, -1, step, 3).mean(axis=(1, 3)).astype(np.uint8)
            file.write(less, tile=(64, 64), compression="jpeg", photometric="rgb", metadata=None)
        file.write(
            pixels[:32, :32], photometric="rgb", description="Aperio\r\nlabel 32x32", metadata=None, subfiletype=1
        )
    return path


@pytest.mark.parametrize("kind", ["svs", "subifds", "overviews"])
def test_a_pyramid_is_read_from_the_level_that_suits(tmp_path: Path, kind: str) -> None:
    pixels = smooth(512, 640)
    path = tmp_path / ("a.svs" if kind == "svs" else "a.tif")
    if kind == "svs":
        write_slide(path, pixels)
    elif kind == "subifds":
        with tifffile.TiffWriter(path) as file:
            file.write(pixels, tile=(64, 64), photometric="rgb", subifds=2)
            file.write(pixels[::2, ::2], tile=(64, 64), photometric="rgb", subfiletype=1)
            file.write(pixels[::4, ::4], tile=(64, 64), photometric="rgb", subfiletype=1)
    else:
        import rasterio

        with rasterio.open(
            path, "w", driver="COG", width=640, height=512, count=3, dtype="uint8", blocksize=128, overview_count=2
        ) as file:
            file.write(pixels.transpose(2, 0, 1))
    windows = TiffWindows.open(path, exact=False)
    assert windows is not None
    assert windows.shape == (512, 640, 3)
    assert [level.shape[:2] for level in windows.levels] == [(256, 320), (128, 160)]
    for width, shape in ((640, 640), (321, 640), (320, 320), (200, 320), (160, 160), (20, 160)):
        assert windows.level(width, width * 4 // 5).shape[1] == shape
    resized = ResizedWindows(windows, 200, 160, "bilinear")
    assert resized.windows.shape[1] == 320
    whole = resize_pixels(pixels, 200, 160)
    assert np.abs(resized[0:160, 0:200].astype(int) - whole).max() <= 8
    assert np.abs(resized[40:60, 90:200].astype(int) - whole[40:60, 90:200]).max() <= 8
    assert np.abs(windows.reduced(160).astype(int) - pixels[2::4, 2::4]).max() <= 16
    if kind == "svs":
        header = read_header(path)
        assert (header.width, header.height, header.pixel_size) == (640, 512, pytest.approx(0.25e-6))


@pytest.mark.parametrize("bands", [2, 5])
def test_bands_that_are_not_shown_say_nothing_about_missing_values(tmp_path: Path, bands: int) -> None:
    pixels = np.random.default_rng(0).integers(100, 4000, (100, 130, bands)).astype(np.uint16)
    pixels[:40, :, : min(bands, 4) - 1] = 7  # in all that are shown, and not in the last one
    options = {"photometric": "rgb" if bands > 3 else "minisblack", "planarconfig": "contig", "tile": (32, 32)}
    extra = ["unspecified"] * (bands - (3 if bands > 3 else 1))
    tags = [(42113, "s", 0, "7", True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels, extrasamples=extra, extratags=tags, **options)
    windows, whole = TiffWindows.open(tmp_path / "a.tif", exact=False), load_image(tmp_path / "a.tif")
    assert windows is not None
    assert (whole.pixels[:40] > 7).all()
    np.testing.assert_array_equal(windows[0:100, 0:130], whole.pixels)
    assert windows.notes == [note for note in whole.notes if "no data" in note]
