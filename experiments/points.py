"""Peaks beside as many points as the count says: F, and how far the number of points is from the count.

    python -m experiments.points [--data ../shared/data]

``cells`` on 40 made-up scenes it was not trained on, ``trees`` on the test part of the urban trees. A point is a hit
within an object's radius, half the median distance between neighbouring dots of the image; largest matching. Writes
experiments/results/points.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import dotcount
from benchmarks.machine import machine
from dotcount.data import Collection, open_collection
from dotcount.data.synthetic import write_dataset
from dotcount.metrics import OptimalScorer, object_radii

RESULTS = Path(__file__).parent / "results" / "points.json"
SCENES, SEED = 40, 77


def measured(model: str, collection: Collection) -> dict[str, dict[str, float]]:
    """Return the figures of each way of placing points."""
    found = {}
    records = [r for r in collection.records if r.points is not None]
    radii = object_radii([r.points.xy for r in records if r.points is not None], 4)
    for way in ("peaks", "count"):
        predictor = dotcount.load(model, device="cpu", runtime="torch", points=way)
        scorer, gaps, numbers = OptimalScorer(), [], []
        started = time.process_time()
        for record, radius in zip(records, radii):
            prediction = predictor.predict(record.image)
            gaps.append(abs(len(prediction.points) - prediction.count))
            numbers.append(len(prediction.points))
            assert record.points is not None
            scorer.update(prediction.points, record.points.xy, float(radius))
        result = scorer.compute()
        found[way] = {
            "f": round(result.f, 4),
            "precision": round(result.precision, 4),
            "recall": round(result.recall, 4),
            "points": int(sum(numbers)),
            "mean_gap_to_count": round(float(np.mean(gaps)), 3),
            "largest_gap_to_count": round(float(np.max(gaps)), 3),
            "cpu_seconds_an_image": round((time.process_time() - started) / len(records), 3),
        }
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as name:
        scenes = write_dataset(Path(name) / "scenes", "cells", train=0, val=0, test=SCENES, seed=SEED)
        told = {
            "machine": machine(),
            "seed": SEED,
            "cells, made-up scenes": measured("cells", open_collection(scenes)),
            "trees, test": measured("trees", open_collection(data / "urban_trees_socal").split("test")),
        }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
