"""Files of microscopes and DICOM: the right plane, channel and scale, and words for everything else."""

from __future__ import annotations

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from dotcount.data import open_collection
from dotcount.data.images import load_image, read_header, read_pixels
from dotcount.errors import ImageReadError
from dotcount.selection import ImageSelection
from tests.data.images.instruments import scene, write_czi, write_dicom, write_lif, write_lof, write_nd2


def grey(plane):
    return np.repeat(plane[..., None], 3, axis=-1)


def page(number, *channels):
    return ImageSelection(number, channels=channels or None)


# Nikon


@pytest.mark.parametrize("lossless", [False, True])
def test_nd2_planes_and_channels(tmp_path, lossless):
    values = scene((2, 3, 2, 6, 9))
    path = write_nd2(tmp_path / "a.nd2", values, "PZ", um=0.65, lossless=lossless)
    header = read_header(path)
    assert (header.width, header.height, header.pages, header.deep) == (9, 6, 6, "integer")
    assert header.pixel_size == pytest.approx(0.65e-6)
    for number in range(6):
        position, z = divmod(number, 3)
        for channel in (1, 2):
            found = read_pixels(path, page(number + 1, channel))
            np.testing.assert_array_equal(found, grey(values[position, z, channel - 1]))
    two = read_pixels(path, page(2, 2, 1))
    np.testing.assert_array_equal(two, np.stack([values[0, 1, 1], values[0, 1, 0], np.zeros((6, 9))], axis=-1))
    np.testing.assert_array_equal(
        read_pixels(path, ImageSelection(projection="max")), grey(values[:, :, 0].max((0, 1)))
    )
    assert load_image(path, page(5)).notes == (
        "plane 5 of 6 planes (2 position x 3 z) was read, the other 5 were not",
        "channel 1 of 2 was read, the other one was not",
        "plane 5 is position 2, z 2",
    )
    for wrong, words in ((page(7), "6 planes; page 7 does not exist"), (page(1, 3), "2 channels; channel 3")):
        with pytest.raises(ImageReadError, match=words):
            read_pixels(path, wrong)


def test_nd2_of_one_plane_and_of_colours(tmp_path):
    values = scene((1, 5, 4), dtype=np.uint8)
    image = load_image(write_nd2(tmp_path / "a.nd2", values))
    np.testing.assert_array_equal(image.pixels, grey(values[0]))
    assert (image.notes, image.pixel_size) == ((), None)
    colours = scene((2, 5, 4, 3), dtype=np.uint8)
    path = write_nd2(tmp_path / "b.nd2", colours, "T", colours=True)
    np.testing.assert_array_equal(read_pixels(path, page(2)), colours[1])
    np.testing.assert_array_equal(read_pixels(path, page(1, 2)), grey(colours[0, ..., 1]))


