"""Pages in a real browser: a desk and a phone, light and dark, and on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dotcount.data import open_collection
from dotcount.data.checks import check
from dotcount.data.synthetic import write_dataset
from dotcount.report import Report, write_report
from dotcount.report.check_page import write_check_page
from tests.looks import contrast, faults, palettes
from tests.report.conftest import evaluated
from tests.report.test_audit_page import page as audit_page

LONG = "a folder/with long names/" + "IMG_20240131_a_rather_long_name_of_a_photo_" * 2


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    evaluation = evaluated(folder)
    told = {"familiarity": 0.1, "warnings": ("odd light", "count outside the 0 to 9")}
    rows = [replace(row, name=f"{LONG}{k}.jpg", **told) for k, row in enumerate([*evaluation.rows] * 12)]
    big = replace(rows[0], true=123456, count=234567.8, interval=(200000.5, 300000.5), points=234567)
    history = [{"epoch": k, "train_loss": 9.0 / k, "val_mae": 5.0} for k in range(1, 9)]
    shown = replace(evaluation, rows=(*rows, big))
    write_report(folder / "report.html", Report("A run on " + LONG, "made", shown, history, notes=["Mind 90% of it."]))
    write_dataset(folder / "data", train=3, val=0, test=0, size=64)
    write_check_page(folder / "check.html", check(open_collection(folder / "data", strict=False)))
    audit_page(folder)
    return folder


@pytest.mark.parametrize("name", ["report", "check", "audit"])
@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 640, 390])
def test_nothing_is_cut_faint_or_hidden_from_keys(visit, pages, name, mode, width):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=mode).page
    page.goto((pages / f"{name}.html").as_uri())
    assert faults(page) == []


def test_all_pictures_are_there_at_once_and_on_paper(visit, pages):
    page = visit(color_scheme="dark").page
    page.goto((pages / "report.html").as_uri())
    page.emulate_media(media="print")
    missing = "[...document.images].filter(one => !one.complete || !one.naturalWidth).length"
    assert page.evaluate("document.images.length") > 3
    assert page.evaluate(missing) == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("[...document.querySelectorAll('.tall')].every(one => one.scrollHeight <= one.clientHeight)")


def test_the_table_is_sorted_by_keys(visit, pages):
    page = visit(viewport={"width": 390, "height": 844}).page
    page.goto((pages / "report.html").as_uri())
    page.focus("th:nth-child(2) button")
    first = "Number(document.querySelector('.images').tBodies[0].rows[0].cells[1].dataset.v)"
    page.keyboard.press("Enter")
    least = page.evaluate(first)
    page.keyboard.press("Enter")
    assert page.evaluate(first) == 123456 > least


@pytest.mark.parametrize("colours", palettes(), ids=["light", "dark", "print"])
def test_the_colours_of_the_theme_can_be_read(colours):
    for text in ("ink", "muted", "accent", "good", "warn", "bad"):
        assert min(contrast(colours[text], colours[ground]) for ground in ("page", "card")) >= 4.5, text
    for text, ground in (("on-accent", "accent"), ("warn-ink", "warn-ground"), ("bad-ink", "bad-ground")):
        assert contrast(colours[text], colours[ground]) >= 4.5, text
    for line in ("edge", "second"):  # of what can be operated, and of charts
        assert contrast(colours[line], colours["card"]) >= 3, line
