from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st

from dotcount.config import AugmentConfig
from dotcount.data import Record, ResizeRule, hold_out, open_collection
from dotcount.data.loading import (
    CropDataset,
    EpochSampler,
    WholeImageDataset,
    collate,
    crop_loader,
    whole_batch,
)
from dotcount.data.samples import fitting_crop, load_sample, padded_images, point_tensor, require_crop
from dotcount.errors import DataError, ImageReadError
from dotcount.intensity import IntensityRule
from dotcount.points import Points
from dotcount.selection import ImageSelection

from .layouts import picture, spots


def some_records(folder: Path, n: int = 5, width: int = 40, height: int = 30) -> list[Record]:
    return [
        Record(picture(folder / f"{k}.png", width, height, seed=k), f"{k}.png", Points(spots(k, seed=k), width, height))
        for k in range(n)
    ]


def test_batches_have_the_documented_shapes(tmp_path: Path) -> None:
    data = CropDataset(some_records(tmp_path), 16)
    batch = collate([data[0, k] for k in (0, 3, 4)])
    assert batch.images.shape == (3, 3, 16, 16)
    assert batch.images.dtype == torch.float32
    assert 0 <= batch.images.min() <= batch.images.max() <= 1
    assert [p.shape[1] for p in batch.points] == [2, 2, 2]
    assert [p.dtype for p in batch.points] == [torch.float32] * 3
    assert [len(k) for k in batch.keys] == [len(p) for p in batch.points]
    assert batch.image_sizes == [(16, 16)] * 3
    assert batch.indices == [0, 3, 4]


def test_keys_are_unique_over_the_data_set(tmp_path: Path) -> None:
    records = some_records(tmp_path)
    data = CropDataset(records, 30, AugmentConfig(flip_horizontal=False))
    assert data.n_dots == sum(range(5))
    keys: set[int] = set()
    for epoch in range(30):
        for index in range(5):
            _, points, found, _ = data[epoch, index]
            first = int(data.first_keys[index])
            for xy, key in zip(points, found):
                assert records[index].points is not None
                assert 0 <= key - first < index
                original = records[index].points.xy[key - first]
                assert float(xy[1]) == pytest.approx(original[1], abs=1e-4)  # the crop has the full height
            keys |= set(found.tolist())
    assert keys == set(range(data.n_dots))


def test_a_sample_depends_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    records = some_records(tmp_path)
    augment = AugmentConfig(True, True, True, (0.7, 1.4), 0.5, 0.1, 0.1, 0.1)
    one = CropDataset(records, 16, augment, seed=3, cache_mb=1)
    two = CropDataset(records, 16, augment, seed=3)
    first = [one[2, k] for k in range(5)]
    again = [two[2, k] for k in reversed(range(5))][::-1]
    cached = [one[2, k] for k in range(5)]
    for a, b, c in zip(first, again, cached):
        for x, y, z in zip(a[:3], b[:3], c[:3]):
            assert torch.equal(x, y)
            assert torch.equal(x, z)
    other = CropDataset(records, 16, augment, seed=4)
    assert not torch.equal(other[2, 1][0], one[2, 1][0])
    assert not torch.equal(one[3, 1][0], one[2, 1][0])


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(tmp_path: Path, workers: int) -> None:
    data = CropDataset(some_records(tmp_path), 16, cache_mb=1)

    def epochs(n_workers: int) -> list[torch.Tensor]:
        sampler = EpochSampler(len(data), 2, seed=1)
        loader = crop_loader(data, sampler, n_workers)
        images = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            images += [batch.images for batch in loader]
        return images

    for a, b in zip(epochs(0), epochs(workers), strict=True):
        assert torch.equal(a, b)


