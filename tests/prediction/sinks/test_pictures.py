import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.prediction.frame import Frame


def test_overlays_are_drawn_from_the_pixels_that_were_read(frame, write):
    out = write("overlays", frame("a/b.png"), (Frame("c.png", error="broken"), None))
    with Image.open(out / "overlays" / "a" / "b.png.jpg") as picture:
        assert picture.width == 512
        assert picture.height > 341  # a legend below the image
    assert [p.name for p in (out / "overlays").rglob("*.jpg")] == ["b.png.jpg"]


def test_heat_maps_have_a_colour_bar_beside_the_map(frame, write):
    with Image.open(write("heatmap", frame()) / "heatmaps" / "a.png.png") as picture:
        width, height = picture.size
        pixels = np.asarray(picture)
    assert width > 1200
    assert height == 800
    assert len(np.unique(pixels[:, :1200].reshape(-1, 3), axis=0)) == 1  # every cell holds the same
    assert len(np.unique(pixels[:, 1200:].reshape(-1, 3), axis=0)) > 100


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
