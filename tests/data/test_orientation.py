"""Sets with and without an up and a down, drawn."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data import open_collection
from dotcount.data.orientation import find_orientation


def scene(rng, upright, ramp):
    """Return an image of 120 x 96 px and its dots: discs anywhere, or in rows that get wider and larger downwards."""
    pixels = rng.normal(100, 20, (96, 120, 3)).clip(0, 255)
    if ramp:
        pixels += np.linspace(60, 0, 96)[:, None, None]
    rows = rng.uniform(0, 1, 14)
    y = 6 + 84 * (rows**0.5 if upright else rows)
    x = rng.uniform(6, 114, 14)
    for cx, cy in zip(x, y):
        radius = 1 + 4 * (cy / 96 if upright else 0.5)
        yy, xx = np.mgrid[:96, :120]
        pixels[(xx - cx) ** 2 + (yy - cy) ** 2 < radius**2] = 220
    return pixels.clip(0, 255).astype(np.uint8), np.c_[x, y]


def make(folder, n, *, upright=False, ramp=False, suffix=".png", save=None):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    rows = ["image,x,y"]
    for i in range(n):
        pixels, xy = scene(rng, upright, ramp)
        if save is None:
            Image.fromarray(pixels).save(folder / f"{i}{suffix}")
        else:
            save(folder / f"{i}{suffix}", pixels)
        rows += [f"{i}{suffix},{x:.1f},{y:.1f}" for x, y in xy]
    (folder / "dots.csv").write_text("\n".join(rows) + "\n")
    return open_collection(folder).records


@pytest.mark.parametrize(
    ("kind", "free"),
    [({}, True), ({"upright": True}, False), ({"ramp": True}, False)],
    ids=["no up or down", "perspective", "a bright sky"],
)
def test_what_images_show(tmp_path, kind, free):
    assert find_orientation(make(tmp_path / "set", 30, **kind)).free is free


def test_few_images_tell_nothing(tmp_path):
    found = find_orientation(make(tmp_path / "set", 6))
    assert found.free is None
    assert "too few" in found.reason


def imagej(path, pixels):
    tifffile.imwrite(path, pixels[..., 0], imagej=True)


def ome(path, pixels):
    tifffile.imwrite(path, pixels[..., 0], ome=True)


def geo(path, pixels):
    scale = (33550, "d", 3, (0.5, 0.5, 0.0), True)
    place = (33922, "d", 6, (0.0, 0.0, 0.0, 400000.0, 3700000.0, 0.0), True)
    keys = (34735, "H", 8, (1, 1, 0, 1, 1024, 0, 1, 1), True)
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=[scale, place, keys])


@pytest.mark.parametrize(("save", "name"), [(imagej, "ImageJ"), (ome, "OME"), (geo, "GeoTIFF")])
def test_what_files_state(tmp_path, save, name):
    suffix = ".ome.tif" if save is ome else ".tif"
    found = find_orientation(make(tmp_path / "set", 3, suffix=suffix, save=save))
    assert found.free is True
    assert name in found.reason


def test_a_plain_tiff_states_nothing(tmp_path):
    assert find_orientation(make(tmp_path / "set", 3, suffix=".tif")).free is None


def test_unreadable_images_are_passed_over(tmp_path):
    records = make(tmp_path / "set", 30)
    records[3].image.write_bytes(b"nothing")
    assert find_orientation(records).free is True