@given(
    st.integers(1, 17), st.integers(1, 5), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 9)), st.integers(0, 5)
)
def test_sampler_deals_every_image_once_a_pass(
    size: int, batch: int, world: int, steps: int | None, epochs: int
) -> None:
    samplers = [EpochSampler(size, batch, steps, 7, rank, world) for rank in range(world)]
    drawn = []
    for epoch in range(epochs):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        for together in zip(*samplers, strict=True):
            assert all(len(requests) == batch for requests in together)
            drawn += [request for requests in together for request in requests]
    assert len(drawn) == epochs * len(samplers[0]) * batch * world
    for lap in range(len(drawn) // size):
        assert sorted(drawn[lap * size : (lap + 1) * size]) == [(lap, k) for k in range(size)]


def test_sampler_epochs_can_be_drawn_alone_and_differ() -> None:
    sampler = EpochSampler(20, 4, seed=0)
    runs = []
    for epoch in (3, 0, 3):
        sampler.set_epoch(epoch)
        runs.append(list(sampler))
    assert runs[0] == runs[2] != runs[1]
    assert [k for b in runs[0] for _, k in b] != [k for b in runs[1] for _, k in b]
    with pytest.raises(ValueError, match="rank 2 of 2"):
        EpochSampler(5, 1, rank=2, world_size=2)


def test_a_crop_larger_than_every_image_is_refused_at_set_up(tmp_path: Path) -> None:
    records = some_records(tmp_path)
    with pytest.raises(DataError, match=r"crop is 31 px, .* 5 images .*\.png, has 40 x 30 px; choose a crop of 30"):
        CropDataset(records, 31)
    CropDataset(records, 31, resize=ResizeRule(min_side=31))
    with pytest.raises(DataError, match="crop is 24 px"):
        require_crop(records, 24, ResizeRule(max_side=20))


@pytest.mark.parametrize("scale", [None, (0.5, 0.5), (2.0, 2.0)])
def test_images_smaller_than_the_crop_are_padded_and_named(tmp_path: Path, scale: tuple[float, float] | None) -> None:
    large = some_records(tmp_path, 3)
    strip = Record(
        picture(tmp_path / "strip.png", 35, 8, seed=5), "strip.png", Points([[3.5, 4.0], [30.25, 7.5]], 35, 8)
    )
    data = CropDataset([*large, strip], 24, AugmentConfig(flip_horizontal=False, scale=scale, scale_chance=1))
    batch = collate([data[0, 0], data[0, 3]])
    assert batch.images.shape == (2, 3, 24, 24)
    height, width = batch.image_sizes[1]
    factor = 1 if scale is None else scale[0]
    assert (height, width) == (round(8 * factor) if factor < 2 else 16, 24 if factor >= 1 else round(35 * factor))
    assert (batch.images[1][:, height:] == 0).all()
    assert (batch.images[1][:, :, width:] == 0).all()
    assert batch.images[1][:, :height, :width].std() > 0
    dots = batch.points[1]
    assert ((dots >= 0) & (dots <= torch.tensor([width, height]))).all()
    assert padded_images([*large, strip], 24) == (
        "1 of 4 images is smaller than the crop of 24 px and padded: strip.png (35 x 8 px)"
    )
    assert padded_images(large, 24) is None


def test_padded_images_are_turned_with_their_dots(tmp_path: Path) -> None:
    bright = np.zeros((8, 35, 3), np.uint8)
    bright[2, 31] = 255
    tifffile.imwrite(tmp_path / "a.tif", bright, photometric="rgb")
    large = some_records(tmp_path, 1)
    record = Record(tmp_path / "a.tif", "a.tif", Points([[31.5, 2.5]], 35, 8))
    data = CropDataset([*large, record], 30, AugmentConfig(True, True, True))
    for epoch in range(40):
        image, dots, _, _ = data[epoch, 1]
        assert sorted(image.shape[1:]) == [8, 30]
        if len(dots):
            x, y = (int(v) for v in dots[0])
            assert image[0, y, x] == 1


def test_deep_images_are_mapped_by_the_range_of_their_set_before_and_after_cropping(tmp_path: Path) -> None:
    records = []
    for k, top in enumerate((4000, 900)):
        deep = np.linspace(100, top, 30 * 40).astype(np.uint16).reshape(30, 40)
        tifffile.imwrite(tmp_path / f"{k}.tif", deep)
        records.append(Record(tmp_path / f"{k}.tif", f"{k}.tif", Points.empty(40, 30)))
    data = CropDataset(records, 30, AugmentConfig(flip_horizontal=False))
    assert data.intensity.images == 2
    low, high = data.intensity.span
    for cache in (0, 1):
        data = CropDataset(records, 30, AugmentConfig(flip_horizontal=False), cache_mb=cache)
        for k, top in enumerate((4000, 900)):
            for epoch in range(2):
                image = data[epoch, k][0]
                assert float(image.max()) == pytest.approx(min(1, (top - low) / (high - low)), abs=0.03)
    whole = WholeImageDataset(records, intensity=data.intensity)[1].image
    assert whole.max() == pytest.approx((900 - low) / (high - low), abs=0.01)
    assert load_sample(records[1], intensity=data.intensity).image.max() == whole.max()
    given = IntensityRule(0, 65535, "bit_depth", 1, "integer")
    assert float(CropDataset(records, 30, intensity=given)[0, 0][0].max()) < 0.07


def test_fitting_crop() -> None:
    def of(*sides: int) -> list[Record]:
        return [Record(Path("x"), "x", Points.empty(side, 400)) for side in sides]

    assert fitting_crop(of(400, 300)) == 256
    assert fitting_crop(of(400, 150)) == 128
    assert fitting_crop(of(20)) == 20
    assert fitting_crop(of(64, 64, 64, 64, 64, 64, 12)) == 64
    assert fitting_crop(of(20), resize=ResizeRule(min_side=100)) == 96


def test_min_side_enlarges_image_and_dots(tmp_path: Path) -> None:
    record = some_records(tmp_path)[4]
    sample = load_sample(record, ResizeRule(min_side=60))
    assert sample.image.shape == (60, 80, 3)
    assert sample.points is not None
    assert record.points is not None
    np.testing.assert_allclose(sample.points.xy, record.points.xy * 2)
    whole = WholeImageDataset([record], resize=ResizeRule(min_side=60), cache_mb=1)
    for _ in range(2):
        np.testing.assert_array_equal(whole[0].image, sample.image)
    batch = whole_batch(whole[0], 5)
    assert batch.images.shape == (1, 3, 60, 80)
    assert batch.image_sizes == [(60, 80)]
    assert batch.indices == [5]


def test_one_broken_image_costs_a_warning_not_the_run(tmp_path: Path) -> None:
    records = some_records(tmp_path)
    data = records[2].image.read_bytes()
    records[2].image.write_bytes(data[: len(data) // 2])
    dataset = CropDataset(records, 16)
    with pytest.warns(UserWarning, match=r"left out of training: image .*2\.png"):
        assert dataset[0, 2][3] == 3
    assert dataset[1, 2][3] == 3
    with pytest.raises(ImageReadError, match=r"2\.png"):
        WholeImageDataset(records)[2]


def test_nothing_but_broken_images_is_an_error(tmp_path: Path) -> None:
    records = some_records(tmp_path, 2)
    for record in records:
        record.image.write_bytes(record.image.read_bytes()[:60])
    dataset = CropDataset(records, 16)
    with pytest.warns(UserWarning, match="left out"), pytest.raises(ImageReadError, match=r"0\.png|1\.png"):
        dataset[0, 0]
    with pytest.raises(ImageReadError, match="none of the 2"):
        dataset[0, 1]


def test_an_image_that_changed_its_size_is_noticed(tmp_path: Path) -> None:
    record = some_records(tmp_path, 1)[0]
    picture(record.image, 50, 50)
    with pytest.raises(ImageReadError, match="decodes to 50 x 50 px, but its header said 40 x 30"):
        load_sample(record)


def test_unusable_records_are_refused(tmp_path: Path) -> None:
    bad = Record(tmp_path / "x.png", "x.png", error="image x.png is broken")
    with pytest.raises(DataError, match="is broken"):
        load_sample(bad)
    with pytest.raises(DataError, match="is broken"):
        CropDataset([bad], 16)
    with pytest.raises(DataError, match="has no dots"):
        CropDataset([Record(tmp_path / "x.png", "x.png")], 16)
    with pytest.raises(DataError, match="no annotated image"):
        CropDataset([], 16)


@given(st.lists(st.tuples(st.floats(0, 32), st.floats(0, 32)), max_size=8))
def test_dots_of_a_flipped_crop_stay_in_its_cells(xy: list[tuple[float, float]]) -> None:
    tensor = point_tensor(Points(np.array(xy), 32, 32).flip_horizontal().flip_vertical())
    assert tensor.dtype == torch.float32
    assert ((tensor >= 0) & (tensor < 32)).all()


def test_dots_known_to_lie_outside_stay_there() -> None:
    tensor = point_tensor(Points(np.array([[40.0, -3.0]]), 32, 32))
    assert tensor.tolist() == [[40.0, -3.0]]


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    data = CropDataset(some_records(tmp_path), 16, cache_mb=2 * 40 * 30 * 3 / 1e6)
    for index in range(5):
        data[0, index]
    assert len(data._cache) == 2


def test_hold_out_is_stratified_and_repeatable(tmp_path: Path) -> None:
    for k in range(20):
        picture(tmp_path / f"{k:02d}.png", seed=k)
    rows = "".join(f"{k:02d}.png,{x},{y}\n" for k in range(20) for x, y in spots(k + 1, seed=k))
    (tmp_path / "dots.csv").write_text("image,x,y\n" + rows)
    collection = open_collection(tmp_path)
    train, held = hold_out(collection, 0.25, seed=0)
    assert (len(train), len(held)) == (15, 5)
    assert not {r.name for r in train.records} & {r.name for r in held.records}
    counts = sorted(r.count or 0 for r in held.records)
    assert [(c - 1) // 4 for c in counts] == [0, 1, 2, 3, 4]  # one of each fifth
    again = hold_out(collection.where(collection.records[::-1]), 0.25, seed=0)[1]
    assert {r.name for r in again.records} == {r.name for r in held.records}
    assert {r.name for r in hold_out(collection, 0.25, 1)[1].records} != {r.name for r in held.records}
    with pytest.raises(DataError, match="at least 2"):
        hold_out(collection.where(collection.records[:1]), 0.5, 0)


def test_crops_of_float_images_are_mapped_as_the_whole_is(tmp_path: Path) -> None:
    """A crop's own minimum and maximum would make every crop another brightness, unlike the whole image in use."""
    values = np.linspace(-5, 90, 30 * 40, dtype=np.float32).reshape(30, 40)
    tifffile.imwrite(tmp_path / "a.tif", values)
    record = Record(tmp_path / "a.tif", "a.tif", Points.empty(40, 30))
    whole = load_sample(record).image
    assert [whole.min(), whole.max()] == [0, 1]
    data = CropDataset([record], 10, AugmentConfig(flip_horizontal=False), cache_mb=1)
    for epoch in range(4):
        crop = data[epoch, 0][0].numpy()
        row, column = np.argwhere(np.isclose(whole[..., 0], crop[0, 0, 0], atol=1e-7))[0]
        np.testing.assert_allclose(crop[0], whole[row : row + 10, column : column + 10, 0])


def test_chosen_pages_are_trained_on_whole_and_in_parts(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(0, 256, (3, 60, 70)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", metadata=None, rowsperstrip=5)
    record = Record(tmp_path / "a.tif", "a.tif", Points.empty(70, 60))
    for cache in (0, 1):
        data = CropDataset([record], 60, AugmentConfig(False), selection=ImageSelection(page=3), cache_mb=cache)
        crop = data[0, 0][0][0] * 255
        assert any(np.allclose(crop, planes[2][:, left : left + 60], atol=0.01) for left in range(11))
    whole = WholeImageDataset([record], selection=ImageSelection(projection="max"))[0].image
    np.testing.assert_allclose(whole[..., 0] * 255, planes.max(axis=0), atol=0.01)
