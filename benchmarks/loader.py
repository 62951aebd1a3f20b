"""Measure how long training waits for its data, and what decoding a part of an image saves.

python benchmarks/loader.py [DATA]   measure; write benchmarks/results/loader.json and a table of docs/reference

Waiting: the share of a training step spent on the next batch, decoding anew (first epoch) and from the cache (later),
without and with a loader process. Crops of 256 px, batch 4, the compact model and the package's own loss, on CPU. DATA
holds ShanghaiTech/part_B and vgg_cells; a set that is not there is left out. Made-up street scenes are always measured.

Decoding: one crop of 256 px from a large image of each kind, by decoding all of it and by decoding a part.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image

from dotcount import losses, models
from dotcount.data import CropDataset, EpochSampler, Record, crop_loader, open_collection, read_pixels, resize_pixels
from dotcount.data.synthetic import generate
from dotcount.data.windows import TiffWindows

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/loader.json"
PAGE = ROOT / "docs/reference/data.md"
IMAGES, CROP, BATCH, SIDE = 48, 256, 4, 6144


def main() -> None:
    """Measure and write."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared/data"
    with tempfile.TemporaryDirectory() as folder:
        sets = {"made-up streets, JPEG 1024 x 768": write_scenes(Path(folder))}
        for name, title in (
            ("ShanghaiTech/part_B", "ShanghaiTech B, JPEG 1024 x 768"),
            ("vgg_cells", "VGG cells, PNG 256 x 256"),
        ):
            if (data / name).is_dir():
                sets[title] = list(open_collection(data / name).split("train").records[:IMAGES])
        waits = [
            row for title, records in sets.items() for workers in (0, 1) for row in measure(title, records, workers)
        ]
        decoding = decode(Path(folder))
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    setting = {
        "images": IMAGES,
        "crop_px": CROP,
        "batch": BATCH,
        "model": "compact",
        "threads": torch.get_num_threads(),
    }
    record = {"machine": machine, "setting": setting, "waiting": waits, "decoding": decoding}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    write_tables(record)


def write_scenes(folder: Path) -> list[Record]:
    """Write the scenes and return their records."""
    records = []
    for index in range(IMAGES):
        image, points = generate("crowd", 0, index, (1024, 768), count=(1, 15))
        path = folder / f"{index}.jpg"
        Image.fromarray(image).save(path, quality=90)
        records.append(Record(path, path.name, points))
    return records


def measure(title: str, records: list[Record], workers: int) -> list[dict[str, Any]]:
    """Return a row for a first epoch, which decodes, and one for the two that follow."""
    torch.manual_seed(0)
    model, loss = models.create("compact"), losses.create("uot")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data = CropDataset(records, CROP, cache_mb=512)
    sampler = EpochSampler(len(data), BATCH)
    loader = crop_loader(data, sampler, workers)
    times: list[list[tuple[float, float]]] = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        times.append([])
        batches = iter(loader)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            received = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            loss(model(batch.images), batch.points, stride=model.stride).total.backward()
            optimizer.step()
            times[-1].append((received - started, time.perf_counter() - received))
    rows = []
    for decoding, chosen in ((True, times[0]), (False, times[1] + times[2])):
        waits, steps = np.array(chosen).T
        row = {
            "set": title,
            "workers": workers,
            "decoding": decoding,
            "wait_ms": round(1e3 * float(np.median(waits)), 1),
            "step_ms": round(1e3 * float(np.median(steps)), 1),
            "share_waiting": round(float(waits.sum() / (waits.sum() + steps.sum())), 4),
        }
        print(row, flush=True)
        rows.append(row)
    return rows


def decode(folder: Path) -> list[dict[str, Any]]:
    """Return the time of a crop from a large image, by decoding all of it and by decoding what a codec lets us."""
    tile, _ = generate("crowd", 0, 0, (1024, 768), count=(1, 15))
    repeats = (SIDE // tile.shape[0], SIDE // tile.shape[1], 1)
    pixels = np.tile(tile, repeats)
    tifffile.imwrite(folder / "tiles.tif", pixels, tile=(256, 256), compression="zlib", photometric="rgb")
    tifffile.imwrite(folder / "strips.tif", pixels, rowsperstrip=16, compression="zlib", photometric="rgb")
    Image.fromarray(pixels).save(folder / "large.jpg", quality=90)
    Image.fromarray(pixels).save(folder / "large.png", compress_level=3)
    height, width = pixels.shape[:2]
    rng = np.random.default_rng(0)
    rows = []
    for name in ("tiles.tif", "strips.tif", "large.jpg", "large.png"):
        path, regions = folder / name, TiffWindows.open(folder / name)
        rows.append({"file": f"{name}, {width} x {height}", "whole_ms": timed(lambda path=path: read_pixels(path), 2)})
        if regions is not None:
            rows[-1]["crop_ms"] = timed(lambda regions=regions: crop_of(regions, rng), 9)
        print(rows[-1], flush=True)
    # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size: where images are shrunk by the resize rule.
    for factor in (2, 4):
        size = width // factor, height // factor
        row = {
            "file": f"large.jpg, shrunk to {size[0]} x {size[1]}",
            "whole_ms": timed(lambda size=size: resize_pixels(read_pixels(folder / "large.jpg"), *size), 2),
            "draft_ms": timed(lambda size=size: draft(folder / "large.jpg", size), 2),
        }
        exact = resize_pixels(read_pixels(folder / "large.jpg"), *size).astype(float)
        row["draft_difference"] = round(float(np.abs(exact - draft(folder / "large.jpg", size)).mean()), 2)
        print(row, flush=True)
        rows.append(row)
    return rows


def crop_of(regions: TiffWindows, rng: np.random.Generator) -> np.ndarray:
    """Decode one crop at a random place."""
    top, left = (int(rng.integers(0, side - CROP)) for side in regions.shape[:2])
    return regions[top : top + CROP, left : left + CROP]


def draft(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Decode a JPEG at the smallest of its own scales that is no smaller than wanted, then resize the rest."""
    with Image.open(path) as image:
        image.draft("RGB", size)
        return resize_pixels(np.asarray(image), *size)


def timed(run: Callable[[], object], times: int) -> float:
    """Return the median time in ms."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return round(1e3 * float(np.median(seconds)), 1)


def over_passes(first: float, later: float, passes: int = 20) -> float:
    """Return the share of waiting of a run of so many passes over the images, of which only the first decodes."""
    waiting = first / (1 - first) + (passes - 1) * later / (1 - later)  # in units of a pass's steps
    return waiting / (waiting + passes)


def write_tables(record: dict[str, Any]) -> None:
    """Replace the table in the documentation."""
    lines = [
        "| images | loader processes | step, ms | waiting while decoding, first pass | later | over 20 passes |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows = record["waiting"]
    for first, later in zip(rows[::2], rows[1::2]):
        lines.append(
            f"| {first['set']} | {first['workers']} | {later['step_ms']:.0f} | {first['share_waiting']:.1%} | "
            f"{later['share_waiting']:.1%} | {over_passes(first['share_waiting'], later['share_waiting']):.1%} |"
        )
    machine = record["machine"]
    lines.append(
        f"\nMeasured on {machine['cores']} cores, PyTorch {machine['torch']}, compact model, crop 256, batch 4."
    )
    begin, end = "<!-- table: written by benchmarks/loader.py -->\n", "<!-- end of table -->"
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    PAGE.write_text(before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
