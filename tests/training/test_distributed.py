import pytest
import torch
from safetensors.torch import load_file

from dotcount.training import train


def test_two_processes_take_the_steps_of_one_with_twice_the_batch(tiny, tmp_path):
    """Gradients are averaged over the crops of all processes; every validation image counts once."""
    one = train(tiny(training__batch_size=4, training__epochs=2), tmp_path / "one")
    two = train(tiny(training__batch_size=2, training__epochs=2, training__devices=2), tmp_path / "two")
    for name in ("train_loss", "val_mae", "val_rmse", "val_bias"):
        assert abs(one.best[name] - two.best[name]) < 1e-3 * max(1, abs(one.best[name])), name
    first, second = (
        torch.load(tmp_path / run / "last.ckpt", weights_only=True)["run"]["counts"] for run in ("one", "two")
    )
    assert first.keys() == second.keys() == {1, 2}
    assert all(first[epoch] == pytest.approx(second[epoch], abs=1e-3) for epoch in first)
    left, right = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("one", "two"))
    assert all(torch.allclose(left[name], right[name], atol=1e-3) for name in left)
