"""The report: one HTML file without outside references, with numbers, charts, pictures and a table of all images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dotcount.evaluation import Evaluation, Example, Row
from dotcount.metadata import ModelMetadata
from dotcount.metadata.familiarity import WARN_BELOW
from dotcount.metrics import Localization, ObjectRadiusResult
from dotcount.report import figures
from dotcount.report.examples import example_panels
from dotcount.report.page import Panel, number, render_page, signed, write_page

_COLUMNS = ("image", "true", "predicted", "error", "|error|", "interval", "points")
_VERDICTS = {
    "better": "Better than always answering the mean",
    "unclear": "Not clearly better than always answering the mean",
    "no better": "No better than always answering the mean",
}
_ADVICE = {
    "better": "",
    "unclear": "Measure on more annotated images of this kind before relying on the counts.",
    "no better": "Do not rely on these counts. Train for longer, look for faults in the dots with a data check, and if "
    "these images are of another kind than those of training, train on some of them.",
}


@dataclass(frozen=True)
class Report:
    """What a report shows; every part may be absent.

    Parameters
    ----------
    title
        Heading of the page.
    subtitle
        One line below: what was run on what.
    evaluation
        Scores, rows and pictures.
    history
        Rows of a run's ``metrics.csv``, as numbers.
    metadata
        The model's, if the report is about one.
    config
        The run's resolved configuration, nested.
    notes
        Sentences to put above the numbers.

    Examples
    --------
    >>> page = render(Report("A run", history=[{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}]))
    >>> "Training loss" in page
    True
    """

    title: str
    subtitle: str = ""
    evaluation: Evaluation | None = None
    history: Sequence[Mapping[str, float]] = ()
    metadata: ModelMetadata | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Headline:
    """One figure in large type, what it is, and a line about its uncertainty or meaning."""

    value: str
    name: str
    detail: str = ""


def write_report(path: Path, report: Report) -> None:
    """Write the report to ``path`` in one step.

    Examples
    --------
    >>> from pathlib import Path
    >>> write_report(Path("report.html"), Report("A run", notes=["stopped early"]))
    >>> "stopped early" in Path("report.html").read_text(encoding="utf-8")
    True
    """
    write_page(path, render(report))


def render(report: Report) -> str:
    """Return the report as HTML text.

    Examples
    --------
    >>> render(Report("A run")).startswith("<!")
    True
    """
    model = report.metadata
    facts = {} if model is None else model.to_dict()
    trained_on = {key: facts.pop(key, None) for key in ("training", "validation")}
    if facts.get("familiarity"):
        facts["familiarity"] = facts["familiarity"] | {"statistics": None}  # thousands of numbers, for programs
    checkpoint = None if model is None or model.validation is None else model.validation.checkpoint
    return render_page(
        "report.html.j2",
        title=report.title,
        subtitle=report.subtitle,
        notes=report.notes,
        version=facts.get("dotcount_version"),
        training=figures.training_curves(report.history, None if checkpoint is None else checkpoint.epoch),
        settings=_flat(report.config),
        model=_flat(facts),
        trained_on=_flat(trained_on),
        **_results(report),
    )


def _results(report: Report) -> dict[str, Any]:
    """Return what the page shows of an evaluation."""
    evaluation = report.evaluation
    if evaluation is None:
        return {}
    metrics = evaluation.metrics
    place = _located(evaluation)
    near = _near(place)
    shown = {id(example) for example in evaluation.worst}
    best = [example for example in evaluation.best if id(example) not in shown]
    return {
        "metrics": metrics,
        "baseline": metrics.baseline,
        "verdict": _VERDICTS[metrics.baseline.verdict],
        "advice": _ADVICE[metrics.baseline.verdict],
        "headlines": headlines(evaluation),
        "sentence": sentence(evaluation),
        "count_charts": _charts(evaluation),
        "localization": figures.localization_curves(place.greedy, near.median_px),
        "object_radius": near,
        "matchings": [
            ("an object’s radius", near.matched),
            *((name.replace("sigma ", ""), row) for name, row in place.optimal.items()),
        ],
        "subsets": [
            (_part(name), s, metrics.interval_by_subset.get(name))
            for name, s in metrics.subsets.items()
            if s is not None and s.mae is not None and _compared(name, metrics.subsets)
        ],
        "void": metrics.void,
        "worst": [example_panels(example) for example in evaluation.worst],
        "best": [example_panels(example) for example in best],
        "best_text": _best_text(best),
        "rows": [_table_row(row) for row in evaluation.rows],
        "columns": [*_COLUMNS, *(["familiarity"] if any(r.familiarity is not None for r in evaluation.rows) else [])],
    }


def _located(evaluation: Evaluation) -> Localization:
    located = evaluation.metrics.localization
    assert located is not None, "an evaluation scores located points"
    return located


def _near(place: Localization) -> ObjectRadiusResult:
    assert place.object_radius is not None, "an evaluation matches within an object's radius"
    return place.object_radius


def _compared(name: str, subsets: Mapping[str, object]) -> bool:
    """Return whether a subset says more than another row: the mean over the parts of one kind needs two of them."""
    kind, _, part = name.rpartition("/")
    known = [other for other, row in subsets.items() if row is not None and other.rpartition("/")[0] == kind]
    return part != "Avg." or len(known) > 2


def _part(name: str) -> str:
    """Return the name of a subset in words."""
    kind, _, part = name.rpartition("/")
    if part == "Avg.":
        return f"mean over the parts by {kind}"
    quantile = re.fullmatch(r"Q\d+ (\d+)-(\d+)", part)
    return f"{kind}: {'{}–{}'.format(*quantile.groups()) if quantile else part}"


def headlines(evaluation: Evaluation) -> list[Headline]:
    """Return the figures for the top of the page."""
    counting, place = evaluation.metrics.counting, _located(evaluation)
    low, high = counting.mae_ci95
    mean = float(evaluation.true.mean())
    near, within = _near(place).matched, number(_near(place).median_px)
    found = [Headline(number(counting.mae), "mean absolute error", f"95 % interval {number(low)} to {number(high)}")]
    if mean > 0:
        share = f"{number(100 * counting.mae / mean)} %"
        found.append(Headline(share, "error relative to the mean count", f"mean {mean:,.1f}"))
    found += [
        Headline(number(counting.rmse), "root mean squared error", "weighs large misses; papers print it as “MSE”"),
        Headline(signed(counting.bias), "mean error", _direction(counting.bias, counting.mae)),
        Headline(
            f"{near.f:.2f}",
            "F of located points within an object’s radius",
            f"precision {near.precision:.2f}, recall {near.recall:.2f}, within {within} px",
        ),
        Headline(
            f"{place.greedy.f:.2f}",
            "F of located points as in papers",
            f"precision {place.greedy.ap:.2f}, recall {place.greedy.ar:.2f}, mean over 1 to 100 px",
        ),
    ]
    interval = evaluation.metrics.interval
    if interval:
        widths = [row.interval[1] - row.interval[0] for row in evaluation.scored if row.interval]
        detail = f"promised {interval.level:.0%}; they are {sum(widths) / len(widths):,.0f} objects wide on average"
        found.append(Headline(f"{interval.coverage:.0%}", "of true counts in their interval", detail))
    return found


def _direction(bias: float, mae: float) -> str:
    """Say which way the counts lean; a bias of a tenth of the error is no leaning."""
    if abs(bias) <= 0.1 * mae or abs(bias) < 0.05:
        return "neither too many nor too few on the whole"
    return "too many are counted" if bias > 0 else "too few are counted"


def _best_text(examples: Sequence[Example]) -> str:
    """Say how good the best counts are, without praise for those that are not."""
    if not examples:
        return ""
    most = max(abs(example.difference) for example in examples)
    if most < 0.5:
        return "The count is right; the points tell whether for the right reason."
    text = f"The count is off by up to {number(most)}"
    if all(abs(example.difference) <= 0.1 * len(example.points) for example in examples):
        return f"{text}, a tenth of the dots or less; the points tell whether for the right reason."
    return f"{text}: even these are wrong."


def sentence(evaluation: Evaluation) -> str:
    """Return the result in one or two sentences."""
    counting = evaluation.metrics.counting
    true = evaluation.true
    images = "On the one image" if len(true) == 1 else f"On {len(true):,} images"
    text = (
        f"{images} with {true.min():,.0f} to {true.max():,.0f} annotated objects, the predicted count is off by "
        f"{counting.mae:,.1f} on average."
    )
    failed = evaluation.metrics.failed
    if failed:
        text += f" {failed:,} more could not be read and take no part in the scores; the table names them."
    return text


def _charts(evaluation: Evaluation) -> list[tuple[str, str]]:
    true, predicted = evaluation.true, evaluation.predicted
    bars = [row.interval for row in evaluation.scored]
    caption = "Predicted against true count" + (", with prediction intervals" if any(bars) else "")
    answer = evaluation.metrics.baseline.answer
    charts = [
        (caption, figures.scatter(true, predicted, bars, answer)),
        ("Error of the count", figures.error_histogram(predicted - true)),
        ("Agreement of predicted and true count", figures.bland_altman(true, predicted)),
    ]
    if len(true) >= 8:
        charts.append(("Error by true count", figures.error_by_count(true, predicted)))
    known = [(row.familiarity, row.difference) for row in evaluation.scored if row.familiarity is not None]
    if known:
        familiarity, errors = np.array(known, dtype=np.float64).T
        charts.append(("Error by familiarity", figures.error_by_familiarity(familiarity, errors, WARN_BELOW)))
    return charts


def _table_row(row: Row) -> dict[str, Any]:
    low, high = row.interval or (None, None)
    return {
        "name": row.name,
        "true": row.true,
        "count": row.count,
        "low": low,
        "high": high,
        "difference": row.difference,
        "points": row.points,
        "error": row.error,
        "familiarity": row.familiarity,
        "warning": "; ".join(row.warnings),
        "outside": row.held is False,
        "picture": None if row.thumbnail is None else Panel.of(Image.fromarray(row.thumbnail), row.name, quality=60),
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return (dotted key, text) of nested values, leaving out what is absent."""
    pairs: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            for k, one in enumerate(value, start=1):
                pairs += _flat(one, f"{prefix}{key}.{k}.")
        elif value is not None and value not in ("", (), []):
            listed = value if isinstance(value, (list, tuple)) else (value,)
            text = ", ".join(f"{one:.6g}" if isinstance(one, float) else str(one) for one in listed)
            pairs.append((f"{prefix}{key}", text))
    return pairs
