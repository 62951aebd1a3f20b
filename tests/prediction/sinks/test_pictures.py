import dataclasses

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.inference import Prediction
from dotcount.prediction.frame import Frame
from dotcount.report.heat import heat_colours
from dotcount.report.heatmap import heatmap
from dotcount.report.legend import legend_colours


def test_overlays_are_drawn_from_the_pixels_that_were_read(frame, write):
    out = write("overlays", frame("a/b.png"), (Frame("c.png", error="broken"), None))
    with Image.open(out / "overlays" / "a" / "b.png.jpg") as picture:
        assert picture.width == 512
        assert picture.height > 341  # a legend below the image
    assert [p.name for p in (out / "overlays").rglob("*.jpg")] == ["b.png.jpg"]


def test_heat_maps_have_the_colours_and_the_legend_of_overlays(frame, write):
    with Image.open(write("heatmap", frame()) / "heatmaps" / "a.png.png") as picture:
        assert picture.mode == "P", "a quarter of the bytes, and of the time"
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] == 512
    assert 341 < pixels.shape[0] < 420
    assert len(np.unique(pixels[:341].reshape(-1, 3), axis=0)) == 1  # every cell holds the same
    assert len(np.unique(pixels[341:].reshape(-1, 3), axis=0)) > 100


def test_cells_of_a_heat_map_are_read_off_its_scale():
    density = np.array([[0, 1], [4, 16]], np.float32)
    prediction = Prediction(21, None, np.zeros((0, 2)), np.zeros(0), density, (4.0, 4.0), 8, 8)
    pixels = np.asarray(heatmap(prediction, side=400).convert("RGB"))[:400, :400]
    shown = pixels[100::200, 100::200].astype(int)
    places = [int(np.abs(heat_colours() - colour).sum(1).argmin()) for colour in shown.reshape(-1, 3)]
    np.testing.assert_allclose(np.square(np.array(places) / 255) * 16, [0, 1, 4, 16], atol=0.2)
    empty = dataclasses.replace(prediction, density=density * np.float32(1e-9))
    dark = np.asarray(heatmap(empty, side=400).convert("RGB"))[:400, :400]
    assert (dark == heat_colours()[0].round()).all()  # no noise as objects


@pytest.mark.parametrize(("width", "shown"), [(100, 512), (1024, 1024), (9000, 1200)])
def test_heat_maps_are_as_large_as_the_image_within_limits(width, shown):
    density = np.ones((2, width // 4), np.float32)
    picture = heatmap(Prediction(1, None, np.zeros((0, 2)), np.zeros(0), density, (4.0, 4.0), width, 8))
    assert picture.width == shown


def test_the_legend_of_a_heat_map_keeps_its_ground_letters_and_colours():
    density = np.ones((30, 40), np.float32)
    picture = heatmap(Prediction(1200, None, np.zeros((0, 2)), np.zeros(0), density, (4.0, 4.0), 160, 120))
    strip = np.asarray(picture.convert("RGB"), dtype=int)[384:].reshape(-1, 3)
    for colour in (legend_colours(2)[0], legend_colours(2)[1], *heat_colours()[[0, 128, 255]]):
        assert np.abs(strip - colour).sum(axis=1).min() < 12


@pytest.mark.parametrize(("empty", "compression"), [(0.2, "NONE"), (0.9, "ADOBE_DEFLATE")])
def test_density_maps_are_compressed_where_most_of_them_is_empty(frame, write, empty, compression):
    rng = np.random.default_rng(0)
    found, prediction = frame()
    density = (rng.random(prediction.density.shape) * (rng.random(prediction.density.shape) > empty)).astype(np.float32)
    path = write("density", (found, dataclasses.replace(prediction, density=density))) / "density" / "a.png.tif"
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].compression.name == compression
        np.testing.assert_array_equal(tiff.asarray(), density)


def test_density_maps_add_up_to_the_count(frame, write):
    pair = frame()
    path = write("density", pair) / "density" / "a.png.tif"
    density = tifffile.imread(path)
    assert density.dtype == np.float32
    assert density.sum() == pytest.approx(pair[1].count)
    with tifffile.TiffFile(path) as tiff:
        assert '"cell_px": [4, 4]' in tiff.pages[0].description


@pytest.mark.parametrize("name", ["n" * 251 + ".png", "é" * 125 + ".png", "a/" * 5 + "n" * 250 + ".tif"])
def test_names_as_long_as_file_systems_allow(frame, write, name):
    other = name[:-6] + "x" + name[-5:]
    out = write("overlays", frame(name), frame(other))
    written = [p for p in (out / "overlays").rglob("*") if p.is_file()]
    assert len(written) == 2
    assert all(len(p.name.encode()) <= 255 and p.suffix == ".jpg" for p in written)
