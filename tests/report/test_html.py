import re
from html.parser import HTMLParser

import pytest

from dotcount.metadata import Checkpoint, CountingMetrics, ModelMetadata, ValidationFacts
from dotcount.report import Report, render, write_report
from dotcount.report.html import headlines, number, sentence

VOID = {"meta", "link", "img", "br", "path", "use", "circle", "rect"}


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


@pytest.fixture
def html(evaluation):
    history = [{"epoch": e, "train_loss": 1 / e, "val_mae": 5.0 / e} for e in (1, 2, 3)]
    counting = CountingMetrics(4, 1.0, 1.0, None, 0.0, (0.5, 1.5))
    validation = ValidationFacts(counting, checkpoint=Checkpoint(2))
    metadata = ModelMetadata("compact", 4, dotcount_version="9.9", validation=validation)
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
    assert len(charts) == 1 + 2 + 1 + 2  # the mark, counts, points, training
    for chart in charts[1:]:
        assert "var(--accent)" in chart
        assert not re.search(r"#0[1-5]0[1-5]0[1-5]", chart)
        assert "aria-label" in chart


def test_numbers_pictures_and_rows_are_there(html):
    text = " ".join(outline(html).text)
    for expected in (
        "On 3 images with 0 to 4 annotated objects, the predicted count is off by 0.7 on average.",
        "1 more could not be read", "image d.png can't be decoded", "a & <b>.png", "Test of <things>", "Mind this.",
        "3 found, 1 missed, 3 extra", "4 annotated, 6.0 predicted (interval 4.5 to 7.5), error +2.0",
        "loss.options.epsilon", "0.01", "Training loss", "made with dotcount 9.9".capitalize(),
    ):  # fmt: skip
        assert expected in text, expected
    assert "data.min_side" not in text
    assert html.count("<img ") == 3 * 4
    assert html.count("data:image/jpeg;base64,") == 12


def test_parts_that_are_absent_leave_no_heading():
    html = render(Report("Nothing yet"))
    outline(html)
    for heading in ("Worst and best", "Training", "All images", "Model and configuration"):
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
    evaluation = type(evaluation)(evaluation.metrics, evaluation.rows[:1], (), (), evaluation.localization)
    assert sentence(evaluation).startswith("On the one image with 4 to 4")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (1234, "1,234"), (-1.25, "−1.2"), (float("inf"), "inf"), (0.0, "0.0"), ("x", "x")]
)
def test_number(value, text):
    assert number(value) == text
