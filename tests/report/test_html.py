import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data import Collection, Record
from dotcount.evaluation import evaluate
from dotcount.intensity import IntensityRule
from dotcount.metadata import Checkpoint, CountingMetrics, InputRule, ModelMetadata, ValidationFacts
from dotcount.metrics import BaselineComparison
from dotcount.points import Points
from dotcount.report import Report, render, write_report
from dotcount.report.examples import example_panels
from dotcount.report.html import headlines, sentence
from dotcount.report.page import breakable, number, signed
from tests.report.conftest import Scripted, prediction

VOID = {"meta", "link", "img", "br", "wbr", "path", "use", "circle", "rect"}


class Outline(HTMLParser):
    """Checks nesting and collects references, ids and text."""

    def __init__(self):
        super().__init__()
        self.open, self.references, self.ids, self.targets, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        for key in ("src", "href", "xlink:href"):
            if key in values:
                (self.targets if values[key].startswith("#") else self.references).append(values[key])
        if "id" in values:
            self.ids.append(values["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline(html):
    parser = Outline()
    parser.feed(html)
    assert parser.open == []
    return parser


def spoken(html):
    """The text of a page, without what may break a line."""
    return " ".join(outline(html.replace("<wbr>", "")).text)


@pytest.fixture
def html(evaluation):
    history = [{"epoch": e, "train_loss": 1 / e, "val_mae": 5.0 / e} for e in (1, 2, 3)]
    counting = CountingMetrics(n=3, mae=1.0, rmse=1.0, nae=None, bias=0.0, mae_ci95=(0.5, 2.0))
    validation = ValidationFacts(counting=counting, checkpoint=Checkpoint(epoch=2))
    metadata = ModelMetadata(model="compact", stride=4, validation=validation, dotcount_version="9.9")
    config = {"loss": {"name": "uot", "options": {"epsilon": 0.01}}, "data": {"path": "x", "min_side": None}}
    return render(Report("Test of <things>", "made", evaluation, history, metadata, config, ["Mind this."]))


def test_it_is_well_formed_and_complete_in_itself(html):
    page = outline(html)
    assert all(reference.startswith("data:") for reference in page.references)
    assert not re.search(r'(src|href)\s*=\s*"(https?:)?//', html)
    assert "@import" not in html
    assert "url(http" not in html
    assert len(page.ids) == len(set(page.ids)), "ids of the charts collide"
    assert {target[1:] for target in page.targets} <= set(page.ids)


def test_charts_follow_the_page_colours(html):
    charts = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(charts) == 3 + 1 + 2  # counts, points, training
    for chart in charts:
        assert "var(--accent)" in chart
        assert not re.search(r"#0[1-5]0[1-5]0[1-5]", chart)
        assert "aria-label" in chart


def test_numbers_pictures_and_rows_are_there(html):
    text = spoken(html)
    for expected in (
        "On 3 images with 0 to 4 annotated objects, the predicted count is off by 0.7 on average.",
        "1 more could not be read", "image d.png can't be decoded", "a & <b>.png", "Test of <things>", "Mind this.",
        "3 found, 1 missed, 3 extra", "4 annotated, 6.0 predicted (interval 4.5 to 7.5), error +2.0",
        "loss.options.epsilon", "0.01", "Training loss", "made with dotcount 9.9".capitalize(),
    ):  # fmt: skip
        assert expected in text, expected
    assert "data.min_side" not in text
    panels = html.count("<img ") - html.count('<img class="thumb"')
    assert panels == 3 * 3, "an image with a large error is not one with a small error, too"
    assert html.count('<img class="thumb"') == 3
    assert html.count("objects per") == 3, "every density has its scale"


def test_parts_that_are_absent_leave_no_heading():
    html = render(Report("Nothing yet"))
    outline(html)
    for heading in ("Largest and smallest", "Training", "All images", "Model and configuration"):
        assert f">{heading}" not in html
    assert "How to read this" in html


def test_training_alone(tmp_path):
    history = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "val_mae": 3.0}]
    write_report(tmp_path / "r.html", Report("Run", history=history))
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Training loss" in html
    assert "Mean absolute error on validation" not in html  # one point is no curve
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_headlines(evaluation):
    shown = {headline.name: headline for headline in headlines(evaluation)}
    assert shown["mean absolute error"].value == "0.7"
    assert shown["error relative to the mean count"].value == "25.0 %"
    assert shown["mean error"].value == "+0.7"


