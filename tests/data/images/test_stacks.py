"""Pages, planes, channels and bands: which are read, which are chosen, and that the others are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data.images import image_size, load_image, read_header, read_pixels
from dotcount.data.windows import TiffWindows
from dotcount.errors import ImageReadError, InputError
from dotcount.selection import ImageSelection

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4096, (5, 20, 30)).astype(np.uint16)
HYPER = RNG.integers(0, 4096, (4, 3, 20, 30)).astype(np.uint16)  # z, channels


def first_band(path: Path, selection: ImageSelection) -> np.ndarray:
    return np.asarray(read_pixels(path, selection)[..., 0])


WRITERS = {
    "plain pages": {"metadata": None},
    "described": {},
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "OME": {"ome": True, "metadata": {"axes": "ZYX"}},
    "one page for all": {"metadata": {"axes": "ZYX"}, "truncate": True},
    "volume": {"volumetric": True, "tile": (16, 16, 16), "compression": "zlib"},
    "LZW": {"metadata": None, "compression": "lzw"},
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pages_are_chosen_and_told(tmp_path: Path, writer: str, dtype: str) -> None:
    path = tmp_path / "a.tif"
    stack = (STACK // 16).astype(dtype)
    tifffile.imwrite(path, stack, photometric="minisblack", **WRITERS[writer])
    first = load_image(path)
    np.testing.assert_array_equal(first.pixels[..., 0], stack[0])
    assert any("1 of 5" in note and "other 4 were not" in note for note in first.notes), first.notes
    assert read_header(path).notes == first.notes
    np.testing.assert_array_equal(first_band(path, ImageSelection(page=4)), stack[3])
    np.testing.assert_array_equal(first_band(path, ImageSelection(projection="max")), stack.max(axis=0))
    assert "maximum over 5" in " ".join(load_image(path, ImageSelection(projection="max")).notes)
    with pytest.raises(ImageReadError, match=r"a\.tif has 5 pages; page 6 does not exist"):
        read_pixels(path, ImageSelection(page=6))
    assert image_size(path) == (30, 20)


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}], ids=str)
def test_channels_of_a_microscope_are_chosen_and_told(tmp_path: Path, options: dict[str, bool]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, HYPER, photometric="minisblack", metadata={"axes": "ZCYX"}, **options)
    found = load_image(path)
    np.testing.assert_array_equal(found.pixels[..., 1], HYPER[0, 0])
    assert found.notes == (
        "page 1 of 4 pages (z) was read, the other 3 were not",
        "channel 1 of 3 was read, the other 2 were not",
    )
    np.testing.assert_array_equal(first_band(path, ImageSelection(page=3, channels=(2,))), HYPER[2, 1])
    colours = load_image(path, ImageSelection(channels=(3, 1, 2)))
    np.testing.assert_array_equal(colours.pixels, HYPER[0][[2, 0, 1]].transpose(1, 2, 0))
    assert len(colours.notes) == 1
    two = read_pixels(path, ImageSelection(channels=(2, 3)))
    np.testing.assert_array_equal(two[..., 1], HYPER[0, 2])
    assert (two[..., 2] == 0).all()
    highest = read_pixels(path, ImageSelection(projection="max", channels=(2,)))
    np.testing.assert_array_equal(highest[..., 0], HYPER[:, 1].max(axis=0))
    with pytest.raises(ImageReadError, match="3 channels; channel 4 does not exist"):
        read_pixels(path, ImageSelection(channels=(4,)))


def test_time_and_depth_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", HYPER, imagej=True, metadata={"axes": "TZYX"})
    assert "(4 time x 3 z)" in load_image(tmp_path / "a.tif").notes[0]
    np.testing.assert_array_equal(first_band(tmp_path / "a.tif", ImageSelection(page=5)), HYPER[1, 1])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_bands_are_chosen_and_told(tmp_path: Path, planar: str, dtype: str) -> None:
    bands = RNG.integers(0, 250, (20, 30, 5)).astype(dtype)
    stored = np.moveaxis(bands, -1, 0) if planar == "separate" else bands
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=planar)
    found = load_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels, bands[..., :3])
    assert found.notes == ("bands 1, 2, 3 of 5 were read, the other 2 were not",)
    chosen = load_image(tmp_path / "a.tif", ImageSelection(channels=(5, 4, 1)))
    np.testing.assert_array_equal(chosen.pixels, bands[..., [4, 3, 0]])
    np.testing.assert_array_equal(first_band(tmp_path / "a.tif", ImageSelection(channels=(4,))), bands[..., 3])


def test_transparency_is_no_band_left_out_and_near_infrared_is(tmp_path: Path) -> None:
    bands = RNG.integers(0, 250, (20, 30, 4)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", bands, photometric="rgb", extrasamples=["unassalpha"])
    assert "more than a mask" in " ".join(load_image(tmp_path / "a.tif").notes)
    bands[..., 3] = 255
    tifffile.imwrite(tmp_path / "a.tif", bands, photometric="rgb", extrasamples=["unassalpha"])
    assert load_image(tmp_path / "a.tif").notes == ()


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_frames_are_chosen_and_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frames = [Image.fromarray(np.full((12, 14, 3), 60 * k + 20, np.uint8)) for k in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == ".webp" else {}))
    found = load_image(path)
    assert found.notes == ("frame 1 of 3 frames was read, the other 2 were not",)
    for k in range(3):
        assert abs(int(read_pixels(path, ImageSelection(page=k + 1))[0, 0, 0]) - (60 * k + 20)) <= 4
    assert abs(int(read_pixels(path, ImageSelection(projection="max")).max()) - 140) <= 4


def test_overviews_are_no_pages_and_other_images_are_told(tmp_path: Path) -> None:
    big, small = STACK[0], STACK[0, ::2, ::2]
    with tifffile.TiffWriter(tmp_path / "cog.tif") as file:
        file.write(big, photometric="minisblack", metadata=None)
        file.write(small, photometric="minisblack", subfiletype=1, metadata=None)
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        file.write(big, photometric="minisblack", metadata=None)
        file.write(small[:7], photometric="minisblack", metadata=None)
    assert load_image(tmp_path / "cog.tif").notes == ()
    assert load_image(tmp_path / "two.tif").notes == ("the file holds another image, which was not read",)


def test_single_pictures_have_nothing_to_tell(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 8, 3), np.uint8)).save(tmp_path / "a.jpg")
    tifffile.imwrite(tmp_path / "a.tif", STACK[0])
    for name in ("a.jpg", "a.tif"):
        assert load_image(tmp_path / name).notes == ()
    red = read_pixels(tmp_path / "a.jpg", ImageSelection(channels=(1,)))
    assert red.shape == (9, 8, 3)


@pytest.mark.parametrize(
    "values",
    [{"page": 0}, {"page": True}, {"page": "2"}, {"projection": "mean"}, {"projection": "max", "page": 2}]
    + [{"channels": ()}, {"channels": (1, 2, 3, 4)}, {"channels": (0,)}, {"channels": (1.5,)}],
    ids=str,
)
def test_choices_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ImageSelection(**values)  # type: ignore[arg-type]


def test_a_choice_survives_json_and_is_described() -> None:
    for choice in (ImageSelection(), ImageSelection(page=3), ImageSelection(projection="max", channels=(2, 1))):
        assert ImageSelection.from_dict(choice.to_dict()) == choice
    assert ImageSelection(projection="max", channels=(2, 1)).described() == "maximum over all pages, channels 2, 1"
    with pytest.raises(InputError, match="selection"):
        ImageSelection.from_dict({"page": 1})


def test_a_preview_before_the_image_is_passed_over(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(whole[::2, ::2], photometric="rgb", subfiletype=1)
        file.write(whole, photometric="rgb", tile=(16, 16))
    loaded = load_image(tmp_path / "a.tif")
    assert np.array_equal(loaded.pixels, whole)
    assert loaded.notes == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_that_are_named_as_colours_are_read_as_such(tmp_path: Path, dtype: type) -> None:
    """Satellites' files begin with blue."""
    whole = np.random.default_rng(0).integers(0, 200, (60, 80, 4), dtype=dtype)
    items = "".join(
        f'<Item name="COLORINTERP" sample="{k}" role="colorinterp">{colour}</Item>'
        for k, colour in enumerate(("Blue", "Green", "Red", "Undefined"))
    )
    tags = [(42112, "s", 0, f"<GDALMetadata>{items}</GDALMetadata>", True)]
    tifffile.imwrite(tmp_path / "a.tif", whole, photometric="minisblack", planarconfig="contig", extratags=tags)
    loaded = load_image(tmp_path / "a.tif")
    assert np.array_equal(loaded.pixels, whole[..., [2, 1, 0]])
    assert loaded.notes == ("bands 3, 2, 1 of 4 were read, the other one was not",)
    assert TiffWindows.open(tmp_path / "a.tif") is None


def test_webp_within_a_tiff(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", whole, photometric="rgb", compression="webp")
    assert np.array_equal(load_image(tmp_path / "a.tif").pixels, whole)
