"""Files that are no images start no program, end no run and eat no memory."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data.images import image_size, load_image, open_raster, orientation, read_pixels, unreadable_kind
from dotcount.data.images.kinds import SUFFIXES
from dotcount.data.windows import TiffWindows
from dotcount.errors import ImageReadError

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n20 20 moveto showpage\n%%EOF\n"
TEXTS = {
    "eps": EPS,
    "dos-eps": struct.pack("<4sIIIIIIH", b"\xc5\xd0\xd3\xc6", 30, len(EPS), 0, 0, 0, 0, 0xFFFF) + EPS,
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><g/></svg>',
    "script": b"#!/bin/sh\ntouch here\n",
    "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
}


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on PATH with stand-ins for programs, each of which leaves a trace; the trace's path."""
    trace = tmp_path / "started"
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("gs", "gswin64c", "djpeg", "convert", "inkscape", "pdftoppm", "display", "xv"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "$0 $@" >> "{trace}"\nexit 0\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert os.system("gs --version > /dev/null 2>&1") == 0  # the stand-in is found
    assert trace.is_file()
    trace.unlink()
    return trace


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".eps"])
def test_documents_under_an_images_name_start_no_program(tmp_path: Path, started: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(TEXTS[kind])
    path.chmod(0o755)
    for read in (read_pixels, image_size, load_image):
        with pytest.raises(ImageReadError, match=rf"a\{suffix}"):
            read(path)
    assert orientation(path) == 1
    assert TiffWindows.open(path) is None
    with pytest.raises(OSError):
        open_raster(path)
    assert not started.exists()
    assert not (tmp_path / "here").exists()


def test_every_opening_goes_through_one_function() -> None:
    """Decoders are listed there; a second place would bring Ghostscript back."""
    import dotcount

    root = Path(dotcount.__file__).parent
    found = [p.relative_to(root).as_posix() for p in root.rglob("*.py") if "Image.open(" in p.read_text("utf-8")]
    assert found == ["data/images/opening.py"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_pipes_devices_and_folders_are_refused_unopened(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"folder{suffix}").mkdir()
    for name, kind in (("pipe", "a pipe"), ("zero", "a device"), ("folder", "a folder")):
        path = tmp_path / f"{name}{suffix}"
        for read in (read_pixels, image_size):
            with pytest.raises(ImageReadError, match=f"{kind}, not a regular file"):
                read(path)
        assert TiffWindows.open(path) is None


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("depth", "colour"), [(8, 2), (16, 2), (16, 4), (16, 6), (16, 0), (8, 3), (1, 0)])
def test_the_pixel_limit_holds_for_every_depth(tmp_path: Path, depth: int, colour: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(20_000, 20_000, depth, colour))
    with pytest.raises(ImageReadError, match=r"a\.png claims more than 178 million pixels .*20000 x 20000|claims more"):
        read_pixels(path)


@pytest.mark.parametrize("shape", [(60_000, 60_000), (12_000, 12_000, 200)], ids=str)
def test_the_limits_hold_for_tiff(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """A header that promises more than the file could hold; memory of many bands counts as well."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8, *shape[2:]), np.float32), photometric="minisblack", planarconfig=None)
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags  # type: ignore[union-attr]
        places = [(tags[code].valueoffset, tags[code].dtype, side) for code, side in ((256, shape[1]), (257, shape[0]))]
    data = bytearray(path.read_bytes())
    for offset, kind, side in places:
        size = 2 if kind == 3 else 4
        data[offset : offset + size] = side.to_bytes(size, "little")
    path.write_bytes(data)
    with pytest.raises(ImageReadError, match=r"a\.tif"):
        read_pixels(path)


def test_grey_with_alpha_of_sixteen_bits_keeps_its_depth(tmp_path: Path) -> None:
    values = np.arange(12 * 10, dtype=np.uint16).reshape(10, 12) * 30
    rows = b"".join(b"\0" + np.stack([row, np.full_like(row, 65535)], -1).astype(">u2").tobytes() for row in values)
    (tmp_path / "a.png").write_bytes(png(12, 10, 16, 4, rows))
    found = load_image(tmp_path / "a.png")
    np.testing.assert_array_equal(found.pixels[..., 0], values)
    assert found.notes == ()


@pytest.mark.parametrize("error", [RuntimeError, ImportError, KeyError, AttributeError, MemoryError, ZeroDivisionError])
def test_whatever_a_decoder_raises_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((9, 9), np.uint16), compression="zstd")

    def broken(*_: object, **__: object) -> None:
        raise error("odd")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", broken)
    with pytest.raises(ImageReadError, match=r"a\.tif"):
        read_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["lzw", "zstd", "zlib", "packbits", "lzma", "lerc"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_compressions_that_microscopes_use(tmp_path: Path, compression: str, dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (40, 50)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif")[..., 2], pixels)


def test_packed_twelve_bits_are_read(tmp_path: Path) -> None:
    """Twelve bits a sample, as some cameras pack them: two values in three bytes."""
    values = np.array([[1, 4095, 2048, 77]], dtype=np.uint16)
    packed = bytes([0x00, 0x1F, 0xFF, 0x80, 0x00, 0x4D])
    entries = [
        (256, 4, 4),
        (257, 4, 1),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 122),
        (277, 3, 1),
        (278, 4, 1),
    ]
    entries.append((279, 4, len(packed)))
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", c, k, 1, v) for c, k, v in entries)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + ifd + bytes(4) + packed)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif")[..., 0], values)


def test_pages_that_lead_back_to_the_first_come_to_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for side in (8, 5):
            file.write(np.full((side, side), side, np.uint16), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        first, second = (page.offset for page in tiff.pages)
        entries = len(tiff.pages[1].tags)  # type: ignore[union-attr]
    data = bytearray(path.read_bytes())
    end = second + 2 + 12 * entries
    data[end : end + 4] = struct.pack("<I", first)
    path.write_bytes(data)
    assert (read_pixels(path) == 8).all()


def test_what_can_not_be_read_says_what_it_is(tmp_path: Path) -> None:
    for name, word in [
        ("a.HEIC", "JPEG"),
        ("a.oib", "TIFF"),
        ("a.ndpi", "QuPath"),
        ("a.mp4", "frames"),
        ("a.cr2", "raw"),
        ("a.psd", "editor"),
        ("a.nrrd", "medical"),
        ("a.eps", "no pixels"),
        ("a.npy", "array"),
    ]:
        kind = unreadable_kind(name)
        assert kind is not None
        assert word in kind
        (tmp_path / name).write_bytes(b"something else entirely")
        with pytest.raises(ImageReadError, match=word):
            read_pixels(tmp_path / name)
    assert all(unreadable_kind(f"a{suffix}") is None for suffix in SUFFIXES)
    assert unreadable_kind("notes.txt") is None
    assert unreadable_kind(".hidden.heic") is None


def test_a_photograph_under_another_name_is_read_all_the_same(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 9, 3), 70, np.uint8)).save(tmp_path / "a.heic", format="PNG")
    assert (read_pixels(tmp_path / "a.heic") == 70).all()
