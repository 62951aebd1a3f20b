import threading

import numpy as np
import pytest

from dotcount.errors import ModelError, OutputError
from dotcount.metadata import CountRange, ModelMetadata, TrainingFacts
from dotcount.prediction.engines import ENGINES, LocalEngine, local
from dotcount.prediction.frame import Frame
from dotcount.prediction.predictor import Predictor
from tests.prediction.oracles import write_dotted


def frames(n, log=None, broken=(), size=(8, 8)):
    def make(k):
        def read():
            if log is not None:
                log.append((k, threading.current_thread().name))
            if k in broken:
                raise KeyError("a decoder's own")
            pixels = np.zeros((*size, 3), np.uint8)
            pixels[0, :k] = 255
            return pixels, ()

        return Frame(f"{k}.png", read)

    return (make(k) for k in range(n))


def batching(model):
    predictor = Predictor(model)
    predictor.runtime.batches = True
    return predictor


def test_frames_come_in_order_with_their_predictions(bright):
    got = [(f.name, p if p is None else p.count) for f, p in LocalEngine(batching(bright)).run(frames(5, broken={2}))]
    assert got == [("0.png", 0), ("1.png", 1), ("2.png", None), ("3.png", 3), ("4.png", 4)]


def test_the_next_picture_is_decoded_beside_the_network_and_no_more(bright):
    log = []
    going = LocalEngine(Predictor(bright)).run(frames(90, log, size=(600, 800)))
    frame, _ = next(going)
    assert frame.pixels.shape == (600, 800, 3)
    going.close()
    assert {name.split("_")[0] for _, name in log} == {"decode"}
    assert len(log) <= 4  # with the caller, at the network, next in line, being decoded


def test_large_pictures_are_not_held_in_stock(bright, monkeypatch):
    monkeypatch.setattr(local, "LARGE", 100)
    log = []
    going = LocalEngine(Predictor(bright)).run(frames(90, log, size=(600, 800)))
    next(going)
    going.close()
    assert len(log) <= 3


def test_small_pictures_of_one_size_share_a_call_and_keep_their_errors(bright):
    sizes = []

    def forward(images):
        sizes.append(tuple(images.shape))
        return type(bright).forward(bright, images)

    bright.forward = forward
    log = []
    some = [*frames(20, log, broken={3}), *frames(2, size=(12, 8)), *frames(3)]
    got = [None if p is None else p.count for _, p in LocalEngine(batching(bright)).run(some)]
    assert got == [0, 1, 2, None, *map(float, [*range(4, 8), *[8] * 12]), 0, 1, 0, 1, 2]
    assert sizes == [(3, 3, 8, 8), (16, 3, 8, 8), (2, 3, 12, 8), (3, 3, 8, 8)]


def test_a_batch_that_fails_is_counted_one_by_one(bright):
    def forward(images):
        if len(images) > 2:
            raise RuntimeError("too many")
        return type(bright).forward(bright, images)

    bright.forward = forward
    got = [(p and p.count, f.error) for f, p in LocalEngine(batching(bright)).run(frames(5))]
    assert got == [(k, None) for k in range(5)]


def test_a_prediction_of_a_batch_owns_its_density(bright):
    densities = [p.density for _, p in LocalEngine(batching(bright)).run(frames(5))]
    assert all(density.nbytes == 16 and (density.base is None or density.base.nbytes == 16) for density in densities)


def test_pixels_go_when_the_next_frame_is_asked_for(bright):
    kept = [frame for frame, _ in LocalEngine(Predictor(bright)).run(frames(3))]
    assert [frame._pixels for frame in kept] == [None] * 3
    assert [frame.error for frame in kept] == [None] * 3


def test_an_error_of_the_network_is_that_frames(bright):
    def forward(images):
        if (images.amax((1, 2, 3)) == 0).any():
            raise RuntimeError("can't take it")
        return type(bright).forward(bright, images)

    bright.forward = forward
    got = [(p is None, f.error) for f, p in LocalEngine(batching(bright)).run(frames(2))]
    assert got[0][0]
    assert "can't take it" in got[0][1]
    assert got[1] == (False, None)


def test_an_output_that_fails_ends_the_run(bright):
    def forward(images):
        raise OutputError("disk full")

    bright.forward = forward
    with pytest.raises(OutputError):
        list(LocalEngine(Predictor(bright)).run(frames(2)))


def test_the_registry_has_it():
    assert list(ENGINES) == ["local", "ray"]


def test_counts_unlike_those_of_the_training_images_are_told(bright, tmp_path):
    facts = TrainingFacts(count=CountRange(min=5, median=8, max=10))
    metadata = ModelMetadata(model="Bright", stride=4, training=facts)
    warned = []
    for n in (0, 4, 8, 12, 14):
        path = write_dotted(tmp_path / f"{n}.png", [(2 + 4 * k, 3) for k in range(n)])
        warned.append(bool(next(Predictor(bright, metadata).predict_many(path))[0].warnings))
    assert warned == [True, False, False, False, True]


def test_a_model_whose_density_is_never_finite_ends_the_run(bright):
    bright.forward = lambda images: type(bright).forward(bright, images) * float("nan")
    got = []
    with pytest.raises(ModelError, match="returned a density that is not finite; retrain it"):
        got.extend(frame.error for frame, _ in LocalEngine(Predictor(bright)).run(frames(50, broken={1})))
    assert [error is not None for error in got] == [True] * 3
    assert "a decoder's own" in got[1]  # says nothing of the model


def test_an_odd_density_is_that_images_where_others_are_finite(bright):
    """A first image, and many later ones, of which the network makes nothing finite are rows of their own."""

    def forward(images):
        odd = (images > 0.99).sum((1, 2, 3), keepdim=True) != 3
        return type(bright).forward(bright, images).masked_fill(odd, float("inf"))

    bright.forward = forward
    got = [p is None for _, p in LocalEngine(batching(bright)).run(frames(7))]
    assert got == [True, False, True, True, True, True, True]
