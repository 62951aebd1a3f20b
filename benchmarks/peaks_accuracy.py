"""How well points are placed on simulated density maps of dense crowds: mass against non-maximum suppression.

    python benchmarks/peaks_accuracy.py [--out benchmarks/results/peaks_accuracy.json]

30 images of 1024 x 768 px with dots in clusters, 9 to 576 per image and at least 3 px apart. Every dot leaves 0.7 to
1.2 objects in the map, in its cell ("cell"), in the four nearest cells ("bilinear") or as a Gaussian of 0.7 cells
("gaussian"); background of 0.002 objects per cell on average is added. For each way the threshold is the best of 0.1,
0.15, ..., 1.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from dotcount.calibration import choose_threshold
from dotcount.inference import find_peaks
from dotcount.metrics import OptimalScorer

HEIGHT, WIDTH, IMAGES = 768, 1024, 30


def dots(rng: np.random.Generator) -> np.ndarray:
    """Return clustered dots, px, none nearer than 3 px to another."""
    wanted = int(np.clip(rng.lognormal(np.log(110), 0.7), 9, 576))
    centres = rng.random((6, 2)) * (WIDTH, HEIGHT)
    kept: list[np.ndarray] = []
    while len(kept) < wanted:
        xy = centres[rng.integers(6)] + rng.normal(0, 45, 2)
        inside = (xy >= 0).all() and (xy < (WIDTH, HEIGHT)).all()
        if inside and all(np.hypot(*(xy - other)) > 3 for other in kept):
            kept.append(xy)
    return np.array(kept)


def density(xy: np.ndarray, stride: int, spread: str, rng: np.random.Generator) -> np.ndarray:
    """Return a map with about one object per dot."""
    rows, columns = HEIGHT // stride, WIDTH // stride
    y, x = np.arange(rows), np.arange(columns)
    result = rng.exponential(0.002, (rows, columns))
    for px, py in xy / stride - 0.5:
        if spread == "gaussian":
            ky, kx = np.exp(-((y - py) ** 2) / 0.98), np.exp(-((x - px) ** 2) / 0.98)
        elif spread == "bilinear":
            ky, kx = np.clip(1 - abs(y - py), 0, None), np.clip(1 - abs(x - px), 0, None)
        else:
            ky, kx = (y == round(py)).astype(float), (x == round(px)).astype(float)
        kernel = ky[:, None] * kx
        result += rng.uniform(0.7, 1.2) * kernel / max(kernel.sum(), 1e-12)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    rng = np.random.default_rng(0)
    points = [dots(rng) for _ in range(IMAGES)]
    table = []
    for stride in (4, 8):
        for spread in ("cell", "bilinear", "gaussian"):
            maps = [density(xy, stride, spread, rng) for xy in points]
            for method in ("mass", "nms"):
                choice = choose_threshold(maps, points, stride, method=method)
                scorer = OptimalScorer()
                for cells, xy in zip(maps, points):
                    scorer.update(find_peaks(cells, stride, choice.threshold, method=method)[0], xy, 8.0)
                table.append(
                    {
                        "stride": stride,
                        "spread": spread,
                        "method": method,
                        "threshold": choice.threshold,
                        "F (1..100 px, greedy)": round(choice.f, 4),
                        "F (8 px, optimal)": round(scorer.compute().f, 4),
                        "points": scorer.tp + scorer.fp,
                        "dots": scorer.tp + scorer.fn,
                    }
                )
                print(table[-1], flush=True)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
