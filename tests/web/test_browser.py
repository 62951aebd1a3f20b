"""What people do on the page that counts photos, in Chromium: files, layers, zoom, regions, results, keys, a phone."""

from __future__ import annotations

import zipfile

import pytest
from PIL import Image

import dotcount
from dotcount.data.synthetic import generate
from dotcount.regions import count_regions
from dotcount.web.count_page import count_app
from tests.browser import until
from tests.looks import faults
from tests.web.conftest import running


@pytest.fixture(scope="module")
def server():
    with running(lambda access, limits: count_app("cells", access, limits)) as found:
        yield found


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for k in range(3):
        Image.fromarray(generate("cells", size=320, seed=k)[0]).save(folder / f"cells{k}.png")
    (folder / "note.txt").write_text("no image")
    evil = folder / "<img src=x onerror=alert(1)>.png"
    evil.write_bytes((folder / "cells0.png").read_bytes())
    return folder


def opened(visit, server, **options):
    page = visit(**options).page
    page.goto(server.url)
    until(page, "document.querySelector('#model').textContent.startsWith('cells')")
    return page


def choose(page, paths, number):
    page.set_input_files("#files", [str(path) for path in paths])
    until(
        page,
        f"document.querySelectorAll('#list tr').length === {number} && "
        "[...document.querySelectorAll('#list tr')].every(row => !/…|waiting/.test(row.children[1].textContent))",
    )


def picture(page):
    """Return what the canvas shows once it has settled."""
    page.wait_for_timeout(250)
    return page.evaluate("document.querySelector('#stage').toDataURL()")


def spot(page, x, y):
    """Return where a point of the photo (320 x 320 px, wholly in view) lies in the window."""
    box = page.locator("#stage").bounding_box()
    scale = min(box["width"], box["height"]) / 320
    left, top = (box["width"] - 320 * scale) / 2, (box["height"] - 320 * scale) / 2
    return box["x"] + left + x * scale, box["y"] + top + y * scale


def test_counts_layers_and_zoom(visit, server, photos):
    page = opened(visit, server, viewport={"width": 1280, "height": 900})
    wanted = dotcount.load("cells").predict(photos / "cells0.png")
    choose(page, [photos / "cells0.png", photos / "note.txt", photos / "<img src=x onerror=alert(1)>.png"], 3)
    rows = page.locator("#list tr")
    assert rows.nth(0).locator("td").nth(1).text_content() == f"{wanted.count:,.0f}"
    assert "note.txt is text" in rows.nth(1).text_content()
    assert "<img src=x onerror=alert(1)>.png" in rows.nth(2).text_content()  # a name, no element
    low, high = wanted.interval
    assert page.text_content("#count") == f"{wanted.count:,.0f} ({low:,.0f} to {high:,.0f})"
    seen = [picture(page)]
    for act in (
        lambda: page.click("#show-points"),
        lambda: page.click("#show-density"),
        lambda: page.click("#zoom-in"),
        lambda: page.click("#zoom-all"),
        lambda: page.focus("#stage"),
        lambda: page.keyboard.press("+"),
        lambda: page.keyboard.press("ArrowRight"),
        lambda: page.keyboard.press("p"),
        lambda: page.mouse.wheel(0, 0),
    ):
        act()
        seen.append(picture(page))
    assert seen[4] == seen[2] or seen[4] == seen[5]  # all of it again
    assert len({*seen}) >= 6
    assert page.is_visible("#legend")
    assert "objects per" in page.text_content("#unit")
    before = picture(page)
    page.mouse.move(*spot(page, 160, 160))
    page.mouse.wheel(0, -400)
    zoomed = picture(page)
    page.mouse.down()
    page.mouse.move(*spot(page, 100, 120), steps=4)
    page.mouse.up()
    assert len({before, zoomed, picture(page)}) == 3


