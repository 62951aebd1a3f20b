"""An annotation page for tests: made-up images, the server in a process of its own, and a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from dotcount.data.synthetic import generate


def photos(folder: Path, n: int = 3, size: int = 96, seed: int = 5) -> dict[str, np.ndarray]:
    """Write images of cells; return where the cells are."""
    folder.mkdir(parents=True)
    truth = {}
    for index in range(n):
        image, points = generate("cells", seed=seed, index=index, size=size)
        name = f"cell{index:02d}.png"
        Image.fromarray(image).save(folder / name)
        truth[name] = points.xy
    return truth


@contextmanager
def annotating(folder: Path, *options: str):
    """Run ``dotcount annotate`` and give (address, process)."""
    command = [sys.executable, "-m", "dotcount", "annotate", str(folder), "--port", "0", "--device", "cpu", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            address = re.search(r"annotate at (\S+)", line)
            if address:
                break
        else:
            raise AssertionError("".join(said))
        yield address[1].rstrip("/"), process
    finally:
        process.terminate()
        process.wait(60)


class Annotator:
    """The page in a browser, by what a user does."""

    def __init__(self, visit, address: str) -> None:
        self.page = visit.page
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready=true]", timeout=60_000)

    def place(self, x: float, y: float, width: int = 96, height: int = 96) -> tuple[float, float]:
        """Return where a point of the picture is on the screen while the whole picture is shown."""
        box = self.page.locator("#stage").bounding_box()
        scale = min(box["width"] / width, box["height"] / height)
        return (
            box["x"] + (box["width"] - width * scale) / 2 + x * scale,
            box["y"] + (box["height"] - height * scale) / 2 + y * scale,
        )

    def click(self, x: float, y: float, size: int = 96, **options) -> None:
        self.page.mouse.click(*self.place(x, y, size, size), **options)

    def drag(self, start, end, size: int = 96) -> None:
        self.page.mouse.move(*self.place(*start, size, size))
        self.page.mouse.down()
        self.page.mouse.move(*self.place(*end, size, size), steps=4)
        self.page.mouse.up()

    def open(self, name: str) -> None:
        self.page.get_by_role("button", name=name).click()
        self.expect("#name").to_have_text(name)
        self.expect("#count").not_to_have_text("")

    def expect(self, selector: str):
        from playwright.sync_api import expect

        return expect(self.page.locator(selector))

    def saved(self) -> None:
        self.expect("#saved").to_have_text("Saved", timeout=30_000)
