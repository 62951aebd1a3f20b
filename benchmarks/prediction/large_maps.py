"""Memory and exactness of counting images that are larger than the memory.

    python -m benchmarks.prediction.large_maps [--side 20000 --kind striped] [--model cells] [--keep]

Writes a TIFF of that many pixels a side to a temporary folder, counts it with ``stream`` and the sinks csv, overlays,
heatmap, density and regions in a process of its own, and compares the density with that of an untiled cut of 3,000 x
3,000 px. The file repeats one synthetic scene of cells, shifted from row to row so that tiles differ. Without options
it does so for 20,000 x 20,000 px in strips and 40,000 x 40,000 px in tiles. Writes results/large_maps.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.machine import machine
from dotcount.data.synthetic import generate

RESULTS = Path(__file__).parents[1] / "results" / "large_maps.json"
CASES = ((20_000, "striped"), (40_000, "tiled"))
SCENE, CUT, ROWS, TILE = 1_024, 3_000, 16, 512
SINKS = ("csv", "overlays", "heatmap", "density", "regions")


def scene() -> np.ndarray:
    return generate("cells", size=SCENE, count=(20, 80))[0]


def rows(tile: np.ndarray, first: int, last: int, side: int) -> np.ndarray:
    """Return rows of the large image: the scene, moved by 37 px to the right with every repetition downwards."""
    lines = []
    for y in range(first, last):
        line = np.roll(tile[y % SCENE], 37 * (y // SCENE), axis=0)
        lines.append(np.tile(line, (-(-side // SCENE), 1))[:side])
    return np.stack(lines)


def write(path: Path, side: int, kind: str) -> None:
    tile = scene()

    def strips() -> Iterator[bytes]:  # compressed here: of arrays tifffile takes whole pages only
        for top in range(0, side, ROWS):
            yield zlib.compress(rows(tile, top, min(top + ROWS, side), side).tobytes(), 1)

    def tiles() -> Iterator[np.ndarray]:
        for top in range(0, side, TILE):
            band = rows(tile, top, min(top + TILE, side), side)
            for left in range(0, side, TILE):
                piece = np.zeros((TILE, TILE, 3), np.uint8)
                part = band[:, left : left + TILE]
                piece[: part.shape[0], : part.shape[1]] = part
                yield piece

    layout = {"rowsperstrip": ROWS} if kind == "striped" else {"tile": (TILE, TILE)}
    data = strips() if kind == "striped" else tiles()
    tifffile.imwrite(
        path, data, shape=(side, side, 3), dtype=np.uint8, photometric="rgb", compression="zlib",
        compressionargs={"level": 1}, bigtiff=True, **layout,
    )  # fmt: skip


def peak() -> float:
    """Return the most memory this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def loaded(model: str, tile: int | None = None) -> Any:
    """Return a published model, or ``tiny``: a small network with random weights, for the mechanism alone."""
    import torch

    import dotcount
    from dotcount import models

    if model != "tiny":
        return dotcount.load(model, device="cpu", tile=tile)
    torch.manual_seed(0)
    return dotcount.Predictor(models.create("compact", width=4).eval(), device="cpu", tile=tile)


def count(path: Path, model: str, out: Path) -> dict[str, float]:
    """Count in this process."""
    from dotcount.data.windows import TiffWindows

    predictor = loaded(model)
    windows = TiffWindows.open(path)
    assert windows is not None
    predictor.predict(np.zeros((64, 64, 3), np.uint8))
    before, started, calls = peak(), time.process_time(), [0]

    def step(share: float) -> None:
        calls[0] += 1
        if calls[0] % 100 == 0:
            print(f"{share:.1%}", file=sys.stderr, flush=True)

    predictor.progress = step
    run = predictor.stream(path, out=out, sinks=SINKS)
    ((frame, prediction),) = list(run)
    assert prediction is not None, frame.error
    after, seconds = peak(), time.process_time() - started
    side = windows.shape[0]
    corner = (side - CUT) // 2 // 64 * 64
    cut = loaded(model, tile=0).predict(np.array(windows[corner : corner + CUT, corner : corner + CUT]))
    stride = predictor.stride
    inset = -(-(predictor.runtime.receptive_radius or 0) // 64) * 64 // stride
    first = corner // stride + inset
    inner = cut.density[inset:-inset, inset:-inset]
    same = np.asarray(prediction.density[first : first + len(inner), first : first + inner.shape[1]])
    return {
        "count": prediction.count,
        "points": len(prediction.points),
        "peak over import, MB": after - before,
        "before, MB": before,
        "CPU s": seconds,
        "progress calls": calls[0],
        "cut": float(inner.sum(dtype=np.float64)),
        "cut in the whole": float(same.sum(dtype=np.float64)),
        "largest difference": float(np.abs(inner - same).max() / inner.max()),
    }


def measure(side: int, kind: str, model: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.tif"
        write(path, side, kind)
        command = [sys.executable, "-m", "benchmarks.prediction.large_maps", "--count", str(path), "--model", model]
        done = subprocess.run([*command, "--out", str(Path(folder) / "out")], stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
        size = path.stat().st_size / 1e6
    return {"side": side, "kind": kind, "model": model, "file, MB": size, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int)
    parser.add_argument("--kind", choices=("striped", "tiled"), default="striped")
    parser.add_argument("--model", default="cells")
    parser.add_argument("--count", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count is not None:
        print(json.dumps(count(args.count, args.model, args.out)))
        return
    cases = CASES if args.side is None else ((args.side, args.kind),)
    results = []
    for side, kind in cases:
        results.append(measure(side, kind, args.model))
        RESULTS.write_text(json.dumps({"machine": machine(), "cases": results}, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(results[-1], indent=1), flush=True)


if __name__ == "__main__":
    main()
