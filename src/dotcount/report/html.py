"""The report: one HTML file without outside references, with numbers, charts, pictures and a table of all images."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from dotcount.data.images import read_image
from dotcount.evaluation import Evaluation, Example, Row
from dotcount.files import write_text
from dotcount.metadata import ModelMetadata
from dotcount.report import figures
from dotcount.report.overlay import View, draw_matches, heat_layer, match_points

PANEL_SIDE = 520  # px of the longer side; three stand side by side on a wide screen


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


@dataclass(frozen=True)
class Picture:
    """Three panels of one image as data URIs, with their captions."""

    name: str
    caption: str
    panels: Sequence[tuple[str, str]]


def write_report(path: Path, report: Report) -> None:
    """Write the report to ``path`` in one step."""
    write_text(path, render(report))


def render(report: Report) -> str:
    """Return the report as HTML text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dotcount.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    evaluation = report.evaluation
    parts: dict[str, Any] = {}
    if evaluation is not None:
        parts = {
            "headlines": headlines(evaluation),
            "sentence": sentence(evaluation),
            "charts": _charts(evaluation),
            "localization": figures.localization_curves(evaluation.localization),
            "optimal": evaluation.metrics["localization"]["optimal"],
            "subsets": [(name, s) for name, s in evaluation.metrics["subsets"].items() if s.get("mae") is not None],
            "worst": [picture(example) for example in evaluation.worst],
            "best": [picture(example) for example in evaluation.best],
            "rows": [_table_row(row) for row in evaluation.rows],
            "metrics": evaluation.metrics,
        }
    metadata = report.metadata
    told = metadata.to_dict() if metadata is not None else {}
    facts: dict[str, Any] = {key: told.pop(key) for key in ("training", "validation") if key in told}
    checkpoint = metadata.validation.checkpoint if metadata is not None and metadata.validation is not None else None
    return environment.get_template("report.html.j2").render(
        report=report,
        training=figures.training_curves(report.history, checkpoint.epoch if checkpoint is not None else None),
        settings=_flat(report.config),
        model=_flat(told),
        trained_on=_flat(facts),
        **parts,
    )


def number(value: object, digits: int = 1) -> str:
    """Return a number for people: thousands grouped, ``digits`` decimals, a dash for what is absent."""
    if value is None or isinstance(value, jinja2.Undefined):
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    text = f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}"
    return text.replace("-", "−")


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def headlines(evaluation: Evaluation) -> list[Headline]:
    """Return the figures for the top of the page."""
    counting, place = evaluation.metrics["counting"], evaluation.metrics["localization"]
    low, high = counting["mae_ci95"]
    mean = float(evaluation.true.mean())
    found = [
        Headline(number(counting["mae"]), "mean absolute error", f"95 % interval {number(low)} to {number(high)}"),
        Headline(number(counting["rmse"]), "root mean squared error", "weighs large misses; papers print it as “MSE”"),
        Headline(_signed(counting["bias"]), "mean error", "below zero: too few counted"),
    ]
    if mean > 0:
        share = Headline(
            f"{100 * counting['mae'] / mean:.1f} %", "error relative to the mean count", f"mean {mean:,.1f}"
        )
        found.insert(1, share)
    detail = f"precision {place['ap']:.2f}, recall {place['ar']:.2f}, mean over 1 to 100 px"
    found.append(Headline(f"{place['f']:.2f}", "F of located points", detail))
    interval = evaluation.metrics.get("interval")
    if interval:
        detail = f"promised {interval['level']:.0%}, on {interval['n']} images"
        found.append(Headline(f"{interval['coverage']:.0%}", "of true counts in their interval", detail))
    return found


def sentence(evaluation: Evaluation) -> str:
    """Return the result in one or two sentences."""
    counting = evaluation.metrics["counting"]
    true = evaluation.true
    images = "On the one image" if len(true) == 1 else f"On {len(true):,} images"
    text = (
        f"{images} with {true.min():,.0f} to {true.max():,.0f} annotated objects, the predicted count is off by "
        f"{counting['mae']:.1f} on average."
    )
    failed = evaluation.metrics["failed"]
    if failed:
        text += f" {failed:,} more could not be read and take no part in the scores; the table names them."
    return text


def _charts(evaluation: Evaluation) -> list[tuple[str, str]]:
    true, predicted = evaluation.true, evaluation.predicted
    bars = [row.interval for row in evaluation.scored]
    caption = "Predicted against true count" + (", with prediction intervals" if any(bars) else "")
    return [
        (caption, figures.scatter(true, predicted, bars)),
        ("Error of the count", figures.error_histogram(predicted - true)),
    ]


def picture(example: Example) -> Picture:
    """Return image, density, and dots against located points of one image."""
    pixels, prediction = read_image(example.record.image), example.prediction
    view = View.fit(pixels, PANEL_SIDE)
    matches = match_points(prediction.points, example.points.xy, max(prediction.stride))
    found, missed, extra = len(matches.found), len(matches.missed), len(matches.extra)
    interval = ""
    if prediction.interval is not None:
        interval = f" (interval {number(prediction.interval[0])} to {number(prediction.interval[1])})"
    return Picture(
        name=example.record.name,
        caption=f"{len(example.points):,} annotated, {number(prediction.count)} predicted{interval}, "
        f"error {_signed(example.difference)}",
        panels=[
            (_data_uri(view.image), f"image, {prediction.width} × {prediction.height} px"),
            (_data_uri(heat_layer(view, prediction)), f"density, sum {number(prediction.count)}"),
            (
                _data_uri(draw_matches(view, matches)),
                f"{found} found, {missed} missed, {extra} extra, within {matches.radius:.0f} px",
            ),
        ],
    )


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=84, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


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
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return (dotted key, text) of nested values, leaving out what is absent."""
    pairs: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        elif value is not None and value != "":
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            pairs.append((f"{prefix}{key}", f"{text:.6g}" if isinstance(text, float) else str(text)))
    return pairs
