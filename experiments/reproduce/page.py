"""Tables and plots of docs/results/reproduction.md from the committed records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dotcount.metrics import compare_errors
from experiments.reproduce.suite import DATA, RESULTS, SCALES, losses_compared

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "results" / "reproduction.md"
IMAGES = ROOT / "docs" / "images"
TITLES = {
    "shb": "ShanghaiTech B",
    "vgg_cells": "VGG cells, 50 images to train",
    "trees": "urban trees",
    "adipocyte": "adipocytes, 50 images to train",
    "cells": "cells drawn by dotcount",
}
LOSSES = {
    "gaussian_l2": "L2",
    "bayesian": "Bayesian",
    "dm_count": "DM-Count",
    "uot": "UOT",
    "uot_dots": "UOT, dots x 10",
    "uot_paid": "UOT, dots paid in full",
}
SURE = 0.05
"""Below this p-value a difference is called one."""
PICTURE = "![Test MAE of the losses and F of located points by distance](../images/reproduction.png)"
Record = dict[str, Any]


def read(pattern: str) -> list[Record]:
    """Return the records whose file matches, in order of name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob(pattern))]


def seeds_of(pattern: str) -> dict[str, list[Record]]:
    """Return the records whose file matches by the last part of their name, without the seed."""
    groups: dict[str, list[Record]] = {}
    for record in read(pattern):
        groups.setdefault(record["name"].split("/")[-1].rpartition("-")[0], []).append(record)
    return groups


def spread(values: Sequence[float], digits: int = 2, signed: bool = False) -> str:
    """Return "mean ± standard deviation", or the one value."""
    sign = "+" if signed else ""
    text = f"{np.mean(values):{sign}.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {np.std(values, ddof=1):.{digits}f}"


def f_at(record: Record, distance: float = 12.0) -> float:
    """Return F of the paper's greedy matching at one distance, px."""
    place = record["test"]["localization"]
    k = place["distances"].index(int(distance))
    precision, recall = place["precision"][k], place["recall"][k]
    return float(2 * precision * recall / max(precision + recall, 1e-12))


def absolute_errors(records: Sequence[Record]) -> np.ndarray:
    """Return (n,) absolute count errors per test image, means over the seeds."""
    tests = [record["test"] for record in records]
    assert all(test["images"] == tests[0]["images"] for test in tests), "seeds are tested on the same images"
    return np.mean([np.abs(np.subtract(test["predicted"], test["true"])) for test in tests], axis=0)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def best() -> str:
    """Return the table of the published counters."""
    rows = []
    for data in DATA:
        records = read(f"best/{data}-*.json")
        if not records:
            continue
        tests = [record["test"] for record in records]
        validation = [record["validation"] for record in records]
        share = [100 * v["leave_one_out"]["bias"] / v["mean_count"] for v in validation]
        low, high = tests[0]["counting"]["mae_ci95"]
        interval = f" ({low:.2f}–{high:.2f})" if len(tests) == 1 else f", {len(tests)} runs"
        # A run that was stopped and resumed has no CPU time of its own; its wall time is no less with one thread.
        minutes = [record["train"]["cpu_seconds"] or record["train"]["wall_seconds"] for record in records]
        rows.append(
            [
                TITLES[data],
                spread([t["counting"]["mae"] for t in tests]) + interval,
                spread([t["counting"]["rmse"] for t in tests]),
                spread([t["counting"]["bias"] for t in tests], signed=True),
                f"{np.mean([np.mean(t['true']) for t in tests]):.0f}",
                spread(share, 1, signed=True) + " %",
                spread([f_at(r) for r in records], 3),
                f"{100 * np.mean([t['interval']['coverage'] for t in tests]):.0f} %",
                f"{np.mean(minutes) / 60:.0f}",
                f"{records[0]['train']['steps']:,}",
                f"{pixels(records[0]) / 1e9:.1f}",
            ]
        )
    head = ["data", "test MAE", "RMSE", "bias", "mean count", "bias on validation", "F, 12 px", "held by interval"]
    return table([*head, "CPU min", "steps", "Gpx seen"], rows)


def pixels(record: Record) -> float:
    """Return the pixels that passed through the network in training."""
    training = record["config"]["training"]
    return record["train"]["steps"] * training["batch_size"] * training["crop"] ** 2


