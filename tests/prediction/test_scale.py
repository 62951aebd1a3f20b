import csv

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from dotcount.data import open_collection, resize_pixels
from dotcount.errors import UsageError
from dotcount.evaluation import evaluate
from dotcount.inference import Prediction
from dotcount.metadata import ModelMetadata, ScaleRule
from dotcount.prediction import ImageScale, Predictor
from dotcount.prediction.scale import foreign_size
from dotcount.resize import ResizeRule
from dotcount.web import counting
from dotcount.web.counting import CountJob
from tests.prediction.oracles import Bright


def blocks(size, pixel):
    """Return black pixels with white squares, six pixels of the training images wide, at so many px a pixel."""
    pixels = np.zeros((size, size, 3), np.uint8)
    for y in range(0, size, 16 * pixel):
        for x in range(0, size, 16 * pixel):
            pixels[y : y + 6 * pixel, x : x + 6 * pixel] = 255
    return pixels


def write_tif(path, pixels, pixel_size, crs="EPSG:32611"):
    height, width = pixels.shape[:2]
    where = from_origin(500_000, 3_770_000, pixel_size, pixel_size)
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8", crs=crs, transform=where
    ) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def trained(**scale):
    return Predictor(Bright(), ModelMetadata("Bright", 4, scale=ScaleRule(**scale)))


@pytest.mark.parametrize(("pixel_size", "drawn"), [(0.6, 1), (0.3, 2)])
def test_a_geotiff_is_brought_to_the_pixel_size_of_the_training(tmp_path, pixel_size, drawn):
    path = write_tif(tmp_path / "a.tif", blocks(64 * drawn, drawn), pixel_size)
    run = trained(pixel_size=0.6).stream(path, out=tmp_path / "out", sinks=["csv"])
    ((_, prediction),) = list(run)
    shrunk = resize_pixels(blocks(64 * drawn, drawn), 64, 64)
    assert prediction.count == trained().predict(shrunk).count > 200
    assert (prediction.width, prediction.height) == (64 * drawn, 64 * drawn)
    assert prediction.stride == (4 * drawn, 4 * drawn)
    (row,) = rows(tmp_path / "out" / "counts.csv")
    assert ("resampled from 0.3 m a pixel to the 0.6 m" in row["warning"]) == (drawn == 2)


def test_the_scale_may_be_stated(tmp_path):
    from PIL import Image

    Image.fromarray(blocks(128, 2)).save(tmp_path / "a.png")
    for model, scale in (
        (trained(pixel_size=0.6), ImageScale(pixel_size=0.3)),
        (trained(object_size=8.0), ImageScale(object_size=16.0)),
    ):
        ((frame, prediction),) = list(model.predict_many(tmp_path / "a.png", scale=scale))
        assert prediction.count == trained().predict(resize_pixels(blocks(128, 2), 64, 64)).count > 200
        assert "resampled" in frame.warnings[0]


def test_an_unknown_pixel_size_is_told_where_the_model_has_one(tmp_path):
    from PIL import Image

    Image.new("L", (32, 32)).save(tmp_path / "a.png")
    ((frame, _),) = list(trained(pixel_size=0.6).predict_many(tmp_path / "a.png"))
    assert "states no pixel size" in frame.warnings[0]
    ((frame, _),) = list(trained().predict_many(tmp_path / "a.png"))
    assert frame.warnings == []


def test_a_scale_without_use_is_refused():
    with pytest.raises(UsageError, match="one of them"):
        ImageScale(1.0, 2.0)
    with pytest.raises(UsageError, match="positive"):
        ImageScale(pixel_size=-1.0)
    with pytest.raises(UsageError, match="does not know"):
        list(trained().predict_many(".", scale=ImageScale(pixel_size=0.5)))
    metadata = ModelMetadata("Bright", 4, scale=ScaleRule(pixel_size=0.6))
    metadata = metadata.from_dict(metadata.to_dict() | {"input": {"resize": ResizeRule(max_side=512).to_dict()}})
    with pytest.raises(UsageError, match="no use"):
        list(Predictor(Bright(), metadata).predict_many(".", scale=ImageScale(pixel_size=0.5)))


