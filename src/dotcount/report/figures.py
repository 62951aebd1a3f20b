"""Charts as SVG text for the report.

Matplotlib draws them in stand-in colours that are replaced by CSS variables, so that one chart fits the light and the
dark page; text stays text in the page's own font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from dotcount.metrics import GreedyResult, by_count_quantile

INK, MUTED, GRID, ACCENT, SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line", ACCENT: "accent", SECOND: "second"}

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
}

_STROKES: dict[str, Any] = {"line": "-", "dash": (0, (4, 3)), "dots": (0, (2, 2))}
# Inches: as wide as a phone shows a chart at about its own size, so that its text can be read there.
_SQUARE, _FLAT = (4.0, 3.7), (4.0, 2.9)


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


class _Key:
    """What the marks of a chart mean, in HTML: its text wraps on a narrow page and is never cut."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def add(self, shape: str, colour: str, text: str) -> None:
        """Add a mark: a ``line``, ``dash``, ``dots``, ``mark``, ``diamond`` or ``bar`` in a stand-in colour."""
        style = f"color: var(--{_VARIABLES[colour]})"
        self.parts.append(f'<span><i class="{shape}" style="{style}"></i>{escape(text)}</span>')

    def line(self, draw: Any, place: float, colour: str, shape: str, text: str) -> None:
        """Draw a line across the axes with ``axhline`` or ``axvline`` and add it."""
        draw(place, color=colour, linewidth=1.2 if shape != "dots" else 1.0, linestyle=_STROKES[shape])
        self.add(shape, colour, text)


def _svg(figure: Figure, name: str, label: str, key: _Key | None = None) -> str:
    """Return the figure as an ``<svg>`` element that scales with the page, below its key.

    ``name`` keeps its ids apart from those of others.
    """
    buffer = io.StringIO()
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    assert box is not None, "matplotlib writes a viewBox"
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    rest = re.sub(r"<style.*?</style>", "", rest, flags=re.DOTALL)
    rest = re.sub(r'<g id="[\w.]+">', "<g>", rest)
    for colour, variable in _VARIABLES.items():
        rest = rest.replace(colour, f"var(--{variable})")
    start = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box.group(0)}'
    words = f'<p class="key">{"".join(key.parts)}</p>' if key is not None and key.parts else ""
    return f'{words}{start} role="img" aria-label="{label}">{rest}'


def scatter(
    true: npt.ArrayLike,
    predicted: npt.ArrayLike,
    intervals: Sequence[tuple[float, float] | None] | None = None,
    mean: float | None = None,
) -> str:
    """Return predicted against true counts, one mark an image.

    Parameters
    ----------
    true, predicted
        (n,) counts.
    intervals
        Drawn as bars.
    mean
        The rival's one answer, drawn as a line.
    """
    x, y = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    with rc_context(_STYLE):
        (figure, axes), key = _figure(*_SQUARE), _Key()
        known = [(i, pair) for i, pair in enumerate(intervals or []) if pair is not None]
        ends = np.array([end for _, pair in known for end in pair if np.isfinite(end)])
        if known:
            index = np.array([i for i, _ in known])
            low, high = np.array([pair for _, pair in known]).T
            reach = np.clip(np.stack([y[index] - low, high - y[index]]), 0, None)
            axes.errorbar(x[index], y[index], reach, fmt="none", ecolor=ACCENT, elinewidth=0.8, alpha=0.35)
        top = 1.05 * float(np.max(np.concatenate([x, y, ends]), initial=1))
        bottom = _floor(np.concatenate([x, y, ends]))
        if mean is not None and bottom < mean < top:
            key.line(axes.axhline, mean, MUTED, "dots", "always the mean")
        axes.plot([bottom, top], [bottom, top], color=SECOND, linewidth=1.2)
        key.add("line", SECOND, "perfect count")
        axes.scatter(x, y, s=_mark(len(x)), color=ACCENT, alpha=0.8, linewidths=0, clip_on=False, zorder=3)
        key.add("mark", ACCENT, "image" + (" with its interval" if known else ""))
        axes.set(xlim=(bottom, top), ylim=(bottom, top), aspect="equal", xlabel="true count", ylabel="predicted count")
        return _svg(figure, "scatter", "Predicted against true counts", key)