def test_sentence_for_one_image(evaluation):
    evaluation = type(evaluation)(evaluation.metrics, evaluation.rows[:1], (), ())
    assert sentence(evaluation).startswith("On the one image with 4 to 4")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (1234, "1,234"), (-1.25, "−1.2"), (float("inf"), "inf"), (0.0, "0.0"), ("x", "x")]
)
def test_number(value, text):
    assert number(value) == text


def test_a_number_with_its_sign():
    assert [signed(value) for value in (1.25, -1.25, 0.0, 0.01, -0.01, None)] == [
        "+1.2",
        "−1.2",
        "0.0",
        "0.0",
        "0.0",
        "–",
    ]


def test_names_break_after_separators_only():
    assert breakable("a_b/c-d.png") == "a_<wbr>b/<wbr>c-<wbr>d.png"
    assert breakable("<b> & c") == "&lt;b&gt; &amp; c"


def test_the_verdict_comes_first(evaluation, html):
    assert html.index("Not clearly better than always answering the mean") < html.index("mean absolute error")
    assert "Too few images to say" in spoken(html)
    constant = BaselineComparison(9, 20.0, 117.6, True, 20.0, 117.6, 20.0, (-1.0, 1.0), 0.0, 117.6)
    poor = replace(evaluation, metrics=replace(evaluation.metrics, baseline=constant))
    text = spoken(render(Report("Poor", evaluation=poor)))
    assert "No better than always answering the mean" in text
    assert "nearly the same count, 117.6, for every image" in text
    assert "Do not rely on these counts" in text


@pytest.mark.parametrize(
    ("bias", "words"), [(3.0, "too many"), (-3.0, "too few"), (0.05, "neither too many nor too few")]
)
def test_the_mean_error_says_which_way(evaluation, bias, words):
    counting = replace(evaluation.metrics.counting, bias=bias, mae=4.0)
    told = headlines(replace(evaluation, metrics=replace(evaluation.metrics, counting=counting)))
    assert words in next(one.detail for one in told if one.name == "mean error")


def test_small_errors_are_called_right_only_if_they_are(evaluation):
    one = evaluation.best[0]
    for count, expected in ((4.3, "The count is right"), (34.9, "off by up to 30.9: even these are wrong")):
        best = replace(one, prediction=replace(one.prediction, count=count))
        page = render(Report("Best", evaluation=replace(evaluation, worst=(), best=(best,))))
        assert expected in page


def test_a_deep_image_is_shown_through_the_model_s_brightness(tmp_path):
    values = np.full((80, 120), 300, np.uint16)
    values[:, 60:] = 3000
    tifffile.imwrite(tmp_path / "deep.tif", values)
    rule = IntensityRule(200.0, 3100.0, "percentiles", 3, "integer")
    model = Scripted([prediction([(20, 20)])])
    model.metadata = ModelMetadata("scripted", 4, input=InputRule(intensity=rule))
    record = Record(tmp_path / "deep.tif", "deep.tif", Points([(20, 20)], 120, 80))
    result = evaluate(model, Collection(tmp_path, "made", "csv", (record,)), None, examples=1)
    panel = example_panels(result.worst[0]).panels[0]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(panel.source.split(",")[1]))))
    assert shown[170, 100].mean() == pytest.approx(255 * 100 / 2900, abs=6)
    assert shown[170, 400].mean() == pytest.approx(255 * 2800 / 2900, abs=6)
    assert shown.shape[1::-1] == (panel.width, panel.height)


def test_a_report_of_many_images_stays_small(evaluation):
    rows = tuple(replace(evaluation.rows[0], name=f"photos/IMG_{k:05d}.jpg") for k in range(2000))
    page = render(Report("Many", evaluation=replace(evaluation, rows=rows)))
    assert len(page) < 3_000_000
    assert page.count("<tr>") > 2000


def test_a_void_promise_strangers_and_warnings_are_shown(evaluation):
    rows = [replace(row, familiarity=0.1, warnings=("odd light",)) for row in evaluation.rows]
    metrics = replace(evaluation.metrics, void=("The intervals hold 10% of the 40 true counts.",))
    html = render(Report("Test", evaluation=replace(evaluation, rows=tuple(rows), metrics=metrics)))
    text = spoken(html)
    assert "The promise of the intervals is void here" in text
    assert "hold 10\u00a0% of the 40" in text
    assert "odd light" in text
    assert "Error by familiarity" in text
    assert ">familiarity</button>" in html
    assert "is void" not in spoken(render(Report("Test", evaluation=evaluation)))