def test_a_plane_that_was_never_written_is_no_black_one(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", scene((3, 1, 6, 9)), "T", cut=1)
    assert read_pixels(path, page(2)).any()
    with pytest.raises(ImageReadError, match="plane 3 is missing"):
        read_pixels(path, page(3))


# Zeiss


@pytest.mark.parametrize("compression", [0, 5, 6])
def test_czi_scenes_tiles_and_channels(tmp_path, compression):
    first, second = scene((2, 3, 8, 12)), scene((2, 1, 5, 6), 1)  # channels, z, rows, columns
    tiles = [
        {"values": first[c, z, y : y + 4, x : x + 6], "X": 100 + x, "Y": y - 50, "C": c, "Z": z, "S": 0, "M": m}
        for c in range(2)
        for z in range(3)
        for m, (y, x) in enumerate([(0, 0), (0, 6), (4, 0), (4, 6)])
    ]
    tiles += [{"values": second[c, 0], "X": 900, "Y": 7, "C": c, "Z": 0, "S": 1, "M": 0} for c in range(2)]
    tiles += [{"values": first[0, 0, ::4, ::4], "X": 100, "Y": -50, "C": 0, "Z": 0, "S": 0, "reduced": 4}]
    path = write_czi(tmp_path / "a.czi", tiles, um=0.325, compression=compression)
    assert read_header(path).pages == 4
    assert read_header(path).pixel_size == pytest.approx(0.325e-6)
    for z in range(3):
        np.testing.assert_array_equal(read_pixels(path, page(z + 1, 2)), grey(first[1, z]))
    np.testing.assert_array_equal(read_pixels(path, page(4)), grey(second[0, 0]))
    assert (read_header(path, page(4)).width, read_header(path, page(4)).height) == (6, 5)
    assert "plane 4 is scene 2" in load_image(path, page(4)).notes
    assert "plane 1 of 4 planes (2 scenes) was read, the other 3 were not" in load_image(path).notes
    with pytest.raises(ImageReadError, match="holds 2 scenes, over which there is no maximum"):
        read_pixels(path, ImageSelection(projection="max"))


@pytest.mark.parametrize("compression", [0, 5])
def test_czi_of_colours(tmp_path, compression):
    values = scene((6, 7, 3), dtype=np.uint8)
    path = write_czi(tmp_path / "a.czi", [{"values": values, "C": 0}], compression=compression)
    image = load_image(path)
    np.testing.assert_array_equal(image.pixels, values)
    assert (image.notes, image.pixel_size) == ((), None)


def test_a_czi_plane_that_is_missing_is_no_black_one(tmp_path):
    tiles = [{"values": scene((4, 4)), "Z": z} for z in (0, 2)]
    path = write_czi(tmp_path / "a.czi", tiles)
    assert read_header(path).pages == 3
    with pytest.raises(ImageReadError, match="a plane is missing"):
        read_pixels(path, page(2))


# Leica


def test_lif_images_and_planes(tmp_path):
    first, second = scene((3, 2, 6, 9)), scene((5, 4), 1, np.uint8)
    path = write_lif(tmp_path / "a.lif", {"one": (first, "ZCYX"), "two": (second, "YX")}, um=0.5)
    assert read_header(path).pages == 4
    assert read_header(path).pixel_size == pytest.approx(0.5e-6)
    for z in range(3):
        for channel in (1, 2):
            np.testing.assert_array_equal(read_pixels(path, page(z + 1, channel)), grey(first[z, channel - 1]))
    image = load_image(path, page(4))
    np.testing.assert_array_equal(image.pixels, grey(second))
    assert image.pixels.dtype == np.uint8
    assert any(note.startswith("plane 4 is image") and note.endswith("two") for note in image.notes)
    with pytest.raises(ImageReadError, match=r"has one channel; channel 2 does not exist"):
        read_pixels(path, page(4, 2))


def test_lif_of_colours(tmp_path):
    values = scene((6, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_pixels(write_lif(tmp_path / "a.lif", {"a": (values, "YXS")})), values)


def test_lof_is_one_image(tmp_path):
    values = scene((2, 6, 8))
    path = write_lof(tmp_path / "a.lof", "one", values, "ZYX")
    assert read_header(path).pages == 2
    np.testing.assert_array_equal(read_pixels(path, page(2)), grey(values[1]))


# DICOM


def test_dicom_frames_and_scale(tmp_path):
    values = scene((4, 6, 9))
    path = write_dicom(tmp_path / "a.dcm", values, PixelSpacing=[0.2, 0.8])
    header = read_header(path)
    assert (header.width, header.height, header.pages, header.deep) == (9, 6, 4, "integer")
    assert header.pixel_size == pytest.approx(0.4e-3)
    np.testing.assert_array_equal(read_pixels(path, page(3)), grey(values[2]))
    assert load_image(path).notes == ("frame 1 of 4 frames was read, the other 3 were not",)
    np.testing.assert_array_equal(read_pixels(path, ImageSelection(projection="max")), grey(values.max(0)))


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2, 0), (0.5, -10)])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_values_are_what_was_measured_dark_to_bright(tmp_path, kind, slope, intercept):
    values = scene((6, 9)) >> 4
    path = write_dicom(tmp_path / "a", values, kind, bits=12, RescaleSlope=slope, RescaleIntercept=intercept)
    stored = values.astype(float) if kind == "MONOCHROME2" else 4095.0 - values
    np.testing.assert_array_equal(read_pixels(path)[..., 0], stored * slope + intercept)


