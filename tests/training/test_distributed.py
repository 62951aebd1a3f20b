import pytest
import torch
from safetensors.torch import load_file

from dotcount.metadata.reading import load_metadata
from dotcount.training import train

from .conftest import draw_scenes


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Three validation images: of two processes one has more of them than the other."""
    root = tmp_path_factory.mktemp("uneven")
    draw_scenes(root / "train", 8, 0)
    draw_scenes(root / "val", 3, 1)
    return {"data__path": str(root)}


@pytest.fixture(scope="module")
def runs(tiny, uneven, tmp_path_factory):
    """Two epochs by one process, and by two with half the batch each; the loss remembers potentials of dots."""
    folder = tmp_path_factory.mktemp("distributed")
    one = train(tiny(training__batch_size=4, training__epochs=2, **uneven), folder / "one")
    two = train(tiny(training__batch_size=2, training__epochs=2, training__devices=2, **uneven), folder / "two")
    return one, two, folder


def test_two_processes_take_the_steps_of_one_with_twice_the_batch(runs):
    """Gradients are averaged over the crops of all processes; every validation image counts once."""
    one, two, folder = runs
    for name in ("train_loss", "val_mae", "val_rmse", "val_bias"):
        assert abs(one.best[name] - two.best[name]) < 1e-3 * max(1, abs(one.best[name])), name
    first, second = (
        torch.load(folder / run / "last.ckpt", weights_only=True)["run"]["counts"] for run in ("one", "two")
    )
    assert first.keys() == second.keys() == {1, 2}
    assert all(first[epoch] == pytest.approx(second[epoch], abs=1e-3) for epoch in first)
    assert all(len(counts) == 3 for counts in second.values())
    left, right = (load_file(folder / run / "model" / "model.safetensors") for run in ("one", "two"))
    assert all(torch.allclose(left[name], right[name], atol=1e-3) for name in left)


def test_calibration_after_two_processes_is_that_after_one(runs):
    """It sees every held-out image once, though each process counted only its own in training."""
    folder = runs[2]
    one, two = (load_metadata(folder / run / "model") for run in ("one", "two"))
    assert two.validation.counting.n == one.validation.counting.n == 3
    assert two.count_scale == pytest.approx(one.count_scale, rel=1e-3)
    assert two.validation.counting.mae == pytest.approx(one.validation.counting.mae, rel=1e-2, abs=1e-3)
    assert (two.interval.n, two.interval.reason) == (one.interval.n, one.interval.reason)
    assert two.peaks == one.peaks


def test_parts_of_the_loss_are_means_over_the_processes(runs):
    """All processes name the same parts in the same order: the log holds one row for both."""
    one, two, _ = runs
    first, second = one.best, two.best
    parts = [name for name in first if name.startswith("loss_")]
    assert parts
    assert first.keys() == second.keys()
    for name in ("loss_transport", "loss_pixel_mass", "loss_dot_mass"):
        assert second[name] == pytest.approx(first[name], rel=1e-2, abs=1e-3), name
