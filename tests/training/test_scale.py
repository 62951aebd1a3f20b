import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from dotcount.data import Record
from dotcount.metadata import ScaleRule
from dotcount.points import Points
from dotcount.training.scale import training_scale


def record(path, step=10):
    x, y = np.meshgrid(np.arange(1, 5) * step, np.arange(1, 5) * step)
    return Record(path, path.name, Points(np.stack([x, y], axis=-1).reshape(-1, 2), 100, 80))


def write(path, pixel_size):
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=80, count=1, dtype="uint8", crs="EPSG:32611",
        transform=from_origin(500_000, 3_770_000, pixel_size, pixel_size),
    ) as file:  # fmt: skip
        file.write(np.zeros((1, 80, 100), np.uint8))
    return path


def test_distances_of_dots_and_pixel_sizes_of_tags(tmp_path):
    records = [record(write(tmp_path / f"{k}.tif", 0.5), step) for k, step in enumerate((8, 10, 12))]
    found = training_scale(records)
    assert found.pixel_size == pytest.approx(0.5, rel=1e-3)
    assert found.object_size == 10
    assert found.object_sizes == pytest.approx((8.2, 11.8))


def test_pixel_sizes_that_differ_are_none(tmp_path):
    records = [record(write(tmp_path / f"{size}.tif", size)) for size in (0.5, 0.6)]
    assert training_scale(records).pixel_size is None
    assert training_scale(records, pixel_size=0.55).pixel_size == 0.55


def test_no_tags_and_no_dots(tmp_path):
    assert training_scale([Record(tmp_path / "a.png", "a.png", Points.empty(8, 8))]) == ScaleRule()