def norm(records: Sequence[Record]) -> str:
    """Return the median over epochs of the gradient's norm before the clip, mean over the seeds."""
    medians = [np.median([row["grad_norm"] for row in r["log"] if "grad_norm" in row]) for r in records]
    return f"{np.mean(medians):,.3g}" if np.mean(medians) < 1000 else f"{np.mean(medians):,.0f}"


def step_cost(records: Sequence[Record]) -> str:
    """Return the mean CPU time of a training step, ms, on the machine of the first seed; "" if all were resumed."""
    trained = [record["train"] for record in records if record["machine"] == records[0]["machine"]]
    cost = [1e3 * one["cpu_seconds"] / one["steps"] for one in trained if one["cpu_seconds"]]
    return f"{np.mean(cost):.0f}" if cost else ""


def table1(data: str) -> str:
    """Return Table 1 (counts) and 5 (places) on one data set, with paired tests against ``uot``."""
    groups = {loss: read(f"table1/{data}/{loss}-*.json") for loss in losses_compared()}
    if not any(groups.values()):
        return ""
    rows, sure = [], []
    for loss, records in groups.items():
        if not records:
            continue
        tests = [record["test"] for record in records]
        against = ""
        if loss != "uot" and groups["uot"]:
            pair = compare_errors(absolute_errors(records), absolute_errors(groups["uot"]))
            low, high = pair.interval
            against = f"{pair.difference:+.2f} [{low:+.2f}, {high:+.2f}], p = {pair.p_value:.3g}"
            if pair.p_value < SURE:
                sure.append(f"{LOSSES[loss]} ({'higher' if pair.difference > 0 else 'lower'})")
        config = records[0]["config"]  # that of the run: choosing may have gone on since
        rate, options = config["optimizer"]["learning_rate"], config["loss"]["options"]
        tried = dict.fromkeys(key for pair in SCALES[loss].values() for scale in pair for key in scale)
        places = [test["localization"] for test in tests]
        rows.append(
            [
                LOSSES[loss],
                str(len(records)),
                spread([t["counting"]["mae"] for t in tests]),
                spread([t["counting"]["rmse"] for t in tests]),
                spread([t["counting"]["bias"] for t in tests], signed=True),
                against,
                spread([p["f"] for p in places], 3),
                spread([p["ap"] for p in places], 3),
                spread([p["ar"] for p in places], 3),
                spread([f_at(r) for r in records], 3),
                step_cost(records),
                norm(records),
                f"{rate:g}, " + ", ".join(f"{k} {options[k]:g}" for k in tried if isinstance(options.get(k), float)),
            ]
        )
    head = ["loss", "seeds", "MAE", "RMSE", "bias", "MAE − MAE of UOT", "F", "AP", "AR", "F, 12 px"]
    mae = {loss: [r["test"]["counting"]["mae"] for r in records] for loss, records in groups.items() if records}
    order = sorted(mae, key=lambda loss: -np.mean(mae[loss]))
    said = " > ".join(LOSSES[loss] for loss in order)
    verdict = f"Order of the mean errors here: {said}; in the paper: L2 > Bayesian > UOT.\n"
    verdict += f"Different from UOT beyond chance (p < {SURE:g}): {', '.join(sure) or 'none'}."
    head += ["CPU ms a step", "norm before the clip", "rate, scale"]
    return f"### {TITLES[data]}\n\n{table(head, rows)}\n\n{verdict}\n"


def study(groups: dict[str, list[Record]], head: str) -> str:
    """Return a table with a row for each group of runs, with what a step costs."""
    if not groups:
        return ""
    rows = []
    for name, records in groups.items():
        tests = [record["test"] for record in records]
        evaluations = [np.mean([row["loss_n_evaluations"] for row in r["log"]]) for r in records]
        unconverged = [np.mean([row["loss_unconverged"] for row in r["log"]]) for r in records]
        rows.append(
            [
                name,
                str(len(records)),
                spread([t["counting"]["mae"] for t in tests]),
                spread([t["counting"]["bias"] for t in tests], signed=True),
                spread([t["localization"]["f"] for t in tests], 3),
                f"{np.mean(evaluations):.1f}",
                f"{np.mean(unconverged):.3f}",
                step_cost(records),
            ]
        )
    columns = [head, "seeds", "MAE", "bias", "F", "evaluations a solve", "unconverged a batch", "CPU ms a step"]
    return table(columns, rows)