def _floor(values: npt.NDArray[np.float64]) -> float:
    """Start both axes at zero unless everything is far from it."""
    least, most = float(values.min()), float(values.max())
    return 0.9 * least if least > 0.5 * most else 0.0


def error_histogram(differences: npt.ArrayLike) -> str:
    """Return how often the count was off by how much; zero and the mean are marked."""
    error = np.asarray(differences, dtype=np.float64)
    with rc_context(_STYLE):
        (figure, axes), key = _figure(*_SQUARE), _Key()
        low, high = float(error.min(initial=-0.5)), float(error.max(initial=0.5))
        bins = int(np.clip(2 * np.sqrt(error.size), 8, 32))
        axes.hist(error, bins=np.linspace(low, high, bins + 1), color=ACCENT, alpha=0.8, rwidth=0.92)
        key.line(axes.axvline, 0, SECOND, "line", "perfect count")
        key.line(axes.axvline, float(error.mean()), INK, "dash", "mean error")
        axes.set(xlabel="predicted minus true count", ylabel="images")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="x", visible=False)
        return _svg(figure, "errors", "Histogram of count errors", key)


def bland_altman(true: npt.ArrayLike, predicted: npt.ArrayLike) -> str:
    """Return the error against the mean of both counts, with the mean error and limits of agreement.

    The limits are the mean error -+ 1.96 standard deviations (Bland & Altman 1986).
    """
    x, y = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    middle, error = (x + y) / 2, y - x
    with rc_context(_STYLE):
        (figure, axes), key = _figure(*_SQUARE), _Key()
        mean, spread = float(error.mean()), float(error.std(ddof=1)) if error.size > 1 else 0.0
        key.line(axes.axhline, 0, SECOND, "line", "perfect count")
        key.line(axes.axhline, mean, INK, "dash", "mean error")
        axes.axhline(mean - 1.96 * spread, color=MUTED, linewidth=1.0, linestyle=_STROKES["dots"])
        key.line(axes.axhline, mean + 1.96 * spread, MUTED, "dots", "limits of agreement")
        key.add("mark", ACCENT, "image")
        axes.scatter(middle, error, s=_mark(x.size), color=ACCENT, alpha=0.8, linewidths=0, zorder=3)
        axes.set(xlabel="mean of predicted and true count", ylabel="predicted minus true count")
        axes.set_xlim(_floor(middle), 1.05 * max(1.0, float(middle.max())))
        return _svg(figure, "agreement", "Bland-Altman plot of predicted and true counts", key)


def error_by_count(true: npt.ArrayLike, predicted: npt.ArrayLike) -> str:
    """Return the mean absolute and the mean error in groups of about equal size by true count."""
    x, error = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64) - np.asarray(true)
    parts = [(name, error[mask]) for name, mask in by_count_quantile(x, parts=6 if x.size >= 60 else 4).items()]
    with rc_context(_STYLE):
        (figure, axes), key = _figure(*_SQUARE), _Key()
        place = np.arange(len(parts))
        axes.bar(place, [np.abs(e).mean() for _, e in parts], 0.62, color=ACCENT, alpha=0.8)
        key.add("bar", ACCENT, "mean absolute error")
        axes.plot(place, [e.mean() for _, e in parts], "D", color=SECOND, markersize=6, zorder=3)
        key.add("diamond", SECOND, "mean error")
        axes.axhline(0, color=MUTED, linewidth=0.8)
        names = [name.split(" ", 1)[-1].replace("-", "–") for name, _ in parts]
        if max(map(len, names)) > 36 / len(names):  # side by side they would run into each other
            names = [name.replace("–", "–\n") for name in names]
        axes.set_xticks(place, names, fontsize=9)
        axes.set(xlabel="true count", ylabel="objects")
        axes.grid(axis="x", visible=False)
        return _svg(figure, "by-count", "Error by true count", key)


