"""Count deep copies of 8-bit pictures with the published models, relative to the pictures themselves (decision 19).

    python -m experiments.depth [--data ../shared/data]

``cells`` counts four pictures of VGG cells, in colour and in grey, ``trees`` four tiles of urban trees. Every copy is a
16-bit TIFF; those of one kind are counted together. Writes experiments/results/depth.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

import dotcount
from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results" / "depth.json"
Pixels = npt.NDArray[np.uint8]
Deep = npt.NDArray[np.uint16]


def scaled(low: float, high: float, noise: float = 0.0) -> Callable[[Pixels], Deep]:
    """Return a map of 0..255 to ``low``..``high`` with Gaussian noise of that standard deviation."""

    def apply(pixels: Pixels) -> Deep:
        extra = np.random.default_rng(0).normal(0, noise, pixels.shape) if noise else 0.0
        values = pixels / 255 * (high - low) + low + extra
        return np.clip(np.rint(values), 0, 65535).astype(np.uint16)

    return apply


COPIES: dict[str, Callable[[Pixels], Deep]] = {
    "times 16": scaled(0, 255 * 16),
    "times 257": scaled(0, 65535),
    "0 to 2,047": scaled(0, 2047),
    "120 to 4,095": scaled(120, 4095),
    "100 to 2,650, noise of 5": scaled(100, 2650, 5),
}


def pictures(data: Path) -> dict[str, tuple[str, list[Pixels]]]:
    """Return (model, pictures) by the name of the set."""
    cells = [Image.open(p) for p in sorted((data / "vgg_cells").rglob("*cell.png"))[:4]]
    trees = sorted(p for p in (data / "urban_trees_socal").rglob("*") if p.suffix in (".tif", ".png", ".jpg"))[:4]
    return {
        "VGG cells": ("cells", [np.array(image.convert("RGB")) for image in cells]),
        "VGG cells, grey": ("cells", [np.array(image.convert("L")) for image in cells]),
        "urban trees": ("trees", [np.ascontiguousarray(dotcount.data.read_pixels(p)) for p in trees]),
    }


def total(predictor: dotcount.Predictor, images: list[npt.NDArray[np.generic]], folder: Path) -> float:
    """Return what the images count together, written as TIFF files and counted as one set."""
    folder.mkdir(parents=True)
    for k, image in enumerate(images):
        tifffile.imwrite(folder / f"{k}.tif", image, photometric="rgb" if image.ndim == 3 else "minisblack")
    return sum(prediction.count for _, prediction in predictor.predict_many([folder]))


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for place, (title, (model, images)) in enumerate(pictures(data).items()):
            predictor = dotcount.load(model, device="cpu")
            whole = total(predictor, list(images), Path(name) / f"{place}-8")
            found[title] = {"8 bit": round(whole, 1)}
            for k, (kind, copy) in enumerate(COPIES.items()):
                count = total(predictor, [copy(image) for image in images], Path(name) / f"{place}-{k}")
                found[title][kind] = round(count / whole, 3)
            print(title, found[title], flush=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "relative": found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
