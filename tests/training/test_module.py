import dataclasses

import pytest
import torch
from torch import nn

from dotcount.clipping import QuantileClip
from dotcount.losses import create as create_loss
from dotcount.models import create
from dotcount.training import TrainingError, train
from dotcount.training.module import CountingModule, MovingAverage, make_optimizer
from dotcount.training.state import RunState


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_follows_its_recursion(decay):
    model = nn.Linear(2, 1)
    average = MovingAverage(model, decay)
    expected = None
    for n in range(20):
        with torch.no_grad():
            model.weight.add_(torch.randn(1, 2))
        average.update_parameters(model)
        share = 1 - min(decay, (1 + n) / (10 + n))
        expected = model.weight.detach().clone() if n == 0 else expected + share * (model.weight.detach() - expected)
        torch.testing.assert_close(average.module.weight, expected)
    assert decay > 0 or torch.equal(average.module.weight, model.weight)


def test_the_average_is_never_trained():
    average = MovingAverage(nn.Sequential(nn.Linear(2, 2), nn.Dropout()), 0.9)
    average.train()
    assert not any(part.training for part in average.modules())
    assert not any(p.requires_grad for p in average.parameters())


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_optimiser_is_the_one_configured(tiny, name, kind):
    config = tiny(f"optimizer.name={name}", "optimizer.weight_decay=0.5", "optimizer.betas=[0.8, 0.9]")
    made = make_optimizer(create("compact", width=4), config.optimizer)
    assert type(made) is kind
    group = made.param_groups[0]
    assert (group["weight_decay"], tuple(group["betas"]), group["lr"]) == (0.5, (0.8, 0.9), 1e-3)


def break_at(monkeypatch, hook, step, breaking):
    original = getattr(CountingModule, hook)

    def broken(self, *args, **kwargs):
        if self.global_step == step:
            breaking(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(CountingModule, hook, broken)


def spoil_weights(module):
    next(module.model.parameters()).data.fill_(torch.nan)


def spoil_gradient(module):
    next(p for p in module.model.parameters() if p.grad is not None).grad.fill_(torch.inf)


@pytest.mark.parametrize(
    ("hook", "breaking", "what"),
    [
        ("training_step", spoil_weights, "the model's density"),
        ("configure_gradient_clipping", spoil_gradient, "the gradient"),
    ],
)
def test_what_is_not_finite_stops_the_run_with_its_place_and_a_remedy(
    tiny, tmp_path, monkeypatch, hook, breaking, what
):
    break_at(monkeypatch, hook, 4, breaking)
    message = (
        rf"{what} is not finite at epoch 2, step 5; lower optimizer.learning_rate \(now 0.001\), and start a new run"
    )
    with pytest.raises(TrainingError, match=message) as caught:
        train(tiny(), tmp_path / "run")
    assert "\n" not in str(caught.value)
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert kept["run"]["done"] == 1
    assert all(bool(value.isfinite().all()) for value in kept["best_weights"].values())
    assert not (tmp_path / "run" / "model").exists()


def kill_output(module):
    module.model.last_layer.bias.data.fill_(-1000.0)


def test_a_density_that_can_never_rise_again_stops_the_run(tiny, tmp_path, monkeypatch):
    """Softplus of -1000 is zero and so is its slope; the checkpoint of the epoch before is kept."""
    break_at(monkeypatch, "training_step", 3, kill_output)
    message = "zero everywhere by epoch 2, and no gradient comes back; lower optimizer.learning_rate or set model"
    with pytest.raises(TrainingError, match=message):
        train(tiny("loss.name=uot", "optimizer.weight_decay=0"), tmp_path / "uot")
    assert torch.load(tmp_path / "uot" / "last.ckpt", weights_only=True)["run"]["done"] == 1
    with pytest.raises(TrainingError, match=r"set loss\.options\.background=none"):
        train(tiny("loss.name=bayesian", "optimizer.weight_decay=0"), tmp_path / "bayesian")
    assert create_loss("bayesian", background="none").emptied_remedy == ""  # then it is not the background's doing


@pytest.mark.parametrize("norm", [0.0, 1e-13, 1e-9, torch.nan])
@pytest.mark.parametrize("dots", [0, 1])
def test_zero_is_right_where_nothing_is_dotted_and_small_gradients_still_move_weights(tiny, norm, dots):
    module = CountingModule(create("compact", width=4), create_loss("uot"), tiny(), RunState())
    module.norms, module.dots = [torch.tensor(0.0), torch.tensor(norm)], dots
    if dots and norm < 1e-12:
        with pytest.raises(TrainingError, match="zero everywhere by epoch 1"):
            module.check_alive()
    else:
        module.check_alive()


def test_the_gradient_is_clipped_and_its_norm_before_that_recorded(tiny, tmp_path):
    config = tiny("optimizer.name=adam", training__epochs=1)
    free = train(dataclasses.replace(config, optimizer=clip(config, None)), tmp_path / "free")
    tight = train(dataclasses.replace(config, optimizer=clip(config, 1e-9)), tmp_path / "tight")
    assert tight.best["grad_norm"] > 1e-3
    assert free.best["grad_norm"] != tight.best["grad_norm"]  # the second step starts from other weights


def clip(config, norm):
    return dataclasses.replace(config.optimizer, clip_norm=norm)


def test_a_quantile_of_its_own_norms_clips_every_loss_alike():
    gate = QuantileClip(0.5)
    for size in range(1, 20):
        gate.add(torch.tensor(float(size)))
    assert gate.bound() == float("inf")  # of 19
    gate.add(torch.tensor(float("inf")))  # a step that the gradient scaler skipped
    gate.add(torch.tensor(20.0))
    assert gate.bound() == 10.5
    for _ in range(200):
        gate.add(torch.tensor(7.0))
    assert gate.bound() == 7.0  # the first ones are forgotten


def test_the_share_of_clipped_steps_is_recorded_and_the_norms_belong_to_the_state(tiny, tmp_path):
    config = tiny("optimizer.clip_quantile=0.5", "optimizer.clip_norm=null", training__steps_per_epoch=30)
    result = train(config, tmp_path / "run")
    assert 0.1 < result.best["grad_clipped"] < 0.95
    weights = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    kept = [value for key, value in weights["state_dict"].items() if key.endswith("clip.recent")]
    assert len(kept) == 1
    assert int(torch.isfinite(kept[0]).sum()) == 90