def epsilon() -> str:
    """Return the table over eps, from small to large; 0.01 is the row ``l2-kl`` of Table 6."""
    groups = seeds_of("epsilon/vgg_cells/*.json")
    if groups:
        groups["0.01"] = read("table6/vgg_cells/l2-kl-*.json")
    return study(dict(sorted(groups.items(), key=lambda item: float(item[0]))), "eps")


def bias(data: str, group: str = "bias", first: str = "what is changed") -> str:
    """Return what each change does to the signed error on validation images, before and after the count scale."""
    groups = seeds_of(f"{group}/{data}/*.json")
    rows = []
    for name, records in groups.items():
        validation = [record["validation"] for record in records]
        means = [v["mean_count"] for v in validation]
        scaled = [v["leave_one_out"] for v in validation]
        share = [100 * v["best"]["val_bias"] / mean for v, mean in zip(validation, means)]
        scaled_share = [100 * v["bias"] / mean for v, mean in zip(scaled, means)]
        evaluations = [np.mean([row["loss_n_evaluations"] for row in record["log"]]) for record in records]
        rows.append(
            [
                name,
                str(len(records)),
                spread([v["best"]["val_mae"] for v in validation]),
                spread(share, 1, signed=True) + " %",
                spread([v["count_scale"] for v in validation], 3),
                spread([v["mae"] for v in scaled]),
                spread(scaled_share, 1, signed=True) + " %",
                f"{np.mean(evaluations):.1f}",
                step_cost(records),
            ]
        )
    if not rows:
        return ""
    head = [first, "seeds", "MAE", "bias", "scale", "MAE, scaled", "bias, scaled"]
    return f"### {TITLES[data]}\n\n{table([*head, 'evaluations a solve', 'CPU ms a step'], rows)}\n"


def plot() -> bool:
    """Draw test MAE by loss, and F by distance; false where nothing of it has run."""
    sets = [data for data in DATA if any(RESULTS.glob(f"table1/{data}/*.json"))]
    if not sets:
        return False
    figure = Figure(figsize=(4.2 * len(sets), 6.4), layout="constrained")
    axes = figure.subplots(2, len(sets), squeeze=False)
    for column, data in enumerate(sets):
        top, bottom = axes[0][column], axes[1][column]
        for k, loss in enumerate(losses_compared()):
            records = read(f"table1/{data}/{loss}-*.json")
            if not records:
                continue
            errors = [record["test"]["counting"]["mae"] for record in records]
            (bar,) = top.bar(k, np.mean(errors), width=0.6, alpha=0.6)
            top.plot([k] * len(errors), errors, "k.", markersize=5)
            places = [record["test"]["localization"] for record in records]
            precision, recall = (np.mean([p[key] for p in places], axis=0) for key in ("precision", "recall"))
            f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
            bottom.plot(
                places[0]["distances"], f, "o-", markersize=3, color=bar.get_facecolor()[:3], label=LOSSES[loss]
            )
        names = [LOSSES[loss].replace(", ", ",\n") for loss in losses_compared()]
        top.set_xticks(range(len(names)), names, fontsize=8)
        top.set(title=TITLES[data], ylabel="test MAE")
        bottom.set(xscale="log", xlabel="distance, px", ylabel="F of the located points")
        bottom.legend(fontsize=8)
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / "reproduction.png", dpi=100)
    return True


def write_page() -> None:
    """Fill the marked parts of the page."""
    from experiments.reproduce import fair

    drawn = plot()
    tables = "\n".join(filter(None, (table1(data) for data in DATA)))
    parts = {
        "best": best(),
        "table1": tables + (f"\n\n{PICTURE}" if drawn else ""),
        "fair": fair.comparison(),
        "lengths": fair.lengths(),
        "table6": study(seeds_of("table6/*/*.json"), "cost, penalty"),
        "epsilon": epsilon(),
        "bias": "\n".join(filter(None, map(bias, DATA))),
        "sampling": bias("shb", "sampling", "augment.crowded"),
    }
    text = PAGE.read_text(encoding="utf-8")
    for name, content in parts.items():
        before, begin, rest = text.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        if begin and end:
            text = f"{before}{begin}\n\n{content or 'Not run yet.'}\n\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")
