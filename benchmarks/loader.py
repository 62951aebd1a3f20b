"""Measure how long training waits for its data: the share of a step spent on the next batch, cold and from the cache.

python benchmarks/loader.py     measure and write benchmarks/results/loader.json

Street scenes of 1024 x 768 px as JPEG, crops of 256 px, batch 4, the compact model and the package's own loss, on CPU.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dotcount import losses, models
from dotcount.data import CropDataset, EpochSampler, Record, crop_loader
from dotcount.data.synthetic import generate

RESULTS = Path(__file__).parent / "results" / "loader.json"
IMAGES, CROP, BATCH = 48, 256, 4


def main() -> None:
    """Measure without and with loader processes."""
    with tempfile.TemporaryDirectory() as folder:
        records = write_scenes(Path(folder))
        rows = [row for workers in (0, 1) for row in measure(records, workers)]
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    setting = {"images": IMAGES, "image_px": [1024, 768], "crop_px": CROP, "batch": BATCH, "model": "compact"}
    RESULTS.write_text(json.dumps({"machine": machine, "setting": setting, "epochs": rows}, indent=2) + "\n")


def write_scenes(folder: Path) -> list[Record]:
    """Write the scenes and return their records."""
    records = []
    for index in range(IMAGES):
        image, points = generate("crowd", 0, index, (1024, 768), count=(1, 15))
        path = folder / f"{index}.jpg"
        Image.fromarray(image).save(path, quality=90)
        records.append(Record(path, path.name, points))
    return records


def measure(records: list[Record], workers: int) -> list[dict[str, object]]:
    """Return a row for a first epoch, which decodes, and for two that follow."""
    torch.manual_seed(0)
    model, loss = models.create("compact"), losses.create("uot")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data = CropDataset(records, CROP, cache_mb=512)
    sampler = EpochSampler(len(data), BATCH)
    loader = crop_loader(data, sampler, workers)
    rows: list[dict[str, object]] = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        waits, steps = [], []
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
            waits.append(received - started)
            steps.append(time.perf_counter() - received)
        share = float(np.sum(waits) / (np.sum(waits) + np.sum(steps)))
        row = {
            "workers": workers,
            "epoch": epoch + 1,
            "decoding": epoch == 0,
            "wait_ms": round(1e3 * float(np.median(waits)), 1),
            "step_ms": round(1e3 * float(np.median(steps)), 1),
            "share_waiting": round(share, 4),
        }
        print(row, flush=True)
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
