"""Every orientation of every kind of file gives the pixels of the upright one, and the size agrees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data.images import image_size, orientation, read_pixels

from .test_reading import encode_png_16, shown_as

HEIGHT, WIDTH = 37, 52
GREY = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
BANDS = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 6), dtype=np.uint8)


def stored_as(upright: np.ndarray, turn: int) -> np.ndarray:
    """What a camera stores so that the orientation shows the upright picture: the turn that undoes it."""
    undo = {6: 8, 8: 6}.get(turn, turn)
    bands = upright if upright.ndim == 3 else upright[..., None]
    return np.ascontiguousarray(shown_as(bands, undo).reshape(*shown_as(bands, undo).shape[:2], *upright.shape[2:]))


def with_tifffile(path: Path, pixels: np.ndarray, turn: int, **options: Any) -> None:
    if options.get("planarconfig") == "separate":
        pixels = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    tifffile.imwrite(path, pixels, extratags=[(274, "H", 1, turn, True)], **options)


def with_pillow(mode: str, **options: Any) -> Callable[[Path, np.ndarray, int], None]:
    def write(path: Path, pixels: np.ndarray, turn: int) -> None:
        image = Image.fromarray(pixels)
        if mode == "P":
            image = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
        elif mode == "1":
            image = image.convert("1", dither=Image.Dither.NONE)
        exif = Image.Exif()
        exif[0x0112] = turn
        more = {"tiffinfo": {274: turn}} if path.suffix == ".tif" else {"exif": exif}
        image.save(path, **more, **options)

    return write


def palette(path: Path, pixels: np.ndarray, turn: int) -> None:
    """A palette without compression, whose pixels a decoder may map into memory as they lie there."""
    table = np.random.default_rng(3).integers(0, 65536, (3, 256)).astype(np.uint16)
    with_tifffile(path, pixels, turn, photometric="palette", colormap=table)


def deep_png(path: Path, pixels: np.ndarray, turn: int) -> None:
    import struct
    import zlib

    data = encode_png_16(np.moveaxis(pixels, -1, 0))
    exif = Image.Exif()
    exif[0x0112] = turn
    body = exif.tobytes().removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    path.write_bytes(data[:-12] + chunk + data[-12:])  # after the pixels, where it is allowed to be


def tiff(**options: Any) -> Callable[[Path, np.ndarray, int], None]:
    return lambda path, pixels, turn: with_tifffile(path, pixels, turn, **options)


DEEP = np.uint16(251)
KINDS: dict[str, tuple[str, np.ndarray, Callable[[Path, np.ndarray, int], None]]] = {
    "8-bit grey": ("a.tif", GREY, tiff()),
    "8-bit grey, LZW": ("a.tif", GREY, tiff(compression="lzw")),
    "RGB": ("a.tif", RGB, tiff(photometric="rgb")),
    "RGB, deflate": ("a.tif", RGB, tiff(photometric="rgb", compression="zlib", predictor=2)),
    "RGB, zstd": ("a.tif", RGB, tiff(photometric="rgb", compression="zstd")),
    "RGB by Pillow": ("a.tif", RGB, with_pillow("RGB")),
    "white is zero": ("a.tif", GREY, tiff(photometric="miniswhite")),
    "palette": ("a.tif", GREY, palette),
    "palette by Pillow": ("a.tif", RGB // 64 * 64, with_pillow("P")),
    "palette, packbits": ("a.tif", RGB // 64 * 64, with_pillow("P", compression="packbits")),
    "1 bit": ("a.tif", GREY, with_pillow("1", compression="group4")),
    "16-bit grey": ("a.tif", GREY * DEEP, tiff()),
    "16-bit grey, big-endian": ("a.tif", GREY * DEEP, tiff(byteorder=">", bigtiff=True)),
    "16-bit RGB": ("a.tif", RGB * DEEP, tiff(photometric="rgb", compression="lzw")),
    "float": ("a.tif", (GREY / 300).astype(np.float32), tiff(compression="deflate")),
    "tiled": ("a.tif", RGB, tiff(photometric="rgb", tile=(16, 16))),
    "tiled 16-bit": ("a.tif", GREY * DEEP, tiff(tile=(16, 16))),
    "planes": ("a.tif", RGB, tiff(photometric="rgb", planarconfig="separate")),
    "16-bit planes": ("a.tif", RGB * DEEP, tiff(photometric="rgb", planarconfig="separate")),
    "many bands": ("a.tif", BANDS, tiff(photometric="minisblack", planarconfig="contig")),
    "many bands in planes": ("a.tif", BANDS, tiff(photometric="minisblack", planarconfig="separate")),
    "near infrared": ("a.tif", BANDS[..., :4], tiff(photometric="rgb", extrasamples=["unspecified"])),
    "near infrared as alpha": ("a.tif", BANDS[..., :4], tiff(photometric="rgb", extrasamples=["unassalpha"])),
    "16-bit CMYK": ("a.tif", BANDS[..., :4] * DEEP, tiff(photometric="separated")),
    "PNG": ("a.png", RGB, with_pillow("RGB")),
    "PNG palette": ("a.png", RGB // 64 * 64, with_pillow("P")),
    "PNG 16-bit grey": ("a.png", GREY * DEEP, with_pillow("I;16")),
    "PNG 16-bit colour": ("a.png", RGB * DEEP, deep_png),
    "WebP": ("a.webp", RGB, with_pillow("RGB", lossless=True)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_turn_shows_the_upright_picture(tmp_path: Path, kind: str) -> None:
    name, upright, write = KINDS[kind]
    path = tmp_path / name
    write(path, upright, 1)
    expected = read_pixels(path)
    assert expected.shape == (HEIGHT, WIDTH, 3)
    for turn in range(1, 9):
        write(path, stored_as(upright, turn), turn)
        np.testing.assert_array_equal(read_pixels(path), expected, err_msg=f"orientation {turn}")
        assert image_size(path) == (WIDTH, HEIGHT)
        assert orientation(path) == turn


def test_the_upright_pictures_are_the_stored_values(tmp_path: Path) -> None:
    for kind in ("8-bit grey", "RGB, zstd", "16-bit grey, big-endian", "16-bit RGB", "float", "16-bit planes"):
        name, upright, write = KINDS[kind]
        write(tmp_path / name, upright, 1)
        whole = upright if upright.ndim == 3 else np.repeat(upright[..., None], 3, axis=-1)
        np.testing.assert_array_equal(read_pixels(tmp_path / name), whole, err_msg=kind)
    table = np.random.default_rng(3).integers(0, 65536, (3, 256)) >> 8
    palette(tmp_path / "a.tif", GREY, 1)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), table.T[GREY])


@pytest.mark.parametrize("turn", [0, 9, 400])
def test_an_orientation_that_does_not_exist_is_upright(tmp_path: Path, turn: int) -> None:
    with_tifffile(tmp_path / "a.tif", RGB, turn, photometric="rgb")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), RGB)
    assert image_size(tmp_path / "a.tif") == (WIDTH, HEIGHT)
