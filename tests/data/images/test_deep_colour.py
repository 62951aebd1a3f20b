"""Colours of twelve bits in files of sixteen keep their depth, whatever the file; what is hidden or dark is told."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data.images import load_image, read_header, read_image
from dotcount.errors import ImageReadError

RNG = np.random.default_rng(3)
SMALL = np.clip(90 + 20 * RNG.standard_normal((24, 36, 3)).cumsum(axis=1), 3, 230).astype(np.uint8)
DEEP = SMALL.astype(np.uint16) * 16
PPM = b"P6\n# camera\n36 24\n%d\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jp2", imagecodecs.jpeg2k_encode(DEEP, level=0)),
        ("b.jp2", imagecodecs.jpeg2k_encode(DEEP, level=0, bitspersample=12)),
        ("a.ppm", PPM % 65535 + DEEP.astype(">u2").tobytes()),
        ("b.ppm", PPM % 4095 + DEEP.astype(">u2").tobytes()),
        ("a.png", imagecodecs.png_encode(DEEP)),
    ],
)
def test_colours_keep_their_depth(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    header = read_header(path)
    assert (header.width, header.height, header.deep) == (36, 24, "integer")
    np.testing.assert_array_equal(load_image(path).pixels, DEEP)
    Image.fromarray(SMALL).save(tmp_path / "small.png")
    np.testing.assert_allclose(read_image(path), read_image(tmp_path / "small.png"), atol=0.02)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jp2", imagecodecs.jpeg2k_encode(SMALL, level=0)), ("a.ppm", PPM % 255 + SMALL.tobytes())],
)
def test_eight_bits_stay_eight(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert not read_header(tmp_path / name).deep
    np.testing.assert_array_equal(load_image(tmp_path / name).pixels, SMALL)


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.ppm"
    path.write_bytes((PPM % 65535 + DEEP.astype(">u2").tobytes())[:-9])
    with pytest.raises(ImageReadError, match="cut"):
        load_image(path)


@pytest.mark.parametrize(
    ("alpha", "told"), [((0, 65535), "transparent"), ((17, 300), "more than a mask"), ((65535,), "")]
)
def test_transparency_of_a_deep_tiff_is_told(tmp_path: Path, alpha: tuple[int, ...], told: str) -> None:
    band = np.resize(np.array(alpha, np.uint16), DEEP.shape[:2])
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([DEEP, band]), photometric="rgb", extrasamples=["unassalpha"])
    found = load_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels, DEEP)
    assert [told in note for note in found.notes] == [True] * bool(told)


def test_a_picture_that_is_nearly_black_is_told(tmp_path: Path) -> None:
    """Four bits in a file of eight, or the numbers of classes: there is nothing to see, and nothing is counted."""
    for name, top, told in (("dark", 15, 1), ("black", 0, 0), ("fine", 100, 0)):
        pixels = np.zeros((20, 30), np.uint8)
        pixels[4:9, 4:9] = top
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        assert len(load_image(tmp_path / f"{name}.png").notes) == told
