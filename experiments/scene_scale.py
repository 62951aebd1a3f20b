"""The same scenes at 30, 60 and 120 cm a pixel, as GeoTIFFs that say so, counted with ``trees``.

    python -m experiments.scene_scale [--data ../shared/data]

Every third test tile of the urban trees is used as it is (60 cm), averaged over 2 x 2 pixels as a coarser sensor would
see it (120 cm), and enlarged by cubic interpolation (30 cm). Each is counted with its tags and without, as they are
without this: as a picture of an unknown scale. Writes experiments/results/scene_scale.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import Affine

import dotcount
from benchmarks.machine import machine
from dotcount.data import open_collection, read_pixels

RESULTS = Path(__file__).parent / "results" / "scene_scale.json"
SIZES = {"30": (0.3, 2.0), "60": (0.6, 1.0), "120": (1.2, 0.5)}


def resampled(pixels: np.ndarray, factor: float) -> np.ndarray:
    if factor == 1:
        return pixels
    height, width = (round(side * factor) for side in pixels.shape[:2])
    method = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), method))


def write(path: Path, pixels: np.ndarray, pixel_size: float) -> None:
    where = Affine(pixel_size, 0, 500_000, 0, -pixel_size, 3_770_000)
    height, width = pixels.shape[:2]
    kind = {"driver": "GTiff", "width": width, "height": height, "count": 3, "dtype": "uint8", "photometric": "rgb"}
    with rasterio.open(path, "w", crs="EPSG:32611", transform=where, **kind) as file:
        file.write(pixels.transpose(2, 0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    records = open_collection(data / "urban_trees_socal").split("test").records[::3]
    predictor = dotcount.load("trees", device="cpu")
    counts: dict[str, dict[str, float]] = {"tags": {}, "no tags": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, (pixel_size, factor) in SIZES.items():
            place = Path(folder) / name
            place.mkdir()
            for k, record in enumerate(records):
                pixels = resampled(read_pixels(record.image), factor)
                write(place / f"{k:03d}.tif", pixels, pixel_size)
                counts["no tags"][name] = counts["no tags"].get(name, 0.0) + predictor.predict(pixels).count
            found = [prediction for _, prediction in predictor.predict_many(place)]
            assert all(prediction is not None for prediction in found)
            counts["tags"][name] = sum(prediction.count for prediction in found if prediction is not None)
    told = {kind: {k: v / by["60"] - 1 for k, v in by.items()} for kind, by in counts.items()}
    dots = sum(record.count or 0 for record in records)
    result = {"machine": machine(), "scenes": len(records), "dots": dots, "counts": counts, "against 60 cm": told}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
