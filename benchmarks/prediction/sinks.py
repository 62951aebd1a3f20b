"""CPU time of each sink for a photo, the network left out.

``python -m benchmarks.prediction.sinks`` predicts a few photos of 1024 x 768 px and small images of 128 x 128 px, with
lite0 of random weights, which locates no points, and with ``trees`` and ``cells``, which locate hundreds. Each sink
then writes them by itself, in one thread; of three times the best counts. Writes benchmarks/results/sinks.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import dotcount
from benchmarks.machine import machine
from benchmarks.prediction.speed import ALL_SINKS, make_images
from dotcount import models
from dotcount.inference import Prediction
from dotcount.metadata import ModelMetadata
from dotcount.models import io as model_io
from dotcount.prediction.frame import Frame
from dotcount.prediction.journal import Settings
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks import create_sink

SIZES = {"photos": (1024, 768, 12), "small": (128, 128, 60)}
"""Name -> width, height and number of the images."""

MODELS = ("lite0", "trees", "cells")


def predictions(model: str, size: str, folder: Path) -> list[tuple[Frame, Prediction]]:
    width, height, number = SIZES[size]
    make_images(folder / "images", number, width, height)
    if model == "lite0":
        torch.manual_seed(0)
        module = models.create("lite0")
        module.initialize_density(0.002)
        model = str(model_io.save(module, folder / "model", ModelMetadata("lite0", module.stride)))
    predictor = dotcount.load(model, device="cpu")
    return [(frame.copy(), found) for frame, found in predictor.predict_many(folder / "images") if found is not None]


def milliseconds(name: str, pairs: list[tuple[Frame, Prediction]], out: Path) -> tuple[float, int]:
    """Return CPU time of one sink and the bytes that it wrote, for one image."""
    settings = Settings("model", "0", (name,), len(pairs), "names", "contents", "0")
    sink = create_sink(name)
    folder = OutputFolder(out, settings, sink.names)
    sink.open(folder)
    folder.start()
    start = time.process_time()
    for frame, prediction in pairs:
        sink.write(frame, prediction)
        folder.finish(frame.name, prediction.count, None, False)
    sink.close()
    spent = (time.process_time() - start) * 1e3 / len(pairs)
    folder.close()
    return spent, sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) // len(pairs)


def measure(model: str, size: str, rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as place:
        pairs = predictions(model, size, Path(place))
        found = {
            sink: min(milliseconds(sink, pairs, Path(place) / f"{sink}-{k}") for k in range(rounds))
            for sink in ALL_SINKS.split(",")
        }
    return {
        "model": model,
        "images": size,
        "points": round(float(np.mean([len(prediction.points) for _, prediction in pairs]))),
        "cpu_ms": {sink: round(spent, 2) for sink, (spent, _) in found.items()},
        "bytes": {sink: size for sink, (_, size) in found.items()},
        "cpu_ms_of_all": round(sum(spent for spent, _ in found.values()), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/sinks.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases = []
    for model in args.models:
        for size in SIZES:
            cases.append(measure(model, size, args.rounds))
            print(json.dumps(cases[-1]), flush=True)
    args.out.write_text(json.dumps({"machine": machine(), "cases": cases}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
