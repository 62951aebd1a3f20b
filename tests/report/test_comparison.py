"""Grouping, figures and tests of runs whose counts are known."""

import json

import numpy as np
import pytest

from dotcount.errors import DataError
from dotcount.metrics import compare_paired
from dotcount.report.comparison import COLUMNS, ScoredRun, compare_runs, comparison_figure, read_scores

TRUE = np.array([10.0, 20.0, 0.0, 40.0])
NAMES = ("a.png", "b.png", "c.png", "d.png")


def scored(name, shift, settings=None, seed=None, **more):
    given = {"images": NAMES, "true": TRUE} | more
    return ScoredRun(name, predicted=given["true"] + shift, settings=settings, seed=seed, **given)


def test_runs_that_differ_by_their_seed_are_one_row():
    uot, bl = {"loss": "uot"}, {"loss": "bl"}
    runs = [
        scored("uot-seed0", 1.0, uot, 0, f=0.5), scored("bl-0", 3.0, bl, 0),
        scored("uot-seed1", [2.0, 0.0, 0.0, 2.0], uot, 1, f=0.7), scored("alone", -1.0),
    ]  # fmt: skip
    result = compare_runs(runs)
    assert [(m.name, len(m.runs)) for m in result.methods] == [("uot", 2), ("bl-0", 1), ("alone", 1)]
    figures = result.methods[0].figures()
    assert figures["mae"] == (1.0, 0.0)
    assert figures["rmse"] == pytest.approx((np.mean([1, 2**0.5]), np.std([1, 2**0.5], ddof=1)))
    assert figures["f"] == pytest.approx((0.6, np.std([0.5, 0.7], ddof=1)))
    assert figures["nae"][0] == pytest.approx(np.mean([(0.1 + 0.05 + 0.025) / 3, (0.2 + 0.05) / 3]))
    assert result.methods[2].figures()["bias"] == (-1.0, None)
    np.testing.assert_allclose(result.methods[0].errors, [1.5, 0.5, 0.5, 1.5])
    assert len(result.pairs) == 3


def test_runs_of_unknown_settings_are_never_joined():
    assert len(compare_runs([scored("a", 1.0), scored("b", 1.0)]).methods) == 2


def test_with_single_runs_it_is_the_paired_comparison():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 50, 30).astype(float)
    images = tuple(f"{i}.png" for i in range(30))
    a, b = (scored(name, rng.normal(0, width, 30), images=images, true=true) for name, width in (("a", 1), ("b", 4)))
    (pair,) = compare_runs([a, b], seed=3).pairs
    assert pair[:2] == ("a", "b")
    assert pair[2] == compare_paired(a.predicted, b.predicted, true, seed=3)
    assert pair[2].p_value < 0.01


def test_the_table_tells_the_difference_to_the_first_row():
    result = compare_runs([scored("a", 1.0), scored("b", [3.0, 3.0, 3.0, 3.0])])
    first, second = result.rows()
    assert len(first) == len(COLUMNS)
    assert (first[0], first[2], first[8:]) == ("a", "1.00", ("", ""))
    assert second[8] == "+2.00 [+2.00, +2.00]"
    text = result.markdown()
    assert text.splitlines()[0].count("|") == len(COLUMNS) + 1
    assert "| b | 1 | 3.00 |" in text
    assert "not corrected" in text


def test_what_is_saved(tmp_path):
    result = compare_runs([scored("a", 1.0, {}, 0, f=0.25), scored("b", 2.0)])
    result.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["comparison.json", "comparison.md", "comparison.png"]
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found["images"] == 4
    assert found["methods"][0]["figures"]["mae"] == {"mean": 1.0, "sd": None}
    assert "f" not in found["methods"][1]["figures"]
    assert found["pairs"][0]["difference"] == -1.0


def test_the_chart_shows_every_method_and_seed():
    figure = comparison_figure(compare_runs([scored("m-0", 1.0, {}, 0), scored("m-1", 2.0, {}, 1), scored("n", 3.0)]))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["m", "n"]
    drawn = [list(np.atleast_1d(line.get_xdata())) for line in axes.lines]
    assert [1.0, 2.0] in drawn
    assert [1.5] in drawn
    assert [3.0] in drawn


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"images": ("a.png", "b.png", "c.png", "e.png")}, r"a and b were scored on different images \(d\.png\)"),
        ({"true": TRUE + 1}, "with other dots"),
    ],
)
def test_other_images_or_dots_cannot_be_compared(more, message):
    with pytest.raises(DataError, match=message):
        compare_runs([scored("a", 1.0), scored("b", 1.0, **more)])


def test_no_run_and_no_evaluation(tmp_path):
    with pytest.raises(DataError, match="no run"):
        compare_runs([])
    with pytest.raises(DataError, match="does not hold what"):
        read_scores(tmp_path, "a")
    (tmp_path / "predictions.csv").write_text("image,count\na,1\n")
    with pytest.raises(DataError, match="does not hold what"):
        read_scores(tmp_path, "a")