def test_dicom_of_colours_and_of_signed_values(tmp_path):
    colours = scene((6, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_pixels(write_dicom(tmp_path / "a.dcm", colours, "RGB")), colours)
    signed = scene((6, 9), dtype=np.int16) - 9000
    np.testing.assert_array_equal(read_pixels(write_dicom(tmp_path / "b.dcm", signed))[..., 0], signed)


def test_dicom_padding_is_filled_and_said(tmp_path):
    values = scene((20, 20)) % 1000 + 100
    values[:10] = 0
    path = write_dicom(tmp_path / "a.dcm", values, PixelPaddingValue=0, RescaleSlope=1, RescaleIntercept=-50)
    image = load_image(path)
    assert image.notes == ("50% of its pixels hold no data and were filled",)
    assert (image.pixels[:10] == values[10:].min() - 50).all()


@pytest.mark.parametrize(
    ("tags", "words"),
    [({"TotalPixelMatrixColumns": 5000}, "slide in DICOM tiles"), ({"PhotometricInterpretation": "ARGB"}, "as ARGB")],
)
def test_dicom_that_can_not_be_read_is_told(tmp_path, tags, words):
    with pytest.raises(ImageReadError, match=words):
        read_pixels(write_dicom(tmp_path / "a.dcm", scene((4, 4)), **tags))


@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless", "MR_small_jp2klossless", "MR_small_RLE"])
def test_dicom_of_other_programs_is_read_alike_whatever_its_compression(name):
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    if not (folder / f"{name}.dcm").is_file():
        pytest.skip("pydicom was installed without its files")
    plain, packed = load_image(folder / "MR_small.dcm"), load_image(folder / f"{name}.dcm")
    assert plain.pixels.max() == 2145
    np.testing.assert_array_equal(packed.pixels, plain.pixels)


@pytest.mark.parametrize("kind", ["80", "70", "91"])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_dicom_compressions_keep_frames_apart(tmp_path, kind, dtype):
    values = (scene((3, 24, 40)).astype(np.int64) % 4096 - (2048 if dtype is np.int16 else 0)).astype(dtype)
    path = write_dicom(tmp_path / "a.dcm", values, bits=12)
    encode = {
        "80": imagecodecs.jpegls_encode,
        "70": lambda x: imagecodecs.ljpeg_encode(x, bitspersample=12),
        "91": lambda x: imagecodecs.jpeg2k_encode(x, level=0, codecformat="j2k", bitspersample=12),
    }[kind]
    if kind == "91" and dtype is np.int16:
        pytest.skip("pydicom reads these itself")
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.UID(f"1.2.840.10008.1.2.4.{kind}")
    data.PixelData = encapsulate([encode((frame.view(np.uint16) & 4095).copy()) for frame in values])
    data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)
    for number in range(3):
        np.testing.assert_array_equal(read_pixels(path, page(number + 1))[..., 0], values[number])


def test_a_dicom_compression_that_is_not_read_is_named(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", scene((8, 8)))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML
    data.PixelData = encapsulate([b"none"])
    data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)
    with pytest.raises(ImageReadError, match=r"a\.dcm is compressed as MPEG2 .*; export it"):
        read_pixels(path)


# All


@pytest.mark.parametrize(
    ("module", "extra", "write"),
    [
        ("nd2", "microscopy", lambda p: write_nd2(p, scene((1, 4, 4)))),
        ("czifile", "microscopy", lambda p: write_czi(p, [{"values": scene((4, 4))}])),
        ("liffile", "microscopy", lambda p: write_lif(p, {"a": (scene((4, 4)), "YX")})),
        ("pydicom", "dicom", lambda p: write_dicom(p, scene((4, 4)))),
    ],
)
def test_a_missing_extra_is_answered_with_the_pip_line(tmp_path, monkeypatch, module, extra, write):
    path = write(tmp_path / "a.bin")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImageReadError, match=rf"a\.bin .*pip install 'dotcount\[{extra}\]'"):
        read_pixels(path)


@pytest.mark.parametrize("name", ["a.nd2", "a.czi", "a.lif", "a.dcm"])
@pytest.mark.parametrize("keep", [0.98, 0.5, 0.02])
def test_a_file_cut_off_is_an_error_that_names_it(tmp_path, name, keep):
    path = tmp_path / name
    {
        "a.nd2": lambda: write_nd2(path, scene((2, 1, 64, 64)), "T"),
        "a.czi": lambda: write_czi(path, [{"values": scene((64, 64)), "Z": z} for z in range(2)]),
        "a.lif": lambda: write_lif(path, {"a": (scene((2, 64, 64)), "ZYX")}),
        "a.dcm": lambda: write_dicom(path, scene((2, 64, 64))),
    }[name]()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ImageReadError, match=rf"a\.{name[2:]}"):
        [read_pixels(path, page(number)) for number in (1, 2)]


def test_they_are_images_of_a_data_set(tmp_path):
    write_nd2(tmp_path / "a.nd2", scene((1, 40, 50)))
    write_dicom(tmp_path / "b.dcm", scene((40, 50)))
    (tmp_path / "dots.csv").write_text("image,x,y\na.nd2,3,4\na.nd2,30,20\nb.dcm,7,8\n")
    found = {record.name: len(record.points) for record in open_collection(tmp_path).records}
    assert found == {"a.nd2": 2, "b.dcm": 1}
