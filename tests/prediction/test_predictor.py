import math

import numpy as np
import pytest
import torch
from PIL import Image

import dotcount
from dotcount.errors import ImageReadError, InputError, ModelError, UsageError
from dotcount.metadata import CountInterval, InputRule, ModelMetadata, PeakRule
from dotcount.prediction import Predictor, load
from dotcount.resize import ResizeRule

from .oracles import write_dotted


def facts(**settings):
    return ModelMetadata("bright", 4, **settings)


DOTS = [(2.5, 2.5), (30.5, 10.5), (62.5, 46.5)]


def test_count_is_the_sum_and_points_are_in_image_pixels(bright, tmp_path):
    prediction = Predictor(bright).predict(write_dotted(tmp_path / "a.png", DOTS))
    assert prediction.count == pytest.approx(3)
    assert prediction.density.shape == (12, 16)
    assert (prediction.width, prediction.height, prediction.stride) == (64, 48, (4, 4))
    # A lone pixel's mass lies at the centre of its cell: within half a cell of the dot.
    order = np.argsort(prediction.points[:, 0])
    assert np.abs(prediction.points[order] - DOTS).max() <= 2
    np.testing.assert_allclose(prediction.scores, 1)
    assert prediction.interval is None


@pytest.mark.parametrize(("width", "height"), [(9, 8), (10, 8), (11, 9), (8, 11), (1, 1), (3, 2)])
def test_cells_with_their_centre_outside_do_not_count(bright, width, height):
    from dotcount.losses import valid_cells

    bright.forward = lambda _: torch.ones(1, 1, -(-height // 4), -(-width // 4))
    prediction = Predictor(bright).predict(np.zeros((height, width), np.uint8))
    counted = valid_cells(bright(None), 4, [(height, width)])
    assert prediction.count == counted.sum()
    np.testing.assert_array_equal(prediction.density, counted[0].float())


def test_arrays_pil_images_and_files_agree(bright, tmp_path):
    path = write_dotted(tmp_path / "a.png", DOTS)
    pixels = np.asarray(Image.open(path))
    predictor = Predictor(bright)
    images = [
        path, str(path), pixels, pixels.astype(np.uint16) * 257, pixels / 255.0, pixels[:, :, 0], pixels[:, :, :1],
        *(Image.open(path).convert(mode) for mode in ("RGB", "L", "P", "RGBA")),
    ]  # fmt: skip
    assert [predictor.predict(image).count for image in images] == [3] * len(images)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 2)), np.zeros((0, 4, 3)), np.zeros(4), np.full((4, 4), 200.0), np.full((4, 4), np.nan),
     np.zeros((4, 4), int), np.zeros((3, 4, 4, 1))],
)  # fmt: skip
def test_arrays_that_are_no_images_are_refused(bright, array):
    with pytest.raises(InputError, match="image array must"):
        Predictor(bright).predict(array)


def test_points_and_cells_go_back_to_the_original_size(bright, tmp_path):
    block = [(40 + i, 20 + j) for i in range(8) for j in range(8)]
    path = write_dotted(tmp_path / "a.png", block, size=(64, 48))
    prediction = Predictor(bright, facts(input=InputRule(ResizeRule(min_side=96)))).predict(path)
    assert prediction.stride == (2, 2)
    assert prediction.density.shape == (24, 32)
    assert (prediction.width, prediction.height) == (64, 48)
    found = prediction.points.mean(axis=0)
    np.testing.assert_allclose(found, (44, 24), atol=1)


def test_interval_and_threshold_come_from_the_metadata(bright, tmp_path):
    path = write_dotted(tmp_path / "a.png", DOTS)
    metadata = facts(interval=CountInterval(0.9, 0.5, 50), peaks=PeakRule(threshold=1.5))
    prediction = Predictor(bright, metadata).predict(path)
    assert prediction.interval == pytest.approx((2, 4))
    assert len(prediction.points) == 0
    open_ended = facts(interval=CountInterval(0.9, math.inf, 3, "too few"))
    assert Predictor(bright, open_ended).predict(path).interval is None


def test_the_way_to_points_comes_from_the_metadata(bright, tmp_path):
    """Two dots in neighbouring cells: objects taken out by mass are two, local maxima are one."""
    path = write_dotted(tmp_path / "a.png", [(10, 10), (14, 10)])
    assert len(Predictor(bright).predict(path).points) == 2
    assert len(Predictor(bright, facts(peaks=PeakRule("nms"))).predict(path).points) == 1
    apart = write_dotted(tmp_path / "b.png", [(10, 10), (18, 10)])
    assert len(Predictor(bright, facts(peaks=PeakRule("nms"))).predict(apart).points) == 2
    assert len(Predictor(bright, facts(peaks=PeakRule("nms", 2))).predict(apart).points) == 1


def test_one_broken_image_costs_one_row(bright, tmp_path):
    for i in range(5):
        write_dotted(tmp_path / "in" / f"{i}.png", DOTS)
    (tmp_path / "in" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    outcomes = list(Predictor(bright).predict_many([tmp_path / "in"]))
    assert [frame.status for frame, _ in outcomes] == ["ok", "ok", "error", "ok", "ok"]
    assert [prediction is None for _, prediction in outcomes] == [False, False, True, False, False]
    assert "2.png" in outcomes[2][0].error
    with pytest.raises(ImageReadError):
        Predictor(bright).predict(tmp_path / "in" / "2.png")


def test_load_takes_the_run_and_the_model_folder(saved_model):
    assert dotcount.load(saved_model).name == "compact"
    predictor = load(saved_model.parent, device="cpu", tile=64)
    assert predictor.stride == 4
    image = np.random.default_rng(0).random((150, 200, 3), dtype=np.float32)
    tiled, whole = predictor.predict(image), load(saved_model).predict(image)
    assert tiled.count == pytest.approx(whole.count, rel=1e-5)
    assert whole.interval[0] < whole.count < whole.interval[1]


def test_load_says_what_is_missing(saved_model, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load(tmp_path / "gone")
    (tmp_path / "run").mkdir()
    with pytest.raises(ModelError, match="holds no model"):
        load(tmp_path / "run")
    (tmp_path / "run" / "last.ckpt").write_bytes(b"")
    with pytest.raises(ModelError, match="not finished an epoch"):
        load(tmp_path / "run")
    with pytest.raises(UsageError, match="not available"):
        load(saved_model, device="cuda:7" if not torch.cuda.is_available() else "nonsense")


def test_a_model_that_returns_nan_is_an_error_not_a_count(bright):
    bright.forward = lambda images: images.new_full((1, 1, 12, 16), float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        Predictor(bright).predict(np.zeros((48, 64), np.uint8))
