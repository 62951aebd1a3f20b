"""The same weights give the same counts, whatever version wrote them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from dotcount import weights
from dotcount.errors import ModelError
from dotcount.inference import ImageCounter
from dotcount.intensity import IntensityRule
from dotcount.metadata import InputRule, ModelMetadata
from dotcount.models import create, io

from .pictures import blobs

OLD = Path(__file__).parent / "old-model"
"""What `dotcount train` of the first version wrote: mirror images, a count scale, images of at most 120 px."""


@pytest.mark.parametrize(
    ("folder", "count", "interval", "points"),
    [
        (OLD, 40.436768309475156, (34.031239832804005, 46.842296786146306), 36),
        (weights.FOLDER / "cells", 36.27708721189666, (33.88778049209915, 38.66639393169417), 35),
        (weights.FOLDER / "trees", 0.4263900591055949, (0.0, 3.873491113280183), 0),
    ],
    ids=["old model", "cells", "trees"],
)
def test_counts_are_those_of_the_version_that_wrote_the_model(folder, count, interval, points) -> None:
    found = ImageCounter(*io.load(folder), device="cpu").predict(blobs())
    assert found.count == pytest.approx(count, abs=1e-6 * max(1.0, count))
    assert found.interval == pytest.approx(interval, abs=1e-5)
    assert len(found.points) == points


def test_the_mirror_is_a_setting_of_the_call_and_leaves_no_trace_on_the_network() -> None:
    torch.manual_seed(0)
    network = create("compact", width=4)
    mirrored = ImageCounter(network, ModelMetadata("compact", 4, mirror=True), device="cpu")
    plain = ImageCounter(network, ModelMetadata("compact", 4), device="cpu")
    picture = blobs(64, 96)
    assert mirrored.predict(picture).count == pytest.approx(mirrored.predict(picture[:, ::-1]).count, rel=1e-5)
    assert plain.predict(picture).count != mirrored.predict(picture).count


def test_a_bare_network_counts_with_the_defaults() -> None:
    counter = ImageCounter(create("compact", width=4), device="cpu")
    assert counter.metadata == ModelMetadata("Compact", 4)
    assert counter.predict(np.zeros((20, 30, 3), np.uint8)).interval is None


def test_settings_out_of_range_are_refused_when_the_counter_is_made() -> None:
    network = create("compact", width=4)
    with pytest.raises(ModelError, match="'count_scale' is 0"):
        ImageCounter(network, ModelMetadata("compact", 4, count_scale=0), device="cpu")
    with pytest.raises(ModelError, match="a stride of 8 px, the model has 4"):
        ImageCounter(network, ModelMetadata("compact", 8), device="cpu")


def test_brightness_follows_the_models_rule_then_that_of_the_set() -> None:
    network = create("compact", width=4)
    eight = blobs(64, 48)
    deep = eight.astype(np.uint16) * 8 + 100
    rule = IntensityRule(100.0, 100.0 + 8 * 255, "percentiles", 5, "integer")
    told = ImageCounter(network, ModelMetadata("compact", 4, input=InputRule(intensity=rule)), device="cpu")
    untold = ImageCounter(network, device="cpu")
    wanted = untold.predict(eight).count
    assert told.predict(deep).count == pytest.approx(wanted, rel=1e-5)
    assert untold.predict(deep, intensity=rule).count == pytest.approx(wanted, rel=1e-5)
    other = dataclasses.replace(rule, high=60_000.0)
    assert told.predict(deep, intensity=other).count == pytest.approx(wanted, rel=1e-5)
