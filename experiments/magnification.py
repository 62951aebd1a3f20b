"""Measure how a counter's error depends on the magnification of what it sees.

    python -m experiments.magnification DATA NAME=MODEL [NAME=MODEL ...]

From every validation image of DATA crops of 192 px are cut as in training, untouched ("file") and resampled by several
factors; the figure is the sum of predicted counts over the sum of true ones, without the models' count scales. Writes
experiments/results/magnification.json; the figures are quoted in decision 11.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

import dotcount
from benchmarks.machine import machine
from dotcount.config import AugmentConfig
from dotcount.data import open_collection, read_pixels
from dotcount.data.transforms import training_sample
from experiments.crop_shift import mass

RESULTS = Path(__file__).parent / "results/magnification.json"
FACTORS = (0.8, 0.9, 0.98, 1.02, 1.1, 1.25)
SIDE, SEEDS = 192, 5


def ratios(model: torch.nn.Module, place: str) -> dict[str, float]:
    """Return predicted over true counts by magnification, over :data:`SEEDS` crops of every image."""
    records = [
        record for record in open_collection(place).records if record.split == "val" and record.points is not None
    ]
    settings = {"file": AugmentConfig()} | {
        f"{factor:g}": AugmentConfig(scale=(factor, factor), scale_chance=1.0) for factor in FACTORS
    }
    sums = dict.fromkeys(settings, np.zeros(2))
    for seed, record in ((seed, record) for seed in range(SEEDS) for record in records):
        pixels = read_pixels(record.image)
        for name, augment in settings.items():
            assert record.points is not None, "only images with dots are kept"
            image, dots = training_sample(pixels, record.points, SIDE, augment, np.random.default_rng(seed))
            sums[name] = sums[name] + (mass(model, image), len(dots))
    return {name: round(float(predicted / true), 3) for name, (predicted, true) in sums.items()}


def main(words: list[str]) -> None:
    """Measure every model and write the results."""
    place, *models = words
    found = {}
    for word in models:
        name, _, folder = word.partition("=")
        found[name] = ratios(dotcount.load(folder, device="cpu").model, place)
        print(name, found[name])
    RESULTS.write_text(json.dumps({"machine": machine(), "torch": torch.__version__, "ratios": found}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
