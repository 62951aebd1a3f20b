"""Fit what is familiar to the published counters, and measure how well strangers are told from it.

    python -m experiments.familiarity measure [--model NAME] [--data ../shared/data] [--out RUNS]
    python -m experiments.familiarity publish [--model NAME] [--data ../shared/data] [--out RUNS]

``measure`` writes experiments/results/familiarity.json, a model at a time: AUROC between held-out images (validation
and test) and images that are blank, noise, dark, of another scale or of another domain, and how often each kind is
warned of; of drawn cells, also how often new draws of other numbers and sizes are. ``publish`` writes familiarity, and
the interval with its confidence, parts and errors, into the metadata of the published models;
their counts stay the same. The statistics are of the drawn cells, which are dotcount's own, and of the urban trees
(CC BY 4.0).
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import dotcount
from benchmarks.machine import machine
from dotcount import weights
from dotcount.calibration import Looks, calibrate, fit_count_scale, fit_familiarity, part_residuals
from dotcount.data import Record
from dotcount.data.synthetic import generate, write_dataset
from experiments.reproduce.suite import DATA, DRAWN

RESULTS = Path(__file__).parent / "results" / "familiarity.json"
SEED = 0
Pixels = npt.NDArray[np.uint8]
OWN = {"cells": "cells", "trees": "trees"}
OTHERS = ("cells", "trees", "vgg_cells", "adipocyte", "shb")
TRAINING, STRANGERS = 100, 30
DRAWS: dict[str, tuple[int, dict[str, Any]]] = {
    "0 to 250 cells": (150, {"seed": 11, "count": (0, 250)}),
    "20 to 80 cells": (316, {"seed": 0, "count": (20, 80)}),
    "0 to 40 cells": (100, {"seed": 21, "count": (0, 40)}),
    "0 to 250 cells, 512 x 384 px": (40, {"seed": 12, "count": (0, 250), "size": (512, 384)}),
    "0 to 250 cells, 1024 x 1024 px": (6, {"seed": 14, "count": (0, 250), "size": 1024}),
    "0 to 250 cells, 128 x 128 px": (40, {"seed": 13, "count": (0, 250), "size": 128}),
}
"""New images of the training domain of ``cells``: number of images, and what they are drawn with.

The numbers of cells are for 256 x 256 px.
"""


def records(name: str, split: str, data: str, out: Path, most: int | None = None) -> list[Record]:
    """Return records of a split, evenly spaced; all splits for ``all``."""
    place = DATA[name].format(data=data, out=out)
    if name in DRAWN and not Path(place).exists():
        write_dataset(Path(place), **DRAWN[name])
    found = [r for r in dotcount.open_collection(place, strict=False).records if split in ("all", r.split)]
    at = np.linspace(0, len(found) - 1, min(len(found), most or len(found))).round().astype(int)
    return [found[i] for i in at]


def pixels_of(record: Record) -> Pixels:
    """Return an image as stored."""
    return np.ascontiguousarray(dotcount.data.read_pixels(record.image))


def enlarged(pixels: Pixels, factor: float) -> Pixels:
    """Return the picture at another scale; of a larger one the middle, of at most the same size."""
    image, (height, width) = Image.fromarray(pixels), pixels.shape[:2]
    if factor > 1:
        w, h = width / factor, height / factor
        left, top = (width - w) / 2, (height - h) / 2
        image = image.crop((round(left), round(top), round(left + w), round(top + h)))
        return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    return np.asarray(image.resize((round(width * factor), round(height * factor)), Image.Resampling.BILINEAR))


def whole(pixels: Pixels, factor: float) -> Pixels:
    """Return the whole picture, enlarged."""
    height, width = pixels.shape[:2]
    size = round(width * factor), round(height * factor)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def strangers(own: list[Pixels]) -> Iterator[tuple[str, list[Pixels]]]:
    """Yield (kind, pictures) made from nothing, or from test images."""
    rng, (height, width) = np.random.default_rng(SEED), own[0].shape[:2]
    yield "blank", [np.full((height, width, 3), v, np.uint8) for v in np.linspace(0, 255, STRANGERS).round()]
    colour = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(STRANGERS // 2)]
    grey = [rng.normal(100, 40, (height, width, 1)).clip(0, 255).astype(np.uint8) for _ in range(STRANGERS // 2)]
    yield "noise", [*colour, *(one.repeat(3, axis=2) for one in grey)]
    yield "night (a quarter of the brightness)", [(one * 0.25).astype(np.uint8) for one in own]
    for factor in (0.25, 0.5):
        yield f"scale x{factor:g}", [enlarged(one, factor) for one in own]
    for factor in (2.0, 4.0):
        yield f"scale x{factor:g}, the middle of the image", [enlarged(one, factor) for one in own]
        yield f"scale x{factor:g}, the whole image", [whole(one, factor) for one in own[:: 1 if factor < 4 else 2]]


def auroc(own: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Return the probability that a stranger is less familiar than one's own image; ties count half."""
    a, b = np.asarray(own)[:, None], np.asarray(other)[None]
    return float((a > b).mean() + 0.5 * (a == b).mean())


