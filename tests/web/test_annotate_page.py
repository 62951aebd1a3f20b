"""The annotation page in a real browser: everything that a user can do there."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from dotcount.data import open_collection
from dotcount.data.editing import open_annotations
from tests.browser import Visit
from tests.looks import faults
from tests.web.annotating import Annotator, annotating, photos

WINDOW = {"width": 1200, "height": 800}


@pytest.fixture
def browser(visit):
    """Return a function that opens the page at an address; what the browser complains of fails the test."""
    return lambda address, **options: Annotator(visit(viewport=WINDOW, **options), address)


@pytest.fixture
def cells(tmp_path):
    photos(tmp_path / "cells")
    return tmp_path / "cells"


def dots_of(folder) -> dict[str, np.ndarray]:
    with open_annotations(folder) as annotations:
        return {
            name: np.array([(m.x, m.y) for m in annotations.marks(name).dots]).reshape(-1, 2)
            for name in annotations.images
        }


def near(found, *wanted) -> bool:
    """Whether points are where clicks were meant, up to the size of a pixel of the screen."""
    order = np.lexsort(np.round(found.T))
    wanted = np.array(sorted(wanted, key=lambda p: (p[1], p[0])))
    return found.shape == wanted.shape and bool(np.abs(found[order] - wanted).max() < 0.6)


def test_dots_by_mouse(browser, cells):
    with annotating(cells) as (address, _):
        page = browser(address)
        page.expect("#progress").to_have_text("0 of 3 images, 0 dots")
        page.click(20, 30)
        page.click(60, 30)
        page.click(60, 70)
        page.expect("#count").to_have_text("3 dots")
        page.drag((60, 30), (80, 40))  # moves that dot
        page.click(60, 70, button="right")  # removes that one
        page.click(40, 80)
        page.page.keyboard.press("Control+z")
        page.expect("#count").to_have_text("2 dots")
        page.page.keyboard.press("Control+Shift+z")
        page.expect("#count").to_have_text("3 dots")
        page.page.click("#undo")
        page.page.click("[data-mode=negative]")
        page.click(10, 90)
        page.expect("#count").to_have_text("2 dots, 1 not this")
        page.page.click("[data-mode=erase]")
        page.click(20, 30)
        page.expect("#count").to_have_text("1 dot, 1 not this")
        page.saved()
        page.expect("#progress").to_have_text("1 of 3 images, 1 dots")
        dots = (cells / "dots.csv").read_text().splitlines()
    assert dots[0].startswith("image,x")
    assert near(dots_of(cells)["cell00.png"], (80, 40))
    with open_annotations(cells) as annotations:
        assert len(annotations.marks("cell00.png").negatives) == 1


def test_zoom_and_pan_change_no_dot(browser, cells):
    with annotating(cells) as (address, _):
        page = browser(address)
        page.click(48, 48)
        for _ in range(3):
            page.page.mouse.wheel(0, -300)
        page.drag((48, 60), (20, 80))  # beside the dot: moves the picture
        page.page.click("#zoom-out")
        page.page.click("#fit")
        page.click(20, 20)
        page.saved()
    assert near(dots_of(cells)["cell00.png"], (20, 20), (48, 48))


def test_keys_alone(browser, cells):
    with annotating(cells) as (address, _):
        page = browser(address)
        keys = page.page.keyboard
        page.page.focus("#stage")
        keys.press("Enter")
        page.expect("#count").to_have_text("1 dot")
        keys.press("PageDown")
        page.expect("#name").to_have_text("cell01.png")
        page.expect("#count").to_have_text("not annotated")
        keys.press("h")
        page.expect("#count").to_have_text("holds none")
        keys.press("PageDown")
        page.expect("#name").to_have_text("cell02.png")
        page.expect("#count").to_have_text("not annotated")
        keys.press("Enter")
        page.expect("#count").to_have_text("1 dot")
        for key in ("+", "ArrowLeft", "Enter", "t", "x", "m", "m", "0"):
            keys.press(key)
        page.expect("#count").to_have_text("1 dot")
        page.saved()
        page.expect("#progress").to_have_text("3 of 3 images, 2 dots")
    found = dots_of(cells)
    assert near(found["cell00.png"], (48, 48))
    counts = {r.name: r.count for r in open_collection(cells).records}
    assert counts == {"cell00.png": 1, "cell01.png": 0, "cell02.png": 1}


def test_classes(browser, cells):
    with annotating(cells) as (address, _):
        page = browser(address)
        page.page.fill("#class-name", "<b>dead</b>")
        page.page.press("#class-name", "Enter")
        page.click(20, 30)
        page.page.keyboard.press("1")  # the selected dot gets no class
        page.click(60, 30)
        page.page.keyboard.press("2")
        page.expect("#classes").to_contain_text("<b>dead</b> 1")
        page.saved()
    (record,) = open_collection(cells, strict=False).annotated().records
    assert sorted(record.classes) == ["", "<b>dead</b>"]


def test_classes_of_the_data_set_are_known_and_given_to_what_is_accepted(browser, cells):
    (cells / "dots.csv").write_text("image,x,y,class\ncell02.png,5.5,6.25,alive\n")
    with annotating(cells, "--run", "cells") as (address, _):
        page = browser(address)
        page.expect("#name").to_have_text("cell00.png")
        page.expect("#classes").to_contain_text("alive")  # of an image that was not opened
        page.expect("#suggestion-note").to_contain_text("Accepted ones are of the class alive.", timeout=120_000)
        page.page.click("#classes button:nth-child(1)")
        page.expect("#suggestion-note").to_contain_text("Accepted ones are of no class.")
        page.page.click("#classes button:nth-child(2)")
        page.page.click("#accept-all")
        page.saved()
    records = {r.name: r for r in open_collection(cells, strict=False).annotated().records}
    assert records["cell00.png"].count > 0
    assert set(records["cell00.png"].classes) == set(records["cell02.png"].classes) == {"alive"}


def test_filter_and_search(browser, cells):
    with annotating(cells) as (address, _):
        page = browser(address)
        page.click(20, 30)
        page.saved()
        page.page.select_option("#filter", "open")
        page.expect("#images").not_to_contain_text("cell00")
        page.page.select_option("#filter", "done")
        page.expect("#images").not_to_contain_text("cell01")
        page.page.select_option("#filter", "all")
        page.page.fill("#search", "02")
        page.expect("#images").to_have_text("cell02.png")
        page.page.select_option("#filter", "order")
        page.expect("#order-note").to_contain_text("no model yet")
        page.page.fill("#search", "")
        page.page.select_option("#filter", "random")
        page.expect("#order-note").to_contain_text("drawn at random")
        images = httpx.get(f"{address}/api/set").json()["images"]
        turns = {image["turn"]: image["name"] for image in images if image["state"] == "open"}
        page.expect("#images li").to_have_text([turns[turn] for turn in sorted(turns)])


def test_two_tabs_on_one_image(browser, cells):
    with annotating(cells) as (address, _):
        first, second = browser(address), browser(address)
        first.click(20, 30)
        first.saved()
        second.click(60, 60)
        second.expect("#messages").to_contain_text("changed elsewhere")
        second.expect("#count").to_have_text("1 dot")
        second.page.click("#again")
        second.expect("#count").to_have_text("2 dots")
        second.saved()
    assert near(dots_of(cells)["cell00.png"], (20, 30), (60, 60))


def test_suggestions_are_accepted_or_refused(browser, cells):
    with annotating(cells, "--run", "cells") as (address, _):
        page = browser(address)
        page.expect("#suggestion-note").to_contain_text("counts", timeout=120_000)
        points = httpx.get(f"{address}/api/suggestions", params={"image": "cell00.png"}, timeout=60).json()["points"]
        assert len(points) > 5
        x, y, _ = points[0]
        page.click(x, y)
        page.expect("#count").to_have_text("1 dot")
        page.page.click("[data-mode=negative]")
        page.click(*points[1][:2])
        page.expect("#count").to_have_text("1 dot, 1 not this")
        page.page.click("[data-mode=region]")
        page.drag((0.5, 0.5), (95.5, 95.5))
        page.expect("#suggestion-note").to_contain_text("0 suggestions left")
        page.saved()
        accepted = dots_of_server(address)
        page.page.keyboard.press("Control+z")
        page.expect("#count").to_have_text("1 dot, 1 not this")
        page.page.fill("#least", "1")
        page.page.fill("#least", "0")
        page.page.click("#accept-all")
        page.saved()
        page.page.select_option("#filter", "order")
        page.expect("#order-note").to_contain_text("err most in the first", timeout=120_000)
        page.expect("#images li").to_have_count(2)
    assert accepted[0] == pytest.approx([x, y], abs=0.01)
    assert 0 < len(accepted) < len(points)
    assert json.loads((cells / ".dotcount" / "assisted.json").read_text()) == ["cell00.png"]


def dots_of_server(address: str) -> list[list[float]]:
    marks = httpx.get(f"{address}/api/marks", params={"image": "cell00.png"}).json()["marks"]
    return [[x, y] for _, x, y, _, negative in marks if not negative]


def test_a_newcomer_dots_some_images_and_accepts_the_rest(browser, tmp_path):
    """The session of ``benchmarks/annotate_session.py`` without its trainings."""
    truth = photos(tmp_path / "cells", n=4)
    with annotating(tmp_path / "cells", "--run", "cells") as (address, _):
        page = browser(address)
        page.expect("#suggestion-note").to_contain_text("suggestions left", timeout=120_000)
        page.page.click("#hide")  # clicks make dots, whatever is suggested
        clicked = {name: apart(dots) for name, dots in list(truth.items())[:2]}
        for name, dots in clicked.items():
            page.open(name)
            page.expect("#suggestion-note").to_contain_text("suggestions left", timeout=60_000)
            for number, (x, y) in enumerate(dots, start=1):
                page.click(x, y)
                page.expect("#count").to_contain_text(f"{number} dot")
        page.page.click("#hide")
        for name in list(truth)[2:]:
            page.open(name)
            page.expect("#accept-all").to_be_enabled(timeout=60_000)
            page.page.click("#accept-all")
            page.expect("#suggestion-note").to_contain_text("0 suggestions left")
        page.saved()
        page.expect("#progress").to_contain_text("4 of 4 images")
    counts = {r.name: r.count for r in open_collection(tmp_path / "cells").records}
    assert [counts[name] for name in clicked] == [len(dots) for dots in clicked.values()]
    assert all(abs(counts[name] - len(dots)) <= 3 for name, dots in list(truth.items())[2:])


def apart(dots: np.ndarray) -> list[np.ndarray]:
    """Return dots of which none is so near to another that a click would take hold of that one."""
    kept: list[np.ndarray] = []
    for dot in dots:
        if all(np.hypot(*(dot - other)) > 3 for other in kept):
            kept.append(dot)
    return kept


def test_a_server_that_is_killed_loses_no_click(chromium, cells):
    with annotating(cells) as (address, process):
        visited = Visit(chromium, viewport=WINDOW)  # it complains of the server that is gone
        page = Annotator(visited, address)
        page.click(20, 30)
        page.saved()
        process.kill()
        process.wait()
        page.click(60, 60)
        page.expect("#saved").to_contain_text("Not saved yet")
    assert near(dots_of(cells)["cell00.png"], (20, 30))
    port = address.rsplit(":", 1)[1]
    with annotating(cells, "--port", port):  # the page sends again what was not confirmed
        page.expect("#messages").to_contain_text("changed elsewhere", timeout=30_000)
        page.page.click("#again")
        page.saved()
    visited.context.close()
    assert near(dots_of(cells)["cell00.png"], (20, 30), (60, 60))


def test_a_phone_in_the_dark(visit, cells):
    with annotating(cells) as (address, _):
        options = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "color_scheme": "dark"}
        page = Annotator(visit(**options), address)
        page.page.touchscreen.tap(*page.place(48, 48))
        page.expect("#count").to_have_text("1 dot")
        page.saved()
        assert faults(page.page) == []
        page.page.set_viewport_size(WINDOW)
        assert faults(page.page) == []


def test_what_can_not_be_changed_is_told(browser, cells):
    (cells / "dots.csv").write_text("image,x,y,age\ncell00.png,1.5,2,7\n")
    (cells / "cell01.png").write_bytes(b"damaged")
    with annotating(cells) as (address, _):
        page = browser(address)
        page.open("cell00.png")
        page.expect("#messages").to_contain_text("the column age")
        page.click(48, 48)
        page.expect("#count").to_have_text("1 dot")
        page.page.get_by_role("button", name="cell01.png").click()
        page.expect("#messages").to_contain_text("cell01.png")


def test_many_dots_are_drawn(browser, tmp_path):
    photos(tmp_path / "many", n=1, size=96)
    rows = "".join(f"cell00.png,{1 + k % 45},{1 + k // 45}\n" for k in range(1500))  # the left half
    (tmp_path / "many" / "dots.csv").write_text("image,x_px,y_px\n" + rows)
    with annotating(tmp_path / "many") as (address, _):
        page = browser(address)
        page.expect("#count").to_have_text("1,500 dots")
        shown = page.page.locator("#stage").screenshot()
    with Image.open(io.BytesIO(shown)) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    yellow = (abs(pixels - (255, 212, 0)).sum(axis=2) < 30).mean(axis=0)
    half = len(yellow) // 2
    assert yellow[:half].max() > 0.05
    assert yellow[half + 10 :].max() == 0


COUNTING = """() => {
  window.frames_ = 0;
  const count = () => {
    window.frames_ += 1;
    requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
}"""


def speed(page: Annotator, seconds: float = 2.0) -> float:
    """Return the frames a second while the picture is moved by the mouse all the time."""
    page.page.evaluate(COUNTING)
    x, y = page.place(300, 300, 600, 600)
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    began, before, step = time.monotonic(), page.page.evaluate("window.frames_"), 0
    while time.monotonic() - began < seconds:
        step += 1
        page.page.mouse.move(x + 60 * np.sin(step / 8), y + 60 * np.cos(step / 8))
    frames = page.page.evaluate("window.frames_") - before
    elapsed = time.monotonic() - began
    page.page.mouse.up()
    return frames / elapsed


@pytest.mark.slow
def test_twenty_thousand_dots_move_smoothly(browser, tmp_path):
    photos(tmp_path / "many", n=1, size=600)
    dots = np.random.default_rng(0).uniform(1, 599, (20_000, 2)).round(2)
    rows = "".join(f"cell00.png,{x},{y}\n" for x, y in dots)
    (tmp_path / "many" / "dots.csv").write_text("image,x_px,y_px\n" + rows)
    with annotating(tmp_path / "many") as (address, _):
        page = browser(address)
        page.expect("#count").to_have_text("20,000 dots")
        found = speed(page)
        print(f"{found:.0f} frames a second with 20,000 dots")
        assert found > 0


@pytest.mark.slow
def test_a_newcomers_session(chromium, tmp_path):
    """Dots by clicks, training, suggestions, training again: the error that the page shows falls."""
    script = Path(__file__).parents[2] / "benchmarks" / "annotate_session.py"
    subprocess.run([sys.executable, str(script), "--out", str(tmp_path / "told.json")], check=True)
    found = json.loads((tmp_path / "told.json").read_text())
    assert found["complaints"] == []
    assert found["error_after_suggestions"] < found["error_after_clicks"]
    assert found["error_on_new_images"] < 0.5 * found["mean_cells"]
