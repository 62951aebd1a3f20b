import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from dotcount import config
from dotcount.data import Record, ResizeRule
from dotcount.data.synthetic import write_dataset
from dotcount.errors import DataError
from dotcount.metadata import ScaleRule
from dotcount.points import Points
from dotcount.training.resolve import make_plan
from dotcount.training.scale import training_scale, typical_spacing


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


def test_typical_spacing_is_over_dots_and_after_resizing(tmp_path):
    few = Record(tmp_path / "few.png", "few.png", Points([[10, 10], [40, 50]], 100, 80))
    alone = Record(tmp_path / "one.png", "one.png", Points([[10, 10]], 100, 80))
    records = [few, alone, record(tmp_path / "many.png", 8)]
    assert typical_spacing(records, ResizeRule()) == 8
    assert typical_spacing([few, alone], ResizeRule()) == 50
    assert typical_spacing(records, ResizeRule(max_side=50)) == 4
    with pytest.raises(DataError, match=r"'spacing', but most dots .*length_scale in pixels"):
        typical_spacing([alone], ResizeRule())


@pytest.mark.parametrize("loss", ["uot", "generalized"])
def test_a_plan_turns_spacing_into_a_number(tmp_path, loss):
    write_dataset(tmp_path, train=3, val=1, test=0, size=64)
    settings = [f"loss.name={loss}", "loss.options.length_scale=spacing", "model.name=compact"]
    plan = make_plan(config.load(overrides=settings, data__path=str(tmp_path)))
    apart = []
    for one in plan.train.records:
        difference = one.points.xy[:, None] - one.points.xy[None]
        distance = np.hypot(*difference.transpose(2, 0, 1))
        np.fill_diagonal(distance, np.inf)
        apart.append(distance.min(1))
    assert plan.config.loss.options["length_scale"] == pytest.approx(np.median(np.concatenate(apart)), abs=1e-3)
