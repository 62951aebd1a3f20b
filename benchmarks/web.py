"""Time from choosing a 12-megapixel photo on the page of `dotcount serve` to its count: ``python -m benchmarks.web``.

A made photo of 4000 x 3000 px (JPEG), in Chromium, on a server of its own; the model is loaded before the first photo.
Two networks: an untrained lite0 as training leaves it by default, and the published model trees, which also counts the
mirror image.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import machine
from dotcount import models
from dotcount.data.synthetic import generate
from dotcount.metadata import ModelMetadata
from dotcount.models import io as model_io

WIDTH, HEIGHT = 4000, 3000


def make_photo(path: Path) -> None:
    """Write a photo whose parts are drawn scenes."""
    scene = generate("crowd", size=1000, seed=0)[0]
    Image.fromarray(np.tile(scene, (3, 4, 1))[:HEIGHT, :WIDTH]).save(path, quality=92)


def make_lite0(folder: Path) -> Path:
    """Write an untrained lite0 that predicts some 2,000 objects in the photo."""
    torch.manual_seed(0)
    module = models.create("lite0")
    module.initialize_density(2000 / (WIDTH * HEIGHT / 16))
    return model_io.save(module, folder, ModelMetadata("lite0", 4))


def timed(run: str | Path, photo: Path, repeats: int) -> dict[str, object]:
    """Return seconds until the count is shown, for each repeat."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "dotcount.cli.main", "serve", str(run), "--port", "0", "--device", "cpu"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert server.stdout is not None
    address = re.search(r"http://\S+", server.stdout.readline())
    assert address is not None
    seconds, counts = [], set()
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(address[0])
            while "being loaded" in (page.text_content("#model") or ""):
                page.wait_for_timeout(100)
            for _ in range(repeats):
                start = time.perf_counter()
                page.set_input_files("#files", str(photo))
                page.wait_for_selector("#list button", timeout=600_000)
                seconds.append(time.perf_counter() - start)
                counts.add(page.text_content("#count"))
                page.wait_for_timeout(1500)  # the tiles of the picture have been loaded, too
                page.click("#clear")
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
    rounded = [round(value, 3) for value in seconds]
    return {"seconds": rounded, "median": median(rounded), "most": max(rounded), "shown": sorted(map(str, counts))}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/web.json"))
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photo = Path(scratch) / "photo.jpg"
        make_photo(photo)
        runs = {"lite0": make_lite0(Path(scratch) / "lite0"), "trees": "trees"}
        found = {name: timed(run, photo, args.repeats) for name, run in runs.items()}
    told = {"photo_px": [WIDTH, HEIGHT], "machine": machine(), "networks": found}
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for name, values in found.items():
        print(f"{name}: median {values['median']} s, most {values['most']} s")


if __name__ == "__main__":
    main()
