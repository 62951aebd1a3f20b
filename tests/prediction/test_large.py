"""Images that are read in windows: the same results as when they are read as a whole."""

import csv

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from dotcount import models
from dotcount.data import read_pixels, windows
from dotcount.data.windows import ResizedWindows, TiffWindows
from dotcount.inference import streaming
from dotcount.metadata import ModelMetadata, ScaleRule
from dotcount.prediction import ImageScale, Predictor
from dotcount.prediction.shrinking import at_size, in_larger_cells
from dotcount.selection import ImageSelection
from tests.prediction.oracles import Bright

KINDS = {
    "striped": {"rowsperstrip": 7},
    "tiled": {"tile": (64, 64), "compression": "zlib"},
    "one strip": {},
}


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(windows, "LARGE_PIXELS", 10_000)
    monkeypatch.setattr(streaming, "BAND_BYTES", 60_000)
    monkeypatch.setattr(streaming, "IN_MEMORY", 1000)


def write(path, height=301, width=260, dtype=np.uint8, **kind):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(dtype)
    tifffile.imwrite(path, pixels, photometric="rgb", **kind)
    return path


def network():
    torch.manual_seed(0)
    return models.create("compact", width=4).eval()


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_large_image_is_counted_as_when_it_is_read_as_a_whole(tmp_path, small_limits, kind, dtype):
    path = write(tmp_path / "a.tif", dtype=dtype, **KINDS[kind])
    predictor = Predictor(network(), tile=96)
    told = []
    predictor.progress = told.append
    run = predictor.stream(path, out=tmp_path / "out", sinks=["csv", "overlays", "heatmap", "density", "regions"])
    ((_, found),) = list(run)
    streamed = kind != "one strip"  # of one strip nothing can be decoded by itself
    assert bool(told) == streamed
    assert told == sorted(told)
    whole = Predictor(network(), tile=0).predict(path)
    assert found.count == pytest.approx(whole.count, rel=1e-5)
    assert np.abs(found.density - whole.density).max() <= 1e-5 * whole.density.max()
    assert isinstance(found.density, np.memmap) == streamed
    assert len(found.points) == len(whole.points)
    (row,) = rows(tmp_path / "out" / "counts.csv")
    assert row["status"] == "ok"
    density = tifffile.imread(tmp_path / "out" / "density" / "a.tif.tif")
    assert density.sum(dtype=float) == pytest.approx(whole.count, rel=1e-5)
    assert {p.parent.name for p in (tmp_path / "out").rglob("a.tif.*")} == {"overlays", "heatmaps", "density"}
    if streamed:
        assert told[-1] == 1


@pytest.mark.parametrize("tile", [32, 100, 1024])
def test_the_tile_changes_nothing(tmp_path, small_limits, tile):
    path = write(tmp_path / "a.tif", tile=(64, 64))
    run = Predictor(network(), tile=tile).stream(path, out=tmp_path / "out", sinks=["csv"])
    ((_, found),) = list(run)
    whole = Predictor(network(), tile=0).predict(path)
    assert np.abs(found.density - whole.density).max() <= 1e-5 * whole.density.max()


@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0, 0.37])
@pytest.mark.parametrize("filter", ["bilinear", "lanczos"])
def test_windows_of_a_resized_image_are_those_of_the_whole(tmp_path, factor, filter):
    path = write(tmp_path / "a.tif", tile=(64, 64))
    height, width = round(301 * factor), round(260 * factor)
    whole = windows.resize_pixels(read_pixels(path), width, height, filter)
    resized = ResizedWindows(TiffWindows.open(path), width, height, filter)
    for top, bottom, left, right in ((0, height, 0, width), (0, 40, 10, 90), (50, height, 30, width), (17, 60, 0, 33)):
        part = resized[top:bottom, left:right].astype(int)
        assert part.shape == (bottom - top, right - left, 3)
        assert np.abs(part - whole[top:bottom, left:right]).max() <= 1  # rounding of the last bit


def test_a_large_image_of_another_scale(tmp_path, small_limits):
    path = write(tmp_path / "a.tif", tile=(64, 64))
    metadata = ModelMetadata("compact", 4, {"width": 4}, scale=ScaleRule(pixel_size=1.0))
    predictor = Predictor(network(), metadata, tile=64)
    run = predictor.stream(path, out=tmp_path / "out", sinks=["csv"], scale=ImageScale(pixel_size=0.5))
    ((frame, found),) = list(run)
    ((_, whole),) = list(predictor.predict_many(path, scale=ImageScale(pixel_size=0.5)))
    assert "resampled" in frame.warnings[0]
    assert found.count == pytest.approx(whole.count, rel=1e-3)
    assert (found.width, found.stride) == (260, whole.stride)


def test_a_model_that_sees_the_whole_image_says_so(tmp_path, small_limits):
    path = write(tmp_path / "a.tif", tile=(64, 64))
    model = Bright()
    model.receptive_radius = None
    ((frame, prediction),) = list(Predictor(model).stream(path, out=tmp_path / "out", sinks=["csv"]))
    assert prediction is None
    assert "sees the whole image" in frame.error


