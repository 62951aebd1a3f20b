"""Runs side by side: one row for each method, whose runs differ by their seed only, and a paired test of every two."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dotcount.errors import DataError
from dotcount.files import write_text
from dotcount.metrics import PairedComparison, bootstrap_mean, compare_errors
from dotcount.points import FloatArray
from dotcount.report.figures_paper import save_figure

COLUMNS = ("run", "seeds", "MAE", "95 % interval", "RMSE", "NAE", "mean error", "F", "MAE - first", "p")


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """What one run counted on the images.

    Attributes
    ----------
    name
        For tables and charts.
    images
        Names of the images.
    true, predicted
        (n,) counts.
    f
        F of the located points over 1 to 100 px, None where it was not measured.
    settings
        Everything that makes it this method: its configuration without the seed and the machine; None: unknown.
    seed
        Its training seed, if known.
    """

    name: str
    images: tuple[str, ...]
    true: FloatArray
    predicted: FloatArray
    f: float | None = None
    settings: dict[str, Any] | None = None
    seed: int | None = None

    @property
    def errors(self) -> FloatArray:
        """Return (n,) absolute errors."""
        return np.abs(self.predicted - self.true)


@dataclass(frozen=True, eq=False)
class Method:
    """Runs that differ by their seed only, scored as one."""

    name: str
    runs: tuple[ScoredRun, ...]
    interval: tuple[float, float]

    @property
    def errors(self) -> FloatArray:
        """Return (n,) absolute errors, means over the seeds."""
        return np.mean([run.errors for run in self.runs], axis=0)

    def figures(self) -> dict[str, tuple[float, float | None]]:
        """Return figure -> (mean over the seeds, their standard deviation or None for one seed)."""
        return {name: _spread([_figures(run)[name] for run in self.runs]) for name in _figures(self.runs[0])}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "figures": {k: {"mean": mean, "sd": sd} for k, (mean, sd) in self.figures().items() if np.isfinite(mean)},
            "mae_ci95": list(self.interval),
            "runs": [
                {"name": run.name, "seed": run.seed, **{k: v for k, v in _figures(run).items() if np.isfinite(v)}}
                for run in self.runs
            ],
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods on the same images.

    Attributes
    ----------
    methods
        In the order in which their first runs were given.
    pairs
        Every two methods by name, with the paired comparison of their errors.
    images
        Number of images.
    """

    methods: tuple[Method, ...]
    pairs: tuple[tuple[str, str, PairedComparison], ...]
    images: int

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of the table, as text, in the order of :data:`COLUMNS`."""
        first = self.methods[0].name
        against = {b: pair for a, b, pair in self.pairs if a == first}
        rows: list[tuple[str, ...]] = []
        for method in self.methods:
            figures, (low, high) = method.figures(), method.interval
            pair = against.get(method.name)
            difference = f"{-pair.difference:+.2f} [{-pair.interval[1]:+.2f}, {-pair.interval[0]:+.2f}]" if pair else ""
            rows.append(
                (
                    method.name,
                    str(len(method.runs)),
                    _shown(figures["mae"], 2),
                    f"{low:.2f} to {high:.2f}",
                    _shown(figures["rmse"], 2),
                    _shown(figures["nae"], 3),
                    _shown(figures["bias"], 2),
                    _shown(figures["f"], 3),
                    difference,
                    f"{pair.p_value:.2g}" if pair else "",
                )
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "images": self.images,
            "methods": [method.to_dict() for method in self.methods],
            "pairs": [{"a": a, "b": b, **pair.to_dict()} for a, b, pair in self.pairs],
        }

    def markdown(self) -> str:
        """Return the table, with how to read it."""
        lines = ["| " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows()]
        return "\n".join([*lines, "", self.note(), ""])

    def note(self) -> str:
        """Return what the columns mean, in one paragraph."""
        return (
            f"{self.images} images. With several seeds: mean ± standard deviation over them. The interval is a "
            "bootstrap over the images and says nothing about seeds. The difference to the first row has a paired "
            "bootstrap interval; p is from a sign-flip test of it, not corrected for the number of rows."
        )

    def save(self, out: Path) -> None:
        """Write ``comparison.json``, ``comparison.md`` and ``comparison.png`` into the folder ``out``."""
        write_text(out / "comparison.json", json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")
        write_text(out / "comparison.md", self.markdown())
        save_figure(out / "comparison.png", comparison_figure(self))


def compare_runs(runs: Sequence[ScoredRun], *, seed: int = 0) -> Comparison:
    """Group runs that differ by their seed only and compare the groups.

    Raises
    ------
    DataError
        If there is no run, or two were scored on different images or different dots.
    """
    if not runs:
        raise DataError("there is no run to compare; name one or more")
    first = runs[0]
    for run in runs[1:]:
        _require_same_images(first, run)
    grouped: list[list[ScoredRun]] = []
    for run in runs:
        home = next(
            (group for group in grouped if run.settings is not None and group[0].settings == run.settings), None
        )
        if home is None:
            grouped.append([run])
        else:
            home.append(run)
    methods = []
    for group in grouped:
        errors = np.mean([run.errors for run in group], axis=0)
        methods.append(Method(_group_name(group), tuple(group), bootstrap_mean(errors, seed=seed)))
    pairs = [(a.name, b.name, compare_errors(a.errors, b.errors, seed=seed)) for a, b in combinations(methods, 2)]
    return Comparison(tuple(methods), tuple(pairs), len(first.images))


def read_scores(folder: Path, name: str, settings: dict[str, Any] | None = None, seed: int | None = None) -> ScoredRun:
    """Return what ``dotcount evaluate`` wrote into ``folder``; images that could not be read are left out.

    Raises
    ------
    DataError
        If ``predictions.csv`` is missing or not what ``dotcount evaluate`` writes.
    """
    path = folder / "predictions.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["status"] == "ok"]
        names = tuple(row["image"] for row in rows)
        true, predicted = (np.array([float(row[key]) for row in rows]) for key in ("true", "count"))
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        place = metrics.get("localization") or {}
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise DataError(f"{folder} does not hold what `dotcount evaluate` writes ({error}); evaluate again") from error
    if not names:
        raise DataError(f"{path} holds no scored image; evaluate again")
    return ScoredRun(name, names, true, predicted, place.get("f"), settings, seed)


def comparison_figure(comparison: Comparison) -> Figure:
    """Return the MAE of every method: the mean with its interval over the images, and its seeds as rings."""
    methods = comparison.methods
    figure = Figure(figsize=(6.4, 1.1 + 0.42 * len(methods)), layout="constrained")
    axes = figure.subplots()
    for y, method in enumerate(methods):
        seeds = [float(run.errors.mean()) for run in method.runs]
        axes.plot(method.interval, (y, y), color="#0072b2", linewidth=2.2, alpha=0.5, solid_capstyle="round")
        if len(seeds) > 1:
            axes.plot(seeds, [y] * len(seeds), "o", color="none", markeredgecolor="#444444", markersize=5)
        axes.plot(np.mean(seeds), y, "D", color="#0072b2", markersize=6)
    axes.set_yticks(range(len(methods)), [method.name for method in methods])
    axes.set(xlabel=f"mean absolute error, {comparison.images} images (line: 95 % over images; rings: seeds)")
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(axis="x", linewidth=0.5, alpha=0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def _figures(run: ScoredRun) -> dict[str, float]:
    error = run.predicted - run.true
    some = run.true > 0
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
        "nae": float((np.abs(error[some]) / run.true[some]).mean()) if some.any() else float("nan"),
        "bias": float(error.mean()),
        "f": float("nan") if run.f is None else run.f,
    }


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def _shown(figure: tuple[float, float | None], digits: int) -> str:
    mean, sd = figure
    if not np.isfinite(mean):
        return ""
    return f"{mean:.{digits}f}" if sd is None else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _group_name(group: Sequence[ScoredRun]) -> str:
    """Return what the names of the runs have in common; without that, the first one's."""
    if len(group) == 1:
        return group[0].name
    letters = zip(*(run.name for run in group))
    common = "".join(same[0] for same in takewhile(lambda same: len(set(same)) == 1, letters)).rstrip("-_. /")
    for ending in ("seed", "s"):
        shorter = common.removesuffix(ending)
        if shorter != common and shorter.endswith(("-", "_", ".", "/")):
            common = shorter.rstrip("-_. /")
            break
    return common or group[0].name


def _require_same_images(first: ScoredRun, other: ScoredRun) -> None:
    remedy = "evaluate both on the same images"
    if set(first.images) != set(other.images):
        odd = sorted(set(first.images) ^ set(other.images))[0]
        raise DataError(f"{first.name} and {other.name} were scored on different images ({odd}); {remedy}")
    if first.images != other.images or not np.array_equal(first.true, other.true):
        raise DataError(f"{first.name} and {other.name} were scored in another order or with other dots; {remedy}")
