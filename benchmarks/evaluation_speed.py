"""Time of the localisation scores on 316 images of the size and the counts of ShanghaiTech B, forward passes aside.

    python benchmarks/evaluation_speed.py [--out benchmarks/results/evaluation_speed.json]

Dots are drawn in clusters, 9 to 576 per image; predictions are the dots moved by 4 px, with a tenth missed and a tenth
invented; density maps hold a unit of mass per prediction, spread over the four nearest cells.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dotcount.inference import find_peaks
from dotcount.metrics import GreedyScorer, OptimalScorer, counting_metrics

IMAGES, HEIGHT, WIDTH, STRIDE = 316, 768, 1024, 8


def scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dots, predictions (px) and a density map."""
    n = int(np.clip(rng.lognormal(np.log(95), 0.7), 9, 576))
    centres = rng.random((8, 2)) * (WIDTH, HEIGHT)
    dots = np.clip(centres[rng.integers(0, 8, n)] + rng.normal(0, 60, (n, 2)), 0, (WIDTH - 1, HEIGHT - 1))
    kept = dots[rng.random(n) > 0.1]
    invented = rng.random((n // 10, 2)) * (WIDTH, HEIGHT)
    predicted = np.clip(np.concatenate([kept + rng.normal(0, 4, kept.shape), invented]), 0, (WIDTH - 1, HEIGHT - 1))
    density = np.zeros((HEIGHT // STRIDE + 1, WIDTH // STRIDE + 1))
    cell = np.maximum(predicted / STRIDE - 0.5, 0)
    low = np.floor(cell).astype(int)
    part = cell - low
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            np.add.at(density, (low[:, 1] + dy, low[:, 0] + dx), weight)
    return dots, predicted, density


def timed(action: Callable[[], object], repeats: int = 3) -> float:
    """Return the best of a few wall times, s."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    rng = np.random.default_rng(0)
    scenes = [scene(rng) for _ in range(IMAGES)]

    def greedy() -> object:
        scorer = GreedyScorer()
        for dots, predicted, _ in scenes:
            scorer.update(predicted, dots)
        return scorer.compute()

    def optimal() -> object:
        scorer = OptimalScorer()
        for dots, predicted, _ in scenes:
            scorer.update(predicted, dots, 8.0)
        return scorer.compute()

    def peaks(method: str) -> None:
        for *_, density in scenes:
            find_peaks(density, STRIDE, method=method)

    counts = [len(dots) for dots, *_ in scenes], [density.sum() for *_, density in scenes]
    seconds = {
        "greedy matching at 100 thresholds, AP, AR, F": timed(greedy),
        "optimal matching within 8 px": timed(optimal),
        "peaks by mass": timed(lambda: peaks("mass")),
        "peaks by non-maximum suppression": timed(lambda: peaks("nms")),
        "count errors with the bootstrap interval": timed(lambda: counting_metrics(counts[1], counts[0])),
    }
    result = {
        "images": IMAGES,
        "dots": int(sum(counts[0])),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "machine": f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, one thread",
    }
    print(json.dumps(result, indent=2))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
