from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dotcount import config
from dotcount.training import Listener, TrainResult, train


def draw_scenes(folder, n, seed, size=(80, 64)):
    """Write ``n`` images of bright squares on noise, and dots.csv."""
    folder.mkdir(parents=True)
    rng, rows = np.random.default_rng(seed), ["image,x,y"]
    width, height = size
    for i in range(n):
        pixels = rng.integers(0, 40, (height, width, 3), dtype=np.uint8)
        for x, y in rng.uniform((4, 4), (width - 4, height - 4), (int(rng.integers(1, 8)), 2)):
            pixels[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 220
            rows.append(f"{i:02d}.png,{x:.2f},{y:.2f}")
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    (folder / "dots.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    draw_scenes(root / "train", 10, 0)
    draw_scenes(root / "val", 4, 1)
    return root


@pytest.fixture(scope="session")
def tiny(scenes):
    """Build a configuration that trains in a second; keyword arguments are dotted keys with ``__``."""

    def build(*overrides, **values):
        small = {"data__path": str(scenes), "model__options": {"width": 4, "stride": 8}, "training__crop": 32}
        steps = {"training__steps_per_epoch": 3, "training__batch_size": 2, "training__epochs": 3}
        small |= steps | {"schedule__warmup_steps": 2, "training__workers": 0, "training__device": "cpu"} | values
        return config.load(None, overrides, **{k: v for k, v in small.items() if v != "unset"})

    return build


@dataclass(frozen=True)
class Finished:
    config: config.RunConfig
    run: Path
    result: TrainResult


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory):
    """A run of three epochs that must not be changed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    return Finished(tiny(), run, train(tiny(), run))


class Heard(Listener):
    """Keeps the sentences that a run tells."""

    def __init__(self):
        self.notes, self.warnings, self.epochs, self.plans, self.steps, self.ended = [], [], [], [], 0, 0

    def planned(self, plan):
        self.plans.append(plan)

    def noted(self, message):
        self.notes.append(message)

    def warned(self, message):
        self.warnings.append(message)

    def step_ended(self):
        self.steps += 1

    def epoch_ended(self, state):
        self.epochs.append(state.done)

    def training_ended(self):
        self.ended += 1


@pytest.fixture
def heard():
    return Heard()
