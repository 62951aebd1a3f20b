"""Model metadata: read back as written, older forms too, and refused in words where it is not understood."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path

import pytest

from dotcount import weights
from dotcount.errors import InputError, ModelError
from dotcount.intensity import IntensityRule
from dotcount.metadata import (
    AugmentationTrial,
    CalibrationFacts,
    Checkpoint,
    CountingMetrics,
    CountInterval,
    CountRange,
    InputRule,
    LossFacts,
    ModelMetadata,
    PeakRule,
    ScaledErrors,
    TrainingFacts,
    ValidationFacts,
)
from dotcount.resize import ResizeRule

OLD = Path(__file__).parents[1] / "inference" / "old-model" / "config.json"

FULL = ModelMetadata(
    model="compact",
    stride=4,
    options={"width": 8, "output": "softplus", "output_scale": 0.1, "blocks": [1, 2], "nothing": None, "on": True},
    input=InputRule(ResizeRule(512, 2048, None, 1.5), IntensityRule(120.0, 4095.0, "percentiles", 40, "integer")),
    mirror=True,
    peaks=PeakRule("nms", 2, 0.4),
    count_scale=1.1,
    interval=CountInterval(0.9, 1.5, 40, "", 0.8, 1.7, ScaledErrors(-0.1, 0.8, 2400.0)),
    training=TrainingFacts(
        "cells", "csv", 400, 50_920, 60, CountRange(0, 132.5, 255), 128, 30, 6000, 11.0, True, 3,
        LossFacts("uot", {"rho": [1.0, 10.0], "length_scale": 128.0, "delta": None}),
    ),
    validation=ValidationFacts(
        CountingMetrics(60, 1.9, 3.1, None, -0.1, (1.4, 2.6)), 50.0, "the lowest error",
        Checkpoint(30, 6000, 2.3, 3.6, -1), (AugmentationTrial(1.0, True, 1.9, 3.1, -0.1, 1.1),),
    ),
    calibration=CalibrationFacts("harbour", 20, 1830, 1.05, CountingMetrics(20, 3.0, 4.1, 0.1, 0.0, (2.0, 4.0))),
    license="CC BY 4.0",
    citation="Someone, 2024",
    dotcount_version="0.2.0",
)  # fmt: skip
MINIMAL = ModelMetadata("compact", 4)


def same(a: ModelMetadata, b: ModelMetadata) -> bool:
    return a.to_dict() == b.to_dict()


@pytest.mark.parametrize("metadata", [FULL, MINIMAL], ids=["full", "minimal"])
def test_what_is_written_is_read_back(metadata: ModelMetadata) -> None:
    assert ModelMetadata.from_json(metadata.to_json()) == metadata
    assert ModelMetadata.from_dict(metadata.to_dict()) == metadata.checked() == metadata
    assert next(iter(metadata.to_dict())) == "schema"


def test_an_interval_without_end_survives() -> None:
    metadata = dataclasses.replace(FULL, interval=CountInterval(0.9, math.inf, 3, "too few"))
    assert json.loads(metadata.to_json())["interval"]["scale"] is None
    assert ModelMetadata.from_json(metadata.to_json()) == metadata


def test_the_length_scale_is_an_option_of_the_loss() -> None:
    assert FULL.training is not None
    assert FULL.training.loss.length_scale == 128
    assert LossFacts("bayesian").length_scale is None


def test_a_model_of_the_first_version_is_understood() -> None:
    metadata = ModelMetadata.from_json(OLD.read_text(encoding="utf-8"), "old")
    assert (metadata.model, metadata.stride, metadata.mirror, metadata.schema) == ("compact", 4, True, 2)
    assert metadata.input.resize == ResizeRule(max_short_side=120)
    assert metadata.peaks == PeakRule("mass", 1, 0.4)
    assert metadata.count_scale == pytest.approx(1.0970030895152831)
    assert metadata.interval == CountInterval(0.9, 0.995089234344712, 12)
    assert metadata.training is not None
    assert (metadata.training.images, metadata.training.dots, metadata.training.count.median) == (12, 311, 27)
    assert metadata.training.loss.length_scale == 64
    assert metadata.validation is not None
    assert metadata.validation.baseline_mae == pytest.approx(6.458333333333332)
    assert metadata.validation.checkpoint == Checkpoint(
        16, 800, 3.2101179335509946, 3.9794464744868367, -2.797287752089094
    )
    assert [(trial.magnify, trial.mirror) for trial in metadata.validation.trials] == [
        (1, False),
        (1.5, False),
        (1, True),
    ]
    assert same(ModelMetadata.from_json(metadata.to_json()), metadata)


def test_a_file_of_schema_1_is_understood_and_what_it_lacks_is_absent() -> None:
    values = FULL.to_dict()
    for field in ("confidence", "part_scale", "errors"):
        del values["interval"][field]
    del values["calibration"]
    metadata = ModelMetadata.from_dict(values | {"schema": 1}, "old")
    assert metadata.schema == 2
    assert metadata.interval == CountInterval(0.9, 1.5, 40)
    assert metadata == dataclasses.replace(FULL, interval=CountInterval(0.9, 1.5, 40), calibration=None)


@pytest.mark.parametrize("name", weights.names())
def test_published_models_are_understood(name: str) -> None:
    path = weights.FOLDER / name / "config.json"
    metadata = ModelMetadata.from_json(path.read_text(encoding="utf-8"), str(path))
    assert metadata.stride == 4
    assert metadata.interval is not None
    assert metadata.interval.finite
    assert metadata.training is not None
    assert metadata.training.mean_count > 0


WRONG = [
    ("peaks", [], "'peaks' is []; it must be an object"),
    ("peaks.threshold", math.nan, "'peaks.threshold' is NaN; it must be a finite number"),
    ("peaks.threshold", math.inf, "finite"),
    ("peaks.radius", True, "integer"),
    ("peaks.radius", 0, "greater than or equal to 1"),
    ("peaks.method", "best", "'mass', 'nms' or 'count'"),
    ("input.resize", 3, "an object"),
    ("input.resize.magnify", 0, "'input.resize.magnify' is 0"),
    ("input.resize.magnify", -5, "'input.resize.magnify' is -5"),
    ("input.resize.min_side", 0.5, "integer"),
    ("input.channels", "bgr", "'rgb'"),
    ("input.intensity.low", 5000.0, "'input.intensity': intensity range must be finite and rising"),
    ("input.intensity.high", "4095", "number"),
    ("input.intensity", [], "an object"),
    ("mirror", "no", "boolean"),
    ("mirror", 1, "boolean"),
    ("count_scale", 0, "greater"),
    ("count_scale", math.nan, "finite"),
    ("count_scale", 1e9, "less"),
    ("count_scale", "1", "number"),
    ("count_scale", None, "number"),
    ("interval.scale", -1.0, "greater"),
    ("interval.level", 90, "less than 1"),
    ("interval", {}, "'interval.level' is missing"),
    ("interval", {"level": 0.9, "n": 3}, "'interval.scale' is missing"),
    ("interval.scale", math.nan, "greater"),
    ("interval.level", math.inf, "less than 1"),
    ("interval.confidence", 1.0, "less than 1"),
    ("interval.part_scale", math.inf, "less than inf"),
    ("calibration.images", 0, "greater"),
    ("schema", True, "integer"),
    ("options", [1], "an object"),
    ("options", {"a": {"b": 1}}, "'options.a' is"),
    ("stride", "4", "integer"),
    ("stride", 0, "greater"),
    ("model", None, "string"),
    ("model", "", "at least 1 character"),
    ("schema", 3, "has schema 3, this dotcount knows up to 2; upgrade dotcount"),
    ("schema", "1", "integer"),
    ("training.count.max", 1.5, "integer"),
    ("training.loss.options", 3, "an object"),
    ("validation.counting", [], "an object"),
    ("validation.counting.mae", -1, "greater"),
    ("validation.trials", [3], "'validation.trials.0' is 3"),
    ("nonsense", 1, "'nonsense' is not known"),
    ("peaks.treshold", 0.3, "'peaks.treshold' is not known"),
    ("count_scale", 10**400, "finite"),
    ("options", {"a": {1}}, "JSON"),
]


@pytest.mark.parametrize(("place", "value", "words"), WRONG)
def test_a_wrong_type_or_range_is_refused_in_words(place: str, value: object, words: str) -> None:
    values = copy.deepcopy(FULL.to_dict())
    *parents, last = place.split(".")
    inner = values
    for part in parents:
        inner = inner[part]
    inner[last] = value
    with pytest.raises(ModelError) as caught:
        ModelMetadata.from_dict(values, "model/config.json")
    message = str(caught.value)
    assert message.startswith("model/config.json: ")
    assert words in message
    assert "\n" not in message
    assert len(message) < 200


def test_all_that_is_wrong_is_counted() -> None:
    values = FULL.to_dict() | {"mirror": "no", "stride": 0, "peaks": 3}
    with pytest.raises(ModelError, match=r"\(2 more to correct\)"):
        ModelMetadata.from_dict(values)


@pytest.mark.parametrize(
    ("key", "value"),
    [("peaks", []), ("resize", 3), ("mirror", "no"), ("peakss", {}), ("trained_on", []), ("metrics", [1]),
     ("loss_options", 3), ("options", []), ("interval", 3), ("stride", None), ("count_scale", 0)],
)  # fmt: skip
def test_a_damaged_old_file_is_refused_in_words(key: str, value: object) -> None:
    values = json.loads(OLD.read_text(encoding="utf-8")) | {key: value}
    with pytest.raises(ModelError, match=r"^old: field '\w+"):
        ModelMetadata.from_dict(values, "old")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "9" * 9000, "[" * 100_000, '{"model": "\\ud800", "stride": 4}']
)
def test_text_that_is_no_metadata_is_refused_in_words(text: str) -> None:
    with pytest.raises(ModelError, match=r"^m/config\.json: "):
        ModelMetadata.from_json(text, "m/config.json")


def test_a_value_set_in_code_is_checked_like_one_in_a_file() -> None:
    with pytest.raises(ModelError, match="count_scale"):
        dataclasses.replace(FULL, count_scale=1e9).checked()


def test_an_interval_is_cut_at_zero_and_refuses_what_is_no_count() -> None:
    interval = CountInterval(0.9, 2.0, 30)
    assert interval.interval(3.0) == (0, 7)
    with pytest.raises(InputError, match="count must be"):
        interval.interval(math.nan)
    with pytest.raises(InputError, match="'scale' is -1"):
        CountInterval.from_dict({"level": 0.9, "scale": -1, "n": 3})
