"""What tells images like those of training from strangers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import dotcount
from dotcount import models
from dotcount.calibration import Looks, fit_familiarity, looks_of
from dotcount.data import Batch
from dotcount.data.synthetic import generate
from dotcount.errors import InputError, ModelError
from dotcount.inference.judging import judge
from dotcount.inference.runtimes import as_runtime
from dotcount.inference.tiling import density_and_features
from dotcount.metadata import CountInterval, CountRange, Familiarity, ModelMetadata, TrainingFacts

LAYERS = {"laterals.2": 5, "last_layer": 15}


def gathered(rows, brightness=0.5, area=64 * 64):
    looks = Looks()
    for row in rows:
        looks.add(row, brightness, area)
    return looks


def correlated(rng, n, across=0.0):
    """Means and deviations that vary along two directions, and a little along all, with a few that hardly vary."""
    mixing = np.random.default_rng(99).normal(0, 1, (2, 40))
    rows = rng.normal(0, 1, (n, 2)) @ mixing + rng.normal(0, 0.3, (n, 40)) + rng.normal(0, across, (n, 40))
    rows[:, 5:8] = rng.normal(0, 1e-4, (n, 3))
    return np.concatenate([3 + rows[:, :20], np.exp(0.3 * rows[:, 20:])], axis=1)


def test_images_like_the_training_images_are_familiar_and_others_are_not():
    rng = np.random.default_rng(0)
    rule = fit_familiarity(LAYERS, gathered(correlated(rng, 60)), gathered(correlated(rng, 40)))
    own = np.array([rule.of_features(row) for row in correlated(rng, 400)])
    assert (own < 0.5).mean() <= 0.05
    # Along the two usual directions twice as far is no wonder; across them a little is.
    assert max(rule.of_features(row) for row in correlated(rng, 50, across=1.5)) < 0.5
    trifle = correlated(rng, 1)[0] + np.eye(40)[5] * 0.01
    assert rule.of_features(trifle) > 0.5, "a feature that never varied must not decide"
    assert rule.of_features(np.full(40, np.nan)) == 0.0
    assert (rule.images, rule.held_out, rule.area) == (60, 40, 64 * 64)
    assert (rule.layers, rule.features) == (("last_layer",), 30), "deeper layers see how far the edges are"


def test_a_channel_that_is_silent_in_training_may_stir():
    rng = np.random.default_rng(4)
    rows = [correlated(rng, n) for n in (60, 40, 1)]
    for each in rows:
        each[:, [9, 29]] = 0
    rule = fit_familiarity(LAYERS, gathered(rows[0]), gathered(rows[1]))
    one = rows[2][0]
    assert rule.of_features(one) > 0.5
    one[[9, 29]] = 2e-6
    assert rule.of_features(one) > 0.5
    one[[9, 29]] = 1.0
    assert rule.of_features(one) < 0.5


def test_few_held_out_images_alone_judge_each_other():
    rng = np.random.default_rng(1)
    rule = fit_familiarity(LAYERS, Looks(), gathered(correlated(rng, 20)))
    own = [rule.of_features(row) for row in correlated(rng, 300)]
    assert np.mean(np.array(own) < 0.5) < 0.15
    assert rule.of_features(correlated(rng, 1)[0] + 9) < 0.1
    assert fit_familiarity(LAYERS, Looks(), gathered(correlated(rng, 5))) is None
    assert fit_familiarity({}, gathered(correlated(rng, 20)), gathered(correlated(rng, 20))) is None


@pytest.mark.parametrize("relative", [False, True], ids=["older version", "now"])
def test_the_distance_is_that_of_the_covariance_with_one_variance_across_the_axes(relative):
    rng = np.random.default_rng(2)
    axes, variances, rest = np.linalg.qr(rng.normal(0, 1, (6, 2)))[0].T, np.array([4.0, 2.0]), 0.5
    mean, unit, features = rng.normal(0, 1, 6), rng.uniform(1, 2, 6), rng.uniform(0, 3, 6)
    ground = rng.uniform(0.1, 0.2, 3) if relative else None
    rule = Familiarity.of(["last_layer"], mean, unit, axes, variances, rest, 1.0, ground)
    covariance = axes.T @ np.diag(variances - rest) @ axes + rest * np.eye(6)
    told, given = features, features
    if relative:
        spread = features[3:] + ground
        told = np.concatenate([features[:3] / spread, np.log(spread)])
        # A deeper layer of two channels comes first in either half; it has no say.
        given = np.concatenate([[7.0, 8.0], features[:3], [5.0, 6.0], features[3:]])
    z = (told - mean) / unit
    assert rule.distance(given) == pytest.approx(np.sqrt(z @ np.linalg.solve(covariance, z) / 6), rel=1e-5)
    with pytest.raises(InputError, match="statistics are of 6 features, the network has 5"):
        rule.distance(np.zeros(5))


def test_new_images_with_few_objects_are_familiar():
    """Their features vary more, in absolute terms, than those of the many images with more objects."""
    predictor = dotcount.load("cells", device="cpu")
    drawn = [generate("cells", seed=31, index=i, count=(20, 80))[0] for i in range(20)]
    found = np.array([predictor.predict(image).familiarity for image in drawn])
    assert (found < 0.5).sum() <= 2, found.round(2)
    assert predictor.predict(np.full((256, 256, 3), 128, np.uint8)).familiarity < 0.2


RULE = Familiarity.of(list(LAYERS), np.zeros(4), np.ones(4), np.eye(4)[:1], np.ones(1), 1.0, 2.0)
RULE = dataclasses.replace(RULE, brightness=(0.2, 0.6), area=10_000)
METADATA = ModelMetadata(
    "compact", 4, interval=CountInterval(0.9, 1.0, 40), familiarity=RULE,
    training=TrainingFacts("mine", images=5, dots=200, count=CountRange(20, 40, 60)),
)  # fmt: skip


def test_metadata_with_statistics_are_read_back_and_damaged_ones_refused():
    assert ModelMetadata.from_json(METADATA.to_json()) == METADATA
    for field, value, words in [
        ("statistics", "?", "base64"),
        ("features", 5, "4 rows of 5|3 rows of 5"),
        ("threshold", 0.0, "greater"),
        ("relative", True, "must hold 4 rows of 4"),
    ]:
        values = METADATA.to_dict()
        values["familiarity"][field] = value
        with pytest.raises(ModelError, match=words):
            ModelMetadata.from_dict(values)


@pytest.mark.parametrize(
    ("count", "features", "area", "brightness", "words", "promised"),
    [
        (40.0, 0.0, 10_000, 0.4, None, True),
        (40.0, 9.0, 10_000, 0.4, "unlike the training images", True),
        (40.0, 0.0, 41_000, 0.4, "4 times as large as the largest training image", False),
        (40.0, 0.0, 10_000, 0.05, "mean brightness 0.05 outside the 0.20 to 0.60", True),
        (90.0, 0.0, 10_000, 0.4, "count outside the 20 to 60", True),
    ],
)
def test_what_sets_an_image_apart_is_told_once(count, features, area, brightness, words, promised):
    found = judge(METADATA, count, np.full(4, features), area, brightness)
    assert (found.interval is not None) == promised
    assert len(found.warnings) == (words is not None)
    assert words is None or words in found.warnings[0]
    assert (found.familiarity < 0.5) == (features > 0)


def test_features_in_tiles_are_those_of_the_whole_image():
    rng, model = np.random.default_rng(3), models.create("compact", width=4).eval()
    image = rng.random((200, 330, 3), dtype=np.float32)
    whole = density_and_features(model, image, tile=0)[1]
    tiled = density_and_features(model, image, tile=96)[1]
    assert whole.shape == (40,)
    assert tiled == pytest.approx(whole, abs=1e-4)
    assert density_and_features(model, image[:3, :5])[1].shape == (40,)


@pytest.mark.parametrize(("name", "channels"), [("mcnn", 30), ("compact", 128 + 32), ("csrnet", 512 + 64)])
def test_networks_name_features_that_they_have(name, channels):
    found = density_and_features(models.create(name).eval(), np.zeros((32, 32, 3), np.float32))[1]
    assert found.shape == (2 * channels,)


def test_padding_of_a_batch_is_no_part_of_what_is_gathered():
    import torch

    model = models.create("compact", width=4).eval()
    image = torch.rand(3, 64, 48)
    padded = torch.ones(1, 3, 64, 64)
    padded[0, :, :, :48] = image
    looks = looks_of(model, [None, Batch(padded, [torch.zeros(0, 2)], [torch.zeros(0)], [(64, 48)], [0])])
    alone = density_and_features(model, image.permute(1, 2, 0).numpy())[1]
    assert looks.features[0] == pytest.approx(alone, abs=1e-5)
    assert looks.area == [64 * 48]


@pytest.mark.parametrize(
    ("name", "channels"), [("compact", {"laterals.2": 16, "last_layer": 4}), ("mcnn", {"last_layer": 30})]
)
def test_a_network_says_how_many_channels_each_layer_has(name, channels):
    options = {"width": 4} if name == "compact" else {}
    assert as_runtime(models.create(name, **options)).feature_channels() == channels