def fitted(model: str, data: str, out: Path) -> dotcount.Predictor:
    """Return a published counter with the statistics of its own training and validation images."""
    predictor = dotcount.load(model, device="cpu")
    looks = {}
    for split in ("train", "val"):
        looks[split] = Looks()
        for record in records(OWN[model], split, data, out, TRAINING):
            found = predictor.predict(pixels_of(record))
            assert found.brightness is not None, "a counter measures brightness"
            looks[split].add(found.features, found.brightness, found.width * found.height)
    rule = fit_familiarity(predictor.runtime.feature_channels(), looks["train"], looks["val"])
    predictor.metadata = dataclasses.replace(predictor.metadata, familiarity=rule)
    return predictor


def measure(model: str, data: str, out: Path) -> dict[str, Any]:
    """Return AUROC and warnings by kind of image."""
    predictor = fitted(model, data, out)

    def familiarity(pictures: list[Pixels]) -> npt.NDArray[np.float64]:
        return np.array([predictor.predict(one).familiarity for one in pictures], dtype=np.float64)

    test = [pixels_of(r) for r in records(OWN[model], "test", data, out)]
    own = familiarity(test)
    held_out = np.concatenate([own, familiarity([pixels_of(r) for r in records(OWN[model], "val", data, out)])])
    kinds: dict[str, list[Pixels]] = dict(strangers([test[i] for i in range(0, len(test), -(-len(test) // STRANGERS))]))
    for name in OTHERS:
        if name != OWN[model]:
            kinds[f"domain {name}"] = [pixels_of(r) for r in records(name, "all", data, out, STRANGERS)]
    rows: dict[str, Any] = {}
    for kind, pictures in kinds.items():
        found = familiarity(pictures)
        rows[kind] = {
            "images": len(pictures),
            "auroc_test": round(auroc(own, found), 4),
            "auroc_held_out": round(auroc(held_out, found), 4),
            "warned": round(float((found < 0.5).mean()), 3),
        }
        print(model, kind, rows[kind], flush=True)
    own_kind = {}
    for name, (number, how) in DRAWS.items() if model == "cells" else ():
        found = familiarity([generate("cells", index=i, **how)[0] for i in range(number)])
        own_kind[name] = {"images": number, "warned": round(float((found < 0.5).mean()), 4)}
        print(model, name, own_kind[name], flush=True)
    return {
        "test images": len(test),
        "new draws": own_kind,
        "false alarms on test images": round(float((own < 0.5).mean()), 4),
        "median familiarity of test images": round(float(np.median(own)), 3),
        "kinds": rows,
    }


def publish(model: str, data: str, out: Path) -> None:
    """Write familiarity and interval into the metadata of a published model."""
    predictor = fitted(model, data, out)
    metadata, densities, dots = predictor.metadata, [], []
    for record in records(OWN[model], "val", data, out):
        assert record.points is not None, "validation images have dots"
        densities.append(predictor.predict(pixels_of(record)).density.astype(np.float64) / metadata.count_scale)
        dots.append(record.points.xy)
    raw, true = [float(one.sum()) for one in densities], [len(xy) for xy in dots]
    held_out = fit_count_scale(raw, true, always=metadata.count_scale != 1).held_out
    maps = [one * count / max(total, 1e-9) for one, count, total in zip(densities, held_out, raw)]
    parts = part_residuals(maps, dots, metadata.stride)
    interval = calibrate(held_out, true, confidence=0.8, parts=parts)
    text = dataclasses.replace(metadata, interval=interval).checked().to_json()
    (weights.FOLDER / model / "config.json").write_text(text, encoding="utf-8")
    print(model, interval)


def main() -> None:
    """Measure or publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("measure", "publish"))
    parser.add_argument("--model", choices=tuple(OWN), action="append", help="one of them alone; may be repeated")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args()
    for model in args.model or OWN:
        if args.action == "publish":
            publish(model, args.data, args.out)
            continue
        found = measure(model, args.data, args.out)
        told = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        versions = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "pillow")}
        told |= {"machine": machine(), "versions": versions, "seed": SEED}
        told["models"] = told.get("models", {}) | {model: found}
        RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
