"""A model brought to another kind of image by a few dotted ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dotcount.calibration import recalibrate
from dotcount.errors import DataError, InputError
from dotcount.inference import Prediction
from dotcount.metadata import ModelMetadata
from dotcount.points import Points

METADATA = ModelMetadata("compact", 4, count_scale=1.1)


def images(rng, n, factor=1.0, zoom=2.0):
    """Predictions that count ``factor`` objects a dot, of images shown to the network at 1 / zoom of their size."""
    found = []
    for _ in range(n):
        cells = rng.choice(24 * 24, rng.integers(20, 60), replace=False)
        density = np.zeros((24, 24), np.float32)
        density.ravel()[cells] = factor * rng.uniform(0.9, 1.1, len(cells))
        xy = (np.stack(np.divmod(cells, 24)[::-1], axis=1) + 0.5) * 4 * zoom
        side = round(96 * zoom)
        prediction = Prediction(
            float(density.sum()), None, xy, np.ones(len(xy)), density, (4 * zoom, 4 * zoom), side, side
        )
        found.append((prediction, Points(xy, side, side)))
    return found


def test_the_mean_error_goes_and_new_images_are_counted_right():
    rng = np.random.default_rng(0)
    found = recalibrate(METADATA, images(rng, 20, factor=0.7), data="mine")
    assert found.metadata.count_scale == pytest.approx(1.1 / 0.7, rel=0.02)
    assert found.before.bias < -5
    assert abs(found.after.bias) < 0.2
    assert (found.metadata.calibration.images, found.metadata.calibration.former_scale) == (20, 1.1)
    assert found.metadata.interval.confidence == 0.8
    assert found.metadata.interval.part_scale is not None
    assert not found.notes
    new = [(p.count / 1.1 * found.metadata.count_scale, len(xy)) for p, xy in images(rng, 50, factor=0.7)]
    assert np.mean([low <= c <= high for (p, c) in new for low, high in [found.metadata.interval.interval(p)]]) > 0.8
    assert found.metadata.peaks.threshold < 1.0
    assert ModelMetadata.from_json(found.metadata.to_json()) == found.metadata


def test_how_far_the_mean_error_may_be_off_is_told_and_holds():
    rng, held = np.random.default_rng(3), []
    for _ in range(60):
        drawn, spread = images(rng, 12), rng.lognormal(-0.02, 0.2, 12)  # images differ in how well they are counted
        drawn = [(dataclasses.replace(p, density=p.density * np.float32(k)), xy) for (p, xy), k in zip(drawn, spread)]
        found = recalibrate(METADATA, drawn, data="mine")
        held.append(abs(found.metadata.count_scale / 1.1 - 1) < found.bias_within)
    assert 0.8 < np.mean(held) <= 1
    assert found.images_for(found.bias_within / 2) in (48, 49)
    with pytest.raises(InputError, match="within must be a positive share"):
        found.images_for(0.0)


def test_what_no_scale_mends_is_told_and_left_alone():
    found = recalibrate(METADATA, images(np.random.default_rng(1), 10, factor=3.0), data="mine")
    assert found.metadata.count_scale == METADATA.count_scale
    assert found.bias_within is None
    assert found.images_for(0.03) is None
    assert any("no scale mends" in note for note in found.notes)
    assert any("at least 16 images" in note for note in found.notes)


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match="4 dotted images are too few"):
        recalibrate(METADATA, images(np.random.default_rng(1), 4), data="mine")


def test_empty_images_do_not_break_the_fit():
    rng = np.random.default_rng(2)
    blank = np.zeros((24, 24), np.float32)
    none = Prediction(0.0, None, np.zeros((0, 2)), np.zeros(0), blank, (4.0, 4.0), 96, 96)
    found = recalibrate(METADATA, [*images(rng, 15), *[(none, Points(np.zeros((0, 2)), 96, 96))] * 5], data="mine")
    assert found.metadata.count_scale == pytest.approx(1.1, rel=0.02)
    assert found.metadata.interval.finite
    all_empty = recalibrate(METADATA, [(none, Points(np.zeros((0, 2)), 96, 96))] * 20, data="none")
    assert all_empty.metadata.count_scale == METADATA.count_scale
    assert not all_empty.notes
    assert dataclasses.asdict(all_empty.metadata.interval)["scale"] == 0.0
