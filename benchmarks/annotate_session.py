"""A newcomer's session on the annotation page, in Chromium: dots by clicks, training, suggestions, training again.

Suggestions are accepted and then corrected, as a person does: what is no cell is removed, and missing cells are
clicked on. Writes what it took and the errors that the page showed to ``results/annotate_session.json``.

    python benchmarks/annotate_session.py [--minutes 2] [--out FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.machine import machine
from dotcount.data.synthetic import generate
from dotcount.metrics import greedy_match, object_radii

SIZE, IMAGES, CLICKED, NEW = 192, 12, 6, 8
LONG = 900_000  # ms


def write_images(folder: Path, first: int, n: int) -> dict[str, np.ndarray]:
    """Write made-up images of cells and return where the cells are."""
    folder.mkdir()
    truth = {}
    for index in range(first, first + n):
        image, points = generate("cells", seed=11, index=index, size=SIZE, count=(20, 60))
        Image.fromarray(image).save(folder / f"cell{index:02d}.png")
        truth[f"cell{index:02d}.png"] = points.xy
    return truth


class Places:
    """Where the points of the picture are on the screen, while the whole picture is shown."""

    def __init__(self, page: Page) -> None:
        box = page.locator("#stage").bounding_box()
        assert box is not None, "the picture is shown"
        self.page, self.scale = page, min(box["width"], box["height"]) / SIZE
        self.left = box["x"] + (box["width"] - SIZE * self.scale) / 2
        self.top = box["y"] + (box["height"] - SIZE * self.scale) / 2

    def click(self, x: float, y: float, **options: str) -> None:
        """Click on a point of the picture."""
        self.page.mouse.click(self.left + x * self.scale, self.top + y * self.scale, **options)


def click_dots(page: Page, dots: np.ndarray) -> None:
    """Click on every cell of the image that is shown, and wait until all dots are saved."""
    places = Places(page)
    for number, (x, y) in enumerate(spread(dots, 12 / places.scale), start=1):
        places.click(x, y)
        expect(page.locator("#count")).to_contain_text(f"{number} dot")
    expect(page.locator("#saved")).to_have_text("Saved")


def correct(page: Page, name: str, dots: np.ndarray) -> dict[str, int]:
    """Accept all suggestions, remove those that are no cell, and click on the cells that were not suggested.

    Return how many there were of each.
    """
    if page.locator("#accept-all").is_enabled():
        page.click("#accept-all")
        expect(page.locator("#suggestion-note")).to_contain_text(" 0 suggestions left")
        expect(page.locator("#saved")).to_have_text("Saved")
    marks = page.request.get(f"{page.url}api/marks", params={"image": name}).json()["marks"]
    found = np.array([mark[1:3] for mark in marks], dtype=float).reshape(-1, 2)
    predicted, known, _ = greedy_match(found, dots, float(object_radii([dots], 4)[0]))
    wrong, kept = np.delete(found, predicted, axis=0), found[predicted]
    places, number = Places(page), len(found)
    page.click("#hide")  # clicks make dots, whatever is suggested
    for x, y in wrong:
        places.click(x, y, button="right")
        number -= 1
        expect(page.locator("#count")).to_contain_text(f"{number} dot" if number else "not annotated")
    missing = np.delete(dots, known, axis=0)
    missing = [dot for dot in spread(missing, 12 / places.scale) if _apart(dot, kept, 12 / places.scale)]
    for x, y in missing:
        places.click(x, y)
        number += 1
        expect(page.locator("#count")).to_contain_text(f"{number} dot")
    page.click("#hide")
    expect(page.locator("#saved")).to_have_text("Saved")
    return {"right": len(kept), "wrong": len(wrong), "missing": len(missing)}


def _apart(dot: np.ndarray, others: np.ndarray, least: float) -> bool:
    return not len(others) or bool(np.hypot(*(others - dot).T).min() > least)


def spread(dots: np.ndarray, least: float) -> np.ndarray:
    """Return dots of which none is so near to another that a click would take hold of that one."""
    kept: list[np.ndarray] = []
    for dot in dots:
        if all(np.hypot(*(dot - other)) > least for other in kept):
            kept.append(dot)
    return np.array(kept)


def train(page: Page, minutes: float, runs: int) -> float:
    """Train from the page and return the error that it shows."""
    expect(page.locator("#train")).to_be_visible(timeout=LONG)  # the training before has ended
    page.fill("#minutes", str(minutes))
    page.click("#train")
    expect(page.locator("#cancel")).to_be_visible(timeout=LONG)
    expect(page.locator("#history tbody tr")).to_have_count(runs, timeout=LONG)
    return float(page.locator("#history tbody tr").nth(runs - 1).locator("td").last.inner_text())


def session(
    page: Page, truth: dict[str, np.ndarray], minutes: float, parts: dict[str, float]
) -> tuple[list[float], dict[str, int]]:
    """Do what a newcomer does; return the errors after both trainings, and how good the suggestions were."""
    names, suggested = list(truth), {"right": 0, "wrong": 0, "missing": 0}
    with timed(parts, "clicks"):
        for name in names[:CLICKED]:
            page.get_by_role("button", name=name).click()
            expect(page.locator("#name")).to_have_text(name)
            expect(page.locator("#count")).to_have_text("not annotated")
            click_dots(page, truth[name])
    with timed(parts, "first training"):
        first = train(page, minutes, runs=1)
    with timed(parts, "suggestions"):
        for name in names[CLICKED:]:
            page.get_by_role("button", name=name).click()
            expect(page.locator("#suggestion-note")).to_contain_text(re.compile("suggestions? left"), timeout=LONG)
            expect(page.locator("#name")).to_have_text(name)
            suggested = {kind: n + suggested[kind] for kind, n in correct(page, name, truth[name]).items()}
    with timed(parts, "second training"):
        return [first, train(page, minutes, runs=2)], suggested


@contextmanager
def timed(parts: dict[str, float], name: str) -> Iterator[None]:
    """Note how many seconds the block takes."""
    began = time.monotonic()
    yield
    parts[name] = round(time.monotonic() - began, 1)


def count_new(run: Path, folder: Path, truth: dict[str, np.ndarray]) -> float:
    """Count images that nobody has annotated; return the mean absolute error."""
    out = folder.with_name(f"counts-{run.name}")
    command = [sys.executable, "-m", "dotcount", "predict", run, folder, "--out", out]
    subprocess.run([*map(str, command), "--device", "cpu"], check=True, stdout=subprocess.DEVNULL)
    with (out / "counts.csv").open(encoding="utf-8") as file:
        counts = {row["image"]: float(row["count"]) for row in csv.DictReader(file)}
    return float(np.mean([abs(counts[name] - len(dots)) for name, dots in truth.items()]))


def measure(minutes: float) -> dict[str, object]:
    """Run the session and return what came of it."""
    began, parts = time.monotonic(), dict[str, float]()
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place, "cells")
        truth = write_images(folder, 0, IMAGES)
        command = [sys.executable, "-m", "dotcount", "annotate", str(folder), "--port", "0", "--device", "cpu"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            address = next(m[1] for line in server.stdout if (m := re.search(r"annotate at (\S+)", line)))
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            complaints: list[str] = []
            page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            expect.set_options(timeout=60_000)
            page.goto(address)
            page.wait_for_selector("html[data-ready=true]", timeout=60_000)
            parts["start"] = round(time.monotonic() - began, 1)
            errors, suggested = session(page, truth, minutes, parts)
            browser.close()
        finally:
            server.terminate()
            server.wait(60)
        with timed(parts, "counting new images"):
            images = write_images(Path(place, "new"), IMAGES, NEW)
            runs = [Path(place, "cells-runs", name) for name in ("run-001", "run-002")]
            new = [count_new(run, Path(place, "new"), images) for run in runs]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "minutes": (time.monotonic() - began) / 60,
        "parts_s": parts,
        "cpu_minutes": (children.ru_utime + children.ru_stime) / 60,
        "error_after_clicks": errors[0],
        "error_after_suggestions": errors[1],
        "suggestions": suggested,
        "error_on_new_images_after_clicks": new[0],
        "error_on_new_images": new[1],
        "mean_cells": float(np.mean([len(dots) for dots in truth.values()])),
        "complaints": complaints,
    }


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="of each training")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "annotate_session.json")
    args = parser.parse_args()
    found = measure(args.minutes)
    versions = {name: version(name) for name in ("dotcount", "torch")}
    told = {"training_minutes": args.minutes, **found, "machine": machine(), **versions}
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
