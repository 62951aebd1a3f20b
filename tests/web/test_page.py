"""The exported page counts as Python does, opened from a disk, in Chromium."""

from __future__ import annotations

import csv
import dataclasses
import re
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import dotcount
from dotcount import models
from dotcount.data import ResizeRule
from dotcount.data.formats import FORMATS
from dotcount.data.synthetic import generate
from dotcount.errors import OutputError
from dotcount.metadata import CountInterval, InputRule, ModelMetadata, PeakRule
from dotcount.models import io as model_io
from dotcount.regions import count_regions
from dotcount.web.page import MODULES, STATIC, bundled, write_page
from tests.browser import until

SIZES = ((320, 320), (97, 161), (64, 200), (31, 33), (250, 251), (4, 4))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twenty photos of many kinds, named by their number."""
    folder = tmp_path_factory.mktemp("photos")
    for k in range(20):
        width, height = SIZES[k % len(SIZES)]
        image = Image.fromarray(generate("cells", size=320, seed=k)[0][:height, :width])
        if k == 3:
            image.convert("L").save(folder / f"{k}.png")
        elif k == 4:
            exif = Image.Exif()
            exif[0x0112] = 6
            image.save(folder / f"{k}.jpg", quality=93, exif=exif)
        elif k in (6, 9):
            image.save(folder / f"{k}.jpg", quality=85 + k)
        elif k == 7:
            clear = image.convert("RGBA")
            clear.putalpha(Image.fromarray(np.tile(np.uint8([255, 0]), (height, width))[:, :width]))
            clear.save(folder / f"{k}.png")
        elif k == 8:
            image.convert("P", palette=Image.Palette.ADAPTIVE).save(folder / f"{k}.png")
        elif k == 10:
            image.save(folder / f"{k}.webp", lossless=True)
        elif k == 11:
            image.save(folder / f"{k}.bmp")
        else:
            image.save(folder / f"{k}.png")
    return sorted(folder.iterdir(), key=lambda path: int(path.stem))


@pytest.fixture(scope="module")
def resizing(tmp_path_factory):
    """A model with every setting that changes a count: sizes, mirror image, scale, other peaks."""
    torch.manual_seed(1)
    module = models.create("lite0", width=8)
    module.initialize_density(0.05)
    metadata = ModelMetadata(
        "lite0",
        4,
        {"width": 8},
        input=InputRule(ResizeRule(min_side=60, max_side=240, magnify=1.25)),
        mirror=True,
        peaks=PeakRule("nms", 2, 0.2),
        count_scale=1.25,
        interval=CountInterval(0.9, 1.5, 40, part_scale=2.0),
    )
    return model_io.save(module, tmp_path_factory.mktemp("run") / "model", metadata)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, resizing):
    """Pages, by the name of the model."""
    folder = tmp_path_factory.mktemp("pages")
    for name, run in (("cells", "cells"), ("resizing", resizing)):
        assert write_page(run, folder / name).count < 1e-4
    return folder


def counted(visit, folder, photos, tmp_path):
    """Open a page from the disk, choose the photos, save the table; return its rows and the page."""
    page = visit(viewport={"width": 1000, "height": 800}).page
    page.goto((folder / "index.html").as_uri())
    until(page, "!/being loaded/.test(document.querySelector('#model').textContent)")
    page.set_input_files("#files", [str(path) for path in photos])
    until(
        page,
        f"document.querySelectorAll('#list tr').length === {len(photos)} && "
        "[...document.querySelectorAll('#list tr')].every(row => !/…|waiting/.test(row.children[1].textContent))",
        120,
    )
    with page.expect_download() as saved:
        page.click("[data-write=csv]")
    saved.value.save_as(tmp_path / "counts.csv")
    with (tmp_path / "counts.csv").open() as file:
        return list(csv.DictReader(file)), page


@pytest.mark.parametrize("name", ["cells", "resizing"])
def test_twenty_photos_are_counted_as_in_python(visit, exported, photos, name, resizing, tmp_path):
    run = "cells" if name == "cells" else resizing
    rows, page = counted(visit, exported / name, photos, tmp_path)
    assert [row["image"] for row in rows] == [path.name for path in photos]
    predictor = dotcount.load(run, device="cpu")
    wanted = [predictor.predict(path) for path in photos]
    counts = np.array([float(row["count"]) for row in rows])
    expected = np.array([prediction.count for prediction in wanted])
    assert np.abs(counts - expected).max() / max(expected.max(), 1) < 1e-3
    assert np.allclose(counts, expected, rtol=1e-3, atol=1e-6)
    assert [int(row["points"]) for row in rows] == [len(prediction.points) for prediction in wanted]
    ends = [[float(row["low"]), float(row["high"])] for row in rows]
    assert np.allclose(ends, [prediction.interval for prediction in wanted], rtol=1e-3, atol=1e-6)
    page.click("#list tr:first-child button")
    page.click("#draw-region")
    box = page.locator("#stage").bounding_box()
    scale = min(box["width"], box["height"]) / 320
    left, top = box["x"] + (box["width"] - 320 * scale) / 2, box["y"] + (box["height"] - 320 * scale) / 2
    corners = [(40, 60), (280, 75), (200, 260)]
    for x, y in (*corners, corners[0]):
        page.mouse.click(left + x * scale, top + y * scale)
    page.wait_for_selector("#regions tr")
    found = count_regions(wanted[0].density, wanted[0].stride, [corners], (320, 320)).regions[0]
    shown = page.locator("#regions tr td.number")
    told = float(shown.nth(0).inner_text().split("\n")[0].replace(",", ""))
    assert told == pytest.approx(found.count, rel=0.02, abs=0.3)
    assert float(shown.nth(1).inner_text().replace(",", "")) == pytest.approx(found.area, rel=0.02)
    page.click("#show-density")
    assert "objects per" in page.text_content("#unit")


def test_strangers_are_told_in_the_words_of_predict(visit, exported, photos, tmp_path):
    odd = tmp_path / "odd"
    odd.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (300, 200, 3), dtype=np.uint8)).save(odd / "noise.png")
    Image.new("RGB", (64, 40), "black").save(odd / "dark.png")
    generated = generate("crowd", size=1800, seed=1)[0]  # in tiles, here and there in others
    Image.fromarray(generated).save(odd / "large.png")
    Image.fromarray(generate("cells", size=256, seed=3)[0]).resize((700, 700)).save(odd / "near.png")
    chosen = [*photos[:6], *sorted(odd.iterdir())]
    rows, _ = counted(visit, exported / "cells", chosen, tmp_path)
    wanted = [next(dotcount.load("cells", device="cpu").predict_many(path)) for path in chosen]
    assert [row["warning"] for row in rows] == ["; ".join(frame.warnings) for frame, _ in wanted]
    found = [float(row["familiarity"]) for row in rows]
    assert found == pytest.approx([prediction.familiarity for _, prediction in wanted], abs=2e-3)
    assert [row["low"] == "" for row in rows] == [prediction.interval is None for _, prediction in wanted]
    told = " ".join(row["warning"] for row in rows)
    for words in ("unlike the training images", "mean brightness", "times as large", "neighbours lie", "count outside"):
        assert words in told, words


def downloaded(page, button, path):
    with page.expect_download() as saved:
        page.click(button)
    saved.value.save_as(path)
    return saved.value.suggested_filename


def test_points_and_pictures_are_files_for_each_photo(visit, exported, tmp_path):
    paths = []
    for k, (name, size) in enumerate((("a.png", 256), ("b.jpg", 96))):
        paths.append(tmp_path / name)
        Image.fromarray(generate("cells", size=size, seed=k)[0]).save(paths[-1])
    _, page = counted(visit, exported / "cells", paths, tmp_path)
    assert downloaded(page, "[data-write=geojson]", tmp_path / "points.zip") == "geojson.zip"
    predictor = dotcount.load("cells", device="cpu")
    with zipfile.ZipFile(tmp_path / "points.zip") as files:
        assert files.testzip() is None
        assert files.namelist() == ["a.geojson", "b.geojson"]
        for path, name in zip(paths, files.namelist()):
            (tmp_path / name).write_bytes(files.read(name))
            prediction = predictor.predict(path)
            dots = FORMATS.create("geojson").read(tmp_path / name, prediction.width, prediction.height)
            np.testing.assert_allclose(np.sort(dots.xy, 0), np.sort(prediction.points, 0), atol=0.01)
    assert downloaded(page, "[data-write=overlays]", tmp_path / "pictures.zip") == "overlays.zip"
    with zipfile.ZipFile(tmp_path / "pictures.zip") as files:
        assert files.testzip() is None
        for path, name in zip(paths, files.namelist(), strict=True):
            picture, photo = (np.asarray(Image.open(one).convert("RGB")) for one in (files.open(name), path))
            height = 512  # small photos are enlarged
            assert (picture.shape[1], name) == (height, path.with_suffix(".png").name)
            assert picture.shape[0] > height
            blue = (picture[:height, :height].astype(int) - (56, 189, 248)).__abs__().sum(axis=2) < 60
            assert blue.any()  # rings, of which the photo has none
            assert not ((photo.astype(int) - (56, 189, 248)).__abs__().sum(axis=2) < 60).any()


def test_what_a_browser_would_read_otherwise_is_refused(visit, exported, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "map.tif")
    (tmp_path / "note.png").write_text("no image")
    Image.new("RGB", (40, 40)).save(tmp_path / "fine.png")
    names = ("deep.png", "map.tif", "note.png", "fine.png")
    rows, page = counted(visit, exported / "cells", [tmp_path / name for name in names], tmp_path)
    assert [row["image"] for row in rows] == ["fine.png"]
    told = [page.locator("#list tr").nth(k).inner_text() for k in range(3)]
    assert "16 bits" in told[0]
    assert "TIFF" in told[1]
    assert "can't read" in told[2]


def test_the_page_is_one_file_that_lets_in_nothing_else(exported):
    text = (exported / "cells" / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert "http" not in policy
    assert not re.search(r'(src|href)="(?!data:)', text.split("<body>")[0])
    with pytest.raises(OutputError, match="exists already"):
        write_page("cells", exported / "cells")


def test_bundled_scripts_share_no_name():
    """Put together they are one module, where two functions of one name would be an error."""
    script = bundled(MODULES)
    assert not re.search(r"^(import|export)\b", script, flags=re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script, flags=re.MULTILINE)
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
    for path in STATIC.glob("*.js"):
        assert "innerHTML" not in path.read_text(), path.name
        assert "</script" not in path.read_text(), path.name


def test_settings_are_those_of_the_model():
    from dotcount.web.page import page_settings

    metadata = ModelMetadata("compact", 4, peaks=PeakRule("mass", 3, 0.4))
    facts = {"stride": 4, "size_multiple": 8, "receptive_radius": None, "ground": [0.0] * 3, "weights": "x"}
    told = page_settings("run", dataclasses.replace(metadata, count_scale=1.5), facts)
    assert told["metadata"]["peaks"] == {"method": "mass", "radius": 3, "threshold": 0.4}
    assert told["metadata"]["count_scale"] == 1.5
    assert told["metadata"]["interval"] is None
    assert "weights" not in told["facts"]