def test_dropped_files_and_folders_are_counted(visit, server, photos):
    page = opened(visit, server)
    data = (photos / "cells1.png").read_bytes().hex()
    transfer = page.evaluate_handle(
        "hex => { const bytes = Uint8Array.from(hex.match(/../g), pair => parseInt(pair, 16));"
        " const transfer = new DataTransfer();"
        " transfer.items.add(new File([bytes], 'dropped.png', {type: 'image/png'})); return transfer; }",
        data,
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    page.wait_for_selector("#list button")
    assert page.text_content("#list button") == "dropped.png"
    page.set_input_files("#folder", str(photos))
    until(page, "document.querySelectorAll('#list button').length === 5")
    assert f"{photos.name}/cells2.png" in page.text_content("#list")
    assert "left out" in page.text_content("#messages")
    assert page.get_attribute("#camera", "capture") == "environment"
    assert page.is_visible("#total")
    page.click("#clear")
    assert page.is_hidden("#result")
    assert page.locator("#list tr").count() == 0


def test_regions_by_mouse_and_by_keys(visit, server, photos, tmp_path):
    page = opened(visit, server, viewport={"width": 1280, "height": 900})
    choose(page, [photos / "cells0.png"], 1)
    prediction = dotcount.load("cells").predict(photos / "cells0.png")
    page.click("#draw-region")
    page.mouse.move(*spot(page, 40, 60))
    page.mouse.down()
    page.mouse.move(*spot(page, 280, 260), steps=5)
    page.mouse.up()
    page.wait_for_selector("#regions tr")
    corners = [(40, 60), (280, 60), (280, 260), (40, 260)]
    wanted = count_regions(prediction.density, prediction.stride, [corners], (320, 320)).regions[0]
    shown = page.locator("#regions tr td.number")
    assert float(shown.nth(0).inner_text().split("\n")[0].replace(",", "")) == pytest.approx(wanted.count, abs=1.5)
    assert float(shown.nth(1).inner_text().replace(",", "")) == pytest.approx(wanted.area, rel=0.01)

    page.click("#draw-region")  # a triangle by clicks; the fourth, on the first corner, closes it
    for place in ((20, 20), (150, 30), (60, 310), (20, 20)):  # the third lies below the hint
        page.mouse.click(*spot(page, *place))
    page.wait_for_selector("#regions tr:nth-child(2)")

    page.focus("#stage")
    page.keyboard.press("r")
    for moves in ("ArrowLeft", "ArrowDown", "ArrowRight"):
        page.keyboard.press("Enter")
        page.keyboard.press(moves)
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    page.keyboard.press("f")
    page.wait_for_selector("#regions tr:nth-child(3)")
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.is_hidden("#hint")

    page.fill("#regions tr:nth-child(1) input", "=plot, 1")
    page.locator("#regions tr:nth-child(2) button").click()
    assert page.locator("#regions tr").count() == 2
    with page.expect_download() as saved:
        page.click("#save-regions")
    saved.value.save_as(tmp_path / "regions.csv")
    lines = (tmp_path / "regions.csv").read_text().splitlines()
    assert lines[0] == "image,region,count,low,high,area_px2"
    assert lines[1].startswith('cells0.png,"\'=plot, 1",')
    assert len(lines) == 3


def test_results_and_the_next_photo(visit, server, photos, tmp_path):
    page = opened(visit, server)
    choose(page, [photos / f"cells{k}.png" for k in range(3)], 3)
    files = {}
    for write in ("csv", "overlays", "geojson"):
        with page.expect_download() as saved:
            page.click(f"[data-write={write}]")
        saved.value.save_as(tmp_path / saved.value.suggested_filename)
        files[write] = set(zipfile.ZipFile(tmp_path / saved.value.suggested_filename).namelist())
    assert files["csv"] == {"counts.csv", "points.csv"}
    assert files["overlays"] == {f"overlays/cells{k}.png.jpg" for k in range(3)}
    assert len(files["geojson"]) == 3
    assert faults(page) == []
    page.focus("#stage")
    names = []
    for key in ("n", "n", "n", "b"):
        page.keyboard.press(key)
        names.append(page.text_content("#name").split(",")[0])
    assert names == ["cells1.png", "cells2.png", "cells0.png", "cells2.png"]


def test_a_phone_in_the_dark(visit, server, photos):
    page = opened(
        visit,
        server,
        viewport={"width": 390, "height": 844},
        color_scheme="dark",
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
    )
    choose(page, [photos / "cells0.png"], 1)
    page.locator("#stage").scroll_into_view_if_needed()
    assert faults(page) == []
    ground, text = (
        page.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
        for name in ("backgroundColor", "color")
    )
    assert max(ground) < 60 < 180 < min(text)
    sizes = page.evaluate(
        "[...document.querySelectorAll('button, .button')].filter(b => b.offsetParent && !b.closest('#list'))"
        ".map(b => b.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 38  # large enough for a finger
    before = picture(page)
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + min(box["height"], 700) / 2
    touch = page.context.new_cdp_session(page)
    for kind, reach in (("touchStart", 30), ("touchMove", 60), ("touchMove", 120)):
        fingers = [{"x": x - reach, "y": y, "id": 0}, {"x": x + reach, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert picture(page) != before