def test_a_far_scale_is_an_error_of_its_image(tmp_path):
    path = write_tif(tmp_path / "a.tif", blocks(16, 1), 30.0)
    ((frame, prediction),) = list(trained(pixel_size=0.6).predict_many(path))
    assert prediction is None
    assert "too far" in frame.error


def test_foreign_distances_are_told():
    metadata = ModelMetadata("Bright", 4, scale=ScaleRule(None, 14.0, (9.0, 21.0)))

    def found(step):
        xy = np.stack(np.meshgrid(np.arange(5) * step, np.arange(5) * step), axis=-1).reshape(-1, 2).astype(float)
        return Prediction(25, None, xy, np.ones(25), np.zeros((2, 2), np.float32), (4, 4), 8, 8)

    assert foreign_size(metadata, found(14), 1.0) is None
    assert "28 px apart" in foreign_size(metadata, found(28), 1.0)
    assert foreign_size(metadata, found(28), 0.5) is None


def test_a_microscope_states_its_pixel_size(tmp_path):
    from tests.data.images.instruments import write_nd2

    planes = np.stack([blocks(128, 2)[..., 0], blocks(128, 2)[..., 0][::-1]])[:, None]
    path = write_nd2(tmp_path / "a.nd2", planes, "Z", um=0.5)
    run = trained(pixel_size=1e-6).stream(path, out=tmp_path / "out", sinks=["csv"], every_page=True)
    found = {frame.name: (prediction.count, frame.warnings) for frame, prediction in run}
    assert list(found) == ["a.nd2#1", "a.nd2#2"]
    count, told = found["a.nd2#1"]
    assert count == trained().predict(resize_pixels(blocks(128, 2), 64, 64)).count > 200
    assert told == ["it was resampled from 0.5 µm a pixel to the 1 µm of the training images"]


@pytest.mark.parametrize("way", ["predict", "predict_many", "evaluate", "page"])
def test_a_geotiff_has_one_count_whoever_asks(tmp_path, way):
    """The command, Python, the score of a data set and the page bring it to the scale of the training alike."""
    images = tmp_path / "set"
    images.mkdir()
    path = write_tif(images / "a.tif", blocks(128, 2), 0.3)
    predictor = trained(pixel_size=0.6)
    wanted = Predictor(Bright()).predict(resize_pixels(blocks(128, 2), 64, 64, "bilinear")).count
    told = "it was resampled from 0.3 m a pixel to the 0.6 m of the training images"
    if way == "predict":
        found = predictor.predict(path)
        count, warnings = found.count, found.warnings
    elif way == "predict_many":
        ((frame, prediction),) = predictor.predict_many(path)
        count, warnings = prediction.count, frame.warnings
    elif way == "evaluate":
        (images / "dots.csv").write_text("image,x,y\na.tif,3,3\n")
        (row,) = evaluate(predictor, open_collection(images)).rows
        count, warnings = row.count, row.warnings
    else:
        result = counting.count(predictor, CountJob(path, "a.tif"), 10**6)
        count, warnings = result["count"], result["warnings"]
    assert count == wanted > 0
    assert told in warnings


def test_what_a_map_declares_to_be_no_data_is_told(tmp_path):
    pixels = blocks(64, 1)
    pixels[:16] = 255  # a quarter
    path = write_tif(tmp_path / "a.tif", pixels, 0.6)
    with rasterio.open(path, "r+") as file:
        file.nodata = 255
    ((frame, _),) = trained().predict_many(path)
    share = (pixels == 255).all(axis=-1).mean()
    assert frame.warnings == [f"{share:.0%} of its pixels hold no data, and are part of its area"]
