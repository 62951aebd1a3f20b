"""Images of more than 8 bits: counted like the same pictures in 8 bit, by one range for all, and told."""

import numpy as np
import pytest
import tifffile

import dotcount
from dotcount.data.images import read_pixels
from dotcount.data.synthetic import write_dataset


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    write_dataset(folder / "plain", "cells", train=0, val=0, test=3, size=96)
    return {path.stem: read_pixels(path) for path in sorted((folder / "plain").rglob("*.png"))}


@pytest.fixture(scope="module")
def cells():
    return dotcount.load("cells", device="cpu")


def counts(predictor, folder):
    found = {frame.name.split(".")[0]: (prediction, frame) for frame, prediction in predictor.predict_many(folder)}
    return {name: prediction.count for name, (prediction, _) in found.items()}, [f for _, f in found.values()]


DEPTHS = {
    "12 bit": lambda x: np.rint(x / 255 * 4095).astype(np.uint16),
    "12 bit, with the offset of a camera": lambda x: np.rint(120 + x / 255 * 3975).astype(np.uint16),
    "dim": lambda x: np.rint(100 + x / 255 * 900).astype(np.uint16),
    "16 bit, made of 8": lambda x: x.astype(np.uint16) * np.uint16(257),
    "float": lambda x: (x / 255 * 8 - 3).astype(np.float32),
}


@pytest.mark.parametrize("depth", DEPTHS)
def test_deep_pictures_are_counted_like_those_of_eight_bits(tmp_path, cells, pictures, depth):
    for name, pixels in pictures.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", DEPTHS[depth](pixels), photometric="rgb", compression="lzw")
    found, frames = counts(cells, tmp_path)
    plain = {name: cells.predict(pixels).count for name, pixels in pictures.items()}
    assert sum(found.values()) == pytest.approx(sum(plain.values()), rel=0.1)
    for frame in frames:
        assert any("values were mapped from" in note and "counted together" in note for note in frame.warnings)


def test_one_range_holds_for_all_so_that_an_empty_picture_stays_empty(tmp_path, cells, pictures):
    name, pixels = next(iter(pictures.items()))
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / f"{name}.tif", DEPTHS["12 bit"](pixels), photometric="rgb")
    tifffile.imwrite(tmp_path / "empty.tif", rng.normal(130, 8, (96, 96)).astype(np.uint16))
    found, frames = counts(cells, tmp_path)
    assert found["empty"] < 0.1 * found[name]
    assert len({frame.intensity for frame in frames}) == 1


def test_eight_bits_have_nothing_to_tell(tmp_path, cells, pictures):
    for name, pixels in pictures.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="rgb")
    found, frames = counts(cells, tmp_path)
    assert found == {name: cells.predict(pixels).count for name, pixels in pictures.items()}
    said = [text for frame in frames for text in frame.warnings if "familiarity" not in text]  # of so small pictures
    assert said == []
