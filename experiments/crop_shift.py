"""Measure what a counter sees in training crops, in the same crops without augmentation, and in whole images.

    python -m experiments.crop_shift NAME=DATA=RUN [NAME=DATA=RUN ...]

DATA as for ``dotcount train``, RUN a folder that it wrote. Per run and part (train, validation): predicted over true
counts, summed over up to 60 images and four crops of each, without the count scale; and how dense dots are at the edge
of training images, relative to the rest. Adds to experiments/results/crop_shift.json; the figures are quoted in
docs/explanation/mass-bias.md.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import torch

import dotcount
from benchmarks.machine import machine
from dotcount import config as configuration
from dotcount.config import AugmentConfig
from dotcount.data import Collection, ResizeRule, read_pixels, resize_pixels
from dotcount.data.images import to_unit
from dotcount.data.transforms import training_sample
from dotcount.training.resolve import make_plan

RESULTS = Path(__file__).parent / "results/crop_shift.json"
IMAGES, CROPS = 60, 4
BORDER = 0.04
"""Width of the border in shorter sides of the image."""


def mass(model: torch.nn.Module, image: np.ndarray) -> float:
    """Return the sum of the density of an (H, W, 3) image in [0, 1]."""
    with torch.inference_mode():
        return float(model(torch.from_numpy(image.transpose(2, 0, 1).copy())[None]).sum())


def ratios(model: torch.nn.Module, images: Collection, config: configuration.RunConfig) -> dict[str, float]:
    """Return predicted over true counts of augmented crops, crops as they are, and whole images."""
    side, rule = config.training.crop or 256, ResizeRule.of(config.data)
    kinds = {"crops, augmented": config.augment, "crops": AugmentConfig(flip_horizontal=False)}
    sums = {name: np.zeros(2) for name in (*kinds, "whole images")}
    chosen = np.linspace(0, len(images) - 1, min(len(images), IMAGES)).round().astype(int)
    for k in chosen:
        record = images.records[k]
        if record.points is None:
            continue
        pixels = read_pixels(record.image)
        width, height = rule.size(pixels.shape[1], pixels.shape[0])
        pixels, points = resize_pixels(pixels, width, height), record.points.resize(width, height)
        sums["whole images"] += (mass(model, to_unit(pixels)), len(points))
        for name, augment in kinds.items():
            for crop in range(CROPS):
                image, dots = training_sample(pixels, points, side, augment, np.random.default_rng((k, crop)))
                sums[name] += (mass(model, image), len(dots))
    return {name: round(float(predicted / true), 4) for name, (predicted, true) in sums.items()}


def border_density(images: Collection) -> float:
    """Return the dots per area within the border over those per area elsewhere."""
    dots, area = np.zeros(2), np.zeros(2)
    for record in images.records:
        if record.points is None:
            continue
        size, xy = np.array([record.points.width, record.points.height]), record.points.xy
        width = BORDER * size.min()
        inside = ((xy >= width) & (xy < size - width)).all(axis=1)
        inner = float(np.prod(size - 2 * width))
        dots += ((~inside).sum(), inside.sum())
        area += (float(np.prod(size)) - inner, inner)
    border, rest = dots / area
    return round(float(border / rest), 3)


def main(words: list[str]) -> None:
    """Measure every run and write the results."""
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for word in words:
        name, place, folder = word.split("=")
        config = configuration.load(Path(folder) / "config.yaml")
        path = place.partition(":")[2] or place
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, path=path))
        plan = make_plan(config)
        model = dotcount.load(Path(folder) / "model", device="cpu").model
        parts = {"train": plan.train, "validation": plan.validation}
        found[name] = {
            "machine": machine(),
            "crop": config.training.crop,
            "border_density": border_density(plan.train),
            **{part: ratios(model, images, config) for part, images in parts.items()},
        }
        print(name, found[name])
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
