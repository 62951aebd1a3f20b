"""How smoothly 20,000 dots move on the annotation page, and how soon a click is on the disk; in Chromium.

python benchmarks/annotate_page.py [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.machine import machine
from dotcount.data.synthetic import generate

SIDE, DOTS, CLICKS = 1200, 20_000, 40

FRAMES = """() => {
  window.drawn = [];
  const count = (now) => {
    window.drawn.push(now);
    requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
}"""


def pan(page: Page, seconds: float = 4.0) -> float:
    """Return the frames a second while the mouse moves the whole picture."""
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] - 4  # below the picture, where there are no dots
    for _ in range(3):
        page.click("#zoom-out")
    page.evaluate(FRAMES)
    page.mouse.move(x, y)
    page.mouse.down()
    began, step = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        step += 1
        page.mouse.move(x + 100 * np.sin(step / 15), y - 60 + 60 * np.cos(step / 15))
    drawn = page.evaluate("window.drawn")
    page.mouse.up()
    page.click("#fit")
    return 1000 * (len(drawn) - 1) / (drawn[-1] - drawn[0])


def click(page: Page, journal: Path) -> list[float]:
    """Return the milliseconds from a click to its line in the journal or the file of dots, for every click."""
    box = page.locator("#stage").bounding_box()
    generator, took = np.random.default_rng(0), []
    for _ in range(CLICKS):
        x, y = generator.uniform(0.3, 0.7, 2)
        expect(page.locator("#saved")).not_to_have_text("Saving…")
        before, began = changed(journal), time.perf_counter()
        page.keyboard.down("Shift")  # a negative dot, which does not take hold of a dot that is there
        page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        page.keyboard.up("Shift")
        while changed(journal) == before and time.perf_counter() - began < 5:
            time.sleep(0.001)
        took.append(1000 * (time.perf_counter() - began))
    return took


def changed(journal: Path) -> tuple[float, ...]:
    """Return what differs once a change has been written."""
    states = [path.stat() for path in (journal, journal.with_name("negatives.jsonl")) if path.exists()]
    return tuple(value for state in states for value in (state.st_mtime_ns, state.st_size))


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "annotate_page.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place, "many")
        folder.mkdir()
        Image.fromarray(generate("cells", size=SIDE)[0]).save(folder / "a.png")
        dots = np.random.default_rng(0).uniform(1, SIDE - 1, (DOTS, 2)).round(2)
        rows = "".join(f"a.png,{x},{y}\n" for x, y in dots)
        (folder / "dots.csv").write_text("image,x_px,y_px\n" + rows, encoding="utf-8")
        command = [sys.executable, "-m", "dotcount", "annotate", str(folder), "--port", "0", "--device", "cpu"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            address = next(m[1] for line in server.stdout if (m := re.search(r"annotate at (\S+)", line)))
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            page.goto(address)
            page.wait_for_selector("html[data-ready=true]", timeout=60_000)
            expect(page.locator("#count")).to_have_text("20,000 dots")
            frames = pan(page)
            took = click(page, folder / ".dotcount" / "journal.jsonl")
            chromium = browser.version
            browser.close()
        finally:
            server.terminate()
            server.wait(60)
    told = {
        "dots": DOTS,
        "frames_per_second": round(frames, 1),
        "click_to_disk_ms": {q: round(float(np.quantile(took, p)), 1) for q, p in (("median", 0.5), ("p95", 0.95))},
        "slowest_click_ms": round(max(took), 1),
        "machine": machine(),
        "chromium": chromium,
        "dotcount": version("dotcount"),
    }
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