def error_by_familiarity(familiarity: npt.ArrayLike, error: npt.ArrayLike, bound: float) -> str:
    """Return the absolute error of each image against how familiar it is; ``bound`` is where warnings begin."""
    x, y = np.asarray(familiarity, dtype=np.float64), np.abs(np.asarray(error, dtype=np.float64))
    with rc_context(_STYLE):
        (figure, axes), key = _figure(*_SQUARE), _Key()
        axes.axvspan(0, bound, color=MUTED, alpha=0.15, linewidth=0)
        key.add("bar faint", MUTED, "unlike the training images")
        axes.scatter(x, y, s=_mark(x.size), color=ACCENT, alpha=0.8, linewidths=0, clip_on=False, zorder=3)
        key.add("mark", ACCENT, "image")
        axes.set(xlim=(0, 1), xlabel="familiarity", ylabel="absolute error of the count")
        axes.set_ylim(0, 1.05 * max(1.0, float(y.max(initial=0))))
        return _svg(figure, "by-familiarity", "Error of the count by familiarity", key)


def _mark(number: int) -> float:
    """Return the area of a mark, smaller where there are many."""
    return float(np.clip(1400 / max(number, 1), 9, 30))


def localization_curves(result: GreedyResult, radius: float | None = None) -> str:
    """Return precision and recall of the located points by the distance that counts as a hit; ``radius`` is marked."""
    with rc_context(_STYLE):
        (figure, axes), key = _figure(*_FLAT), _Key()
        axes.plot(result.thresholds, result.precision, color=ACCENT, linewidth=1.8)
        key.add("line", ACCENT, "precision")
        axes.plot(result.thresholds, result.recall, color=SECOND, linewidth=1.8, linestyle=_STROKES["dash"])
        key.add("dash", SECOND, "recall")
        if radius is not None and radius <= result.thresholds[-1]:
            key.line(axes.axvline, radius, MUTED, "dots", "an object’s radius")
        axes.set(xlabel="a point counts as a hit within (px)", ylabel="share", ylim=(0, 1.02), xlim=(0, None))
        return _svg(figure, "localization", "Precision and recall of located points by distance", key)


def training_curves(history: Sequence[Mapping[str, float]], chosen: float | None = None) -> list[tuple[str, str]]:
    """Return (caption, SVG) of the loss and the validation error by epoch.

    Parameters
    ----------
    history
        Rows of ``metrics.csv`` as numbers; values that are absent or NaN are left out.
    chosen
        Epoch whose weights were kept; marked.
    """
    charts = []
    with rc_context(_STYLE):
        for column, caption, scale in (
            ("train_loss", "Training loss", "log"),
            ("val_mae", "Mean absolute error on validation images", "linear"),
        ):
            pairs = np.array([(row["epoch"], row.get(column, np.nan)) for row in history], dtype=np.float64)
            pairs = pairs[np.isfinite(pairs).all(axis=1)] if pairs.size else pairs
            if len(pairs) < 2:
                continue
            (figure, axes), key = _figure(*_FLAT), _Key()
            marker = "o" if len(pairs) <= 30 else ""
            axes.plot(*pairs.T, color=ACCENT, linewidth=1.6, marker=marker, markersize=3.5)
            if column == "val_mae" and chosen is not None:
                key.line(axes.axvline, chosen, SECOND, "dash", "weights kept")
            if scale == "log" and (pairs[:, 1] > 0).all() and pairs[:, 1].max() > 5 * pairs[:, 1].min():
                axes.set_yscale("log")
            else:
                axes.set_ylim(0, None)
            axes.set(xlabel="epoch", ylabel=caption.split(" on ")[0].lower())
            charts.append((caption, _svg(figure, column, caption, key)))
    return charts


def count_histogram(counts: npt.ArrayLike) -> str:
    """Return how many images hold how many dots."""
    number = np.asarray(counts, dtype=np.float64)
    with rc_context(_STYLE):
        (figure, axes), key = _figure(*_FLAT), _Key()
        width = max(1, -(-(int(number.max(initial=0)) + 1) // 24))
        edges = np.arange(0, number.max(initial=0) + width + 1, width) - 0.5
        axes.hist(number, bins=edges, color=ACCENT, alpha=0.8, rwidth=0.92)
        axes.set(xlabel="dots in an image", ylabel="images")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="x", visible=False)
        return _svg(figure, "counts", "Images by number of dots", key)
