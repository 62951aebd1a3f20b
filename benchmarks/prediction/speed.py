"""Mpx/s of the whole command against the bare forward pass, on the same images in the same run.

``python -m benchmarks.prediction.speed`` makes 300 photos of 1024 x 768 px, 1,000 small images and 20 large ones, lets
each runtime do its bare forward pass on arrays in memory, and runs ``dotcount predict`` on the files: tables only, with
overlays, and all sinks. The command's time includes its start. Of the repetitions of each, which take turns, the better
one counts. Writes results/prediction.json; sets that are not run again keep their figures if machine and versions are
the same.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import dotcount
from benchmarks.machine import machine
from dotcount import models
from dotcount.data.images import read_pixels
from dotcount.data.synthetic import generate
from dotcount.export import cached_onnx
from dotcount.inference.runtimes import Runtime
from dotcount.metadata import ModelMetadata
from dotcount.models import io as model_io

SETS = {"photos": (300, 1024, 768), "small": (1000, 128, 128), "large": (20, 4000, 3000)}
"""Name -> number, width and height of the images."""

ALL_SINKS = "csv,overlays,heatmap,density,jsonl,coco,geojson,imagej"
RUNTIMES = ("torch", "onnx", "openvino")


def make_images(folder: Path, number: int, width: int, height: int) -> list[Path]:
    """Write JPEG files cut from a few drawn scenes, each another cut."""
    folder.mkdir(parents=True)
    scenes = [generate("crowd", size=2048, seed=seed)[0] for seed in range(2)]
    rng = np.random.default_rng(0)
    paths = []
    for k in range(number):
        scene = np.tile(scenes[k % 2], (-(-height // 2048) + 1, -(-width // 2048) + 1, 1))
        x, y = rng.integers(0, scene.shape[1] - width), rng.integers(0, scene.shape[0] - height)
        paths.append(folder / f"{k:04}.jpg")
        Image.fromarray(scene[y : y + height, x : x + width]).save(paths[-1], quality=90)
    return paths


def bare(runtime: Runtime, arrays: list[np.ndarray], repeat: int, number: int) -> float:
    """Return seconds of the forward pass of ``number`` images, from that of ``repeat`` in turn."""
    runtime.density(arrays[0])
    start = time.perf_counter()
    for k in range(repeat):
        runtime.density(arrays[k % len(arrays)])
    return (time.perf_counter() - start) * number / repeat


def command(model: Path, images: Path, write: str, runtime: str) -> float:
    """Return seconds of the whole command."""
    with tempfile.TemporaryDirectory() as out:
        words = ["predict", str(model), str(images), "--out", f"{out}/counts", "--write", write, "--runtime", runtime]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "dotcount", *words], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def measure(model: Path, folder: Path, share: float, rounds: int, sets: Sequence[str]) -> dict[str, object]:
    """Return Mpx/s of everything for one model."""
    found: dict[str, object] = {}
    for name in sets:
        number, width, height = SETS[name]
        number = max(2, round(number * share))
        paths = make_images(folder / name, number, width, height)
        pixels = number * width * height / 1e6
        arrays = [read_pixels(path)[None].astype(np.float32) / 255 for path in paths[: 2 if name == "large" else 8]]
        timed: dict[str, Callable[[], float]] = {}
        counted = min(number, 8 if name == "large" else 60)
        for runtime in RUNTIMES:
            predictor = dotcount.load(model, runtime=runtime, device="cpu")
            timed[f"bare {runtime}"] = partial(bare, predictor.runtime, arrays, counted, number)
        for what, write in (("tables", "csv"), ("tables and overlays", "csv,overlays"), ("all sinks", ALL_SINKS)):
            timed[f"command, {what}"] = partial(command, model, folder / name, write, "auto")
        timed["command, torch"] = partial(command, model, folder / name, "csv", "torch")
        seconds = {what: min(one() for _ in range(1)) for what, one in timed.items()}
        for _ in range(rounds - 1):
            seconds = {what: min(seconds[what], one()) for what, one in timed.items()}
        speed = {what: round(pixels / value, 3) for what, value in seconds.items()}
        fastest = max(speed[f"bare {runtime}"] for runtime in RUNTIMES)
        found[name] = {
            "rounds": rounds,
            "images": number,
            "width": width,
            "height": height,
            "mpx_per_s": speed,
            "command_over_fastest_bare": round(speed["command, tables"] / fastest, 3),
            "all_sinks_over_tables": round(seconds["command, all sinks"] / seconds["command, tables"], 3),
        }
        shutil.rmtree(folder / name)
        print(name, json.dumps(found[name], indent=1), flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the images, for a quick look")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/prediction.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        torch.manual_seed(0)
        module = models.create("lite0")
        module.initialize_density(0.002)
        model = model_io.save(module, Path(place) / "model", ModelMetadata("lite0", module.stride))
        cached_onnx(model)
        found = measure(model, Path(place), args.share, args.rounds, args.sets)
    versions = {}
    for package in ("torch", "onnxruntime", "openvino", "pillow", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    same = {"machine": machine(), "threads": torch.get_num_threads(), "versions": versions, "model": "lite0"}
    earlier = json.loads(args.out.read_text()) if args.out.is_file() else {}
    kept = earlier["sets"] if all(earlier.get(key) == value for key, value in same.items()) else {}
    args.out.write_text(json.dumps({**same, "sets": kept | found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