def test_a_density_in_larger_cells_keeps_its_sum(tmp_path):
    prediction = Predictor(network()).predict(read_pixels(write(tmp_path / "a.tif")))
    for most in (3, 17, 75, 1000):
        coarse = in_larger_cells(prediction, most)
        assert max(coarse.density.shape) <= max(most, 1)
        assert coarse.density.sum(dtype=float) == pytest.approx(prediction.count, rel=1e-5)
        assert coarse.stride[0] * coarse.density.shape[1] >= prediction.width
    half = at_size(prediction, 130, 150)
    assert np.allclose(half.points[:, 0], prediction.points[:, 0] / 2)


def test_a_slide_is_read_from_the_level_of_the_training_scale(tmp_path, small_limits, monkeypatch):
    from tests.data.test_windows import smooth, write_slide

    path = write_slide(tmp_path / "a.svs", smooth(512, 640), mpp=0.25)
    decoded, stored = set(), TiffWindows._stored

    def watched(self, top, bottom, left, right):
        if bottom - top > 1:  # single rows are a sample of the brightness
            decoded.add(self.shape[0])
        return stored(self, top, bottom, left, right)

    monkeypatch.setattr(TiffWindows, "_stored", watched)
    metadata = ModelMetadata("Bright", 4, scale=ScaleRule(pixel_size=0.5e-6))
    run = Predictor(Bright(), metadata).stream(path, out=tmp_path / "out", sinks=["csv"])
    ((frame, found),) = list(run)
    assert decoded == {256}
    assert "it was resampled from 0.25 µm a pixel to the 0.5 µm of the training images" in frame.warnings
    assert (found.width, found.height, found.stride) == (640, 512, (8, 8))
    half = windows.resize_pixels(smooth(512, 640), 320, 256)
    assert found.count == pytest.approx(Predictor(Bright()).predict(half).count, rel=0.02)


@pytest.mark.parametrize("what", ["transparent", "missing", "JPEG"])
def test_what_has_gaps_or_losses_is_counted_in_windows_as_the_whole(tmp_path, small_limits, what):
    pixels = np.random.default_rng(0).integers(1, 256, (301, 260, 3)).astype(np.uint8)
    options = {"tile": (64, 64), "photometric": "rgb"}
    if what == "transparent":
        alpha = np.full((301, 260, 1), 255, np.uint8)
        alpha[:50] = 0
        pixels, options = np.concatenate([pixels, alpha], axis=-1), options | {"extrasamples": ["unassalpha"]}
    elif what == "missing":
        pixels = pixels.astype(np.uint16) * 200
        pixels[:50] = 0
        options["extratags"] = [(42113, "s", 0, "0", True)]
    else:
        options |= {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    told = []
    predictor = Predictor(network(), tile=96)
    predictor.progress = told.append
    ((frame, found),) = list(predictor.stream(tmp_path / "a.tif", out=tmp_path / "out", sinks=["csv"]))
    assert told[-1] == 1
    ((read, whole),) = list(Predictor(network(), tile=0).predict_many(tmp_path / "a.tif"))
    assert found.count == pytest.approx(whole.count, rel=1e-3 if what == "JPEG" else 1e-5)
    words = {"transparent": "part of it is transparent", "missing": "17% of its pixels hold no data", "JPEG": ""}[what]
    for each in (frame, read):
        assert any(warning.startswith(words) for warning in each.warnings) or not words


@pytest.mark.parametrize("kind", ["float", "palette", "second page", "png"])
def test_an_image_that_takes_much_memory_as_a_whole_says_so(tmp_path, monkeypatch, small_limits, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (301, 260, 3)).astype(np.uint8)
    path, selection = tmp_path / ("a.png" if kind == "png" else "a.tif"), None
    if kind == "png":
        Image.fromarray(pixels).save(path)
    elif kind == "palette":
        table = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
        tifffile.imwrite(path, pixels[..., 0], photometric="palette", colormap=table, tile=(64, 64))
    elif kind == "second page":
        tifffile.imwrite(path, np.stack([pixels, pixels]), photometric="rgb", tile=(64, 64))
        selection = ImageSelection(page=2)
    else:
        tifffile.imwrite(path, pixels / np.float32(255), photometric="rgb", tile=(64, 64))
    monkeypatch.setattr("dotcount.prediction.sources.images.TOLD_BYTES", 10**6)
    for limit in (10**6, 10**7):
        monkeypatch.setattr("dotcount.prediction.sources.images.TOLD_BYTES", limit)
        run = Predictor(network()).stream(path, out=tmp_path / str(limit), sinks=["csv"], selection=selection)
        ((frame, found),) = list(run)
        assert found is not None
        assert any("read as a whole" in warning for warning in frame.warnings) == (limit == 10**6)


def test_chosen_channels_of_a_large_image_are_counted_in_windows(tmp_path, small_limits):
    pixels = np.random.default_rng(0).integers(0, 256, (301, 260, 4)).astype(np.uint8)
    options = {"photometric": "rgb", "extrasamples": ["unspecified"], "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    selection, told = ImageSelection(channels=(4, 1)), []
    predictor = Predictor(network(), tile=96)
    predictor.progress = told.append
    run = predictor.stream(tmp_path / "a.tif", out=tmp_path / "out", sinks=["csv"], selection=selection)
    ((frame, found),) = list(run)
    assert told[-1] == 1
    ((_, whole),) = list(Predictor(network(), tile=0).predict_many(tmp_path / "a.tif", selection=selection))
    assert found.count == pytest.approx(whole.count, rel=1e-5)
    assert "bands 4, 1 of 4 were read, the other 2 were not" in frame.warnings
