"""The comparison of the losses on crowds under a clip that bites every one alike, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dotcount.metrics import compare_errors
from experiments.reproduce.page import LOSSES, SURE, absolute_errors, f_at, norm, read, spread, step_cost, table
from experiments.reproduce.suite import losses_compared

Record = dict[str, Any]
DISTANCES = (4.0, 8.0, 12.0)
"""Distances, px, within which a point is on its dot."""


def scaled_mae(record: Record) -> float:
    """Return the test MAE after the scale that makes the sum of the counts right on the validation images."""
    validation, test = record["validation"], record["test"]
    scale = validation["mean_count"] / (validation["mean_count"] + validation["best"]["val_bias"])
    return float(np.abs(scale * np.array(test["predicted"]) - np.array(test["true"])).mean())


def clipped(records: Sequence[Record]) -> str:
    """Return the share of steps whose gradient was shortened, mean over epochs and seeds; "" where not recorded."""
    shares = [row["grad_clipped"] for record in records for row in record["log"] if "grad_clipped" in row]
    return f"{100 * np.mean(shares):.0f} %" if shares else ""


def reference(groups: dict[str, list[Record]]) -> str | None:
    """Return the form of UOT with the lowest validation MAE, mean over the seeds."""
    errors = {
        loss: np.mean([record["validation"]["best"]["val_mae"] for record in records])
        for loss, records in groups.items()
        if records and loss.startswith("uot")
    }
    return min(errors, key=lambda loss: float(errors[loss])) if errors else None


def _row(name: str, records: Sequence[Record], against: str) -> list[str]:
    tests = [record["test"] for record in records]
    config = records[0]["config"]
    options = config["loss"]["options"]
    scale = {
        k: v for k, v in options.items() if k in ("sigma", "reg", "epsilon", "length_scale", "background_ratio") and v
    }
    share = [100 * t["counting"]["bias"] / np.mean(t["true"]) for t in tests]
    return [
        name,
        str(len(records)),
        spread([t["counting"]["mae"] for t in tests]),
        spread([t["counting"]["rmse"] for t in tests]),
        spread(share, 1, signed=True) + " %",
        spread([scaled_mae(record) for record in records]),
        against,
        *(spread([f_at(record, distance) for record in records], 3) for distance in DISTANCES),
        step_cost(records),
        norm(records),
        clipped(records),
        f"{config['optimizer']['learning_rate']:g}, " + ", ".join(f"{k} {v:g}" for k, v in scale.items()),
    ]


def comparison(data: str = "shb") -> str:
    """Return the table of the losses with paired tests against the form of UOT that is best on validation images."""
    groups = {loss: read(f"table1_fair/{data}/{loss}-*.json") for loss in losses_compared(fair=True)}
    first = reference(groups)
    if first is None:
        return ""
    rows, worse, better = [], [], []
    for loss, records in groups.items():
        if not records:
            continue
        against = ""
        if loss != first:
            pair = compare_errors(absolute_errors(records), absolute_errors(groups[first]))
            low, high = pair.interval
            against = f"{pair.difference:+.2f} [{low:+.2f}, {high:+.2f}], p = {pair.p_value:.3g}"
            if pair.p_value < SURE:
                (worse if pair.difference > 0 else better).append(LOSSES[loss])
        rows.append(_row(LOSSES[loss], records, against))
    head = ["loss", "seeds", "MAE", "RMSE", "bias", "MAE, scaled", f"MAE − MAE of {LOSSES[first]}"]
    head += [
        *(f"F, {distance:g} px" for distance in DISTANCES),
        "CPU ms a step",
        "norm before the clip",
        "steps clipped",
    ]
    said = f"Beyond chance (p < {SURE:g}) worse than {LOSSES[first]}: {', '.join(worse) or 'none'}; "
    said += f"better: {', '.join(better) or 'none'}."
    return f"{table([*head, 'rate, scale'], rows)}\n\n{said}\n"


def lengths(data: str = "shb") -> str:
    """Return the table of UOT with every dot paid, by its length scale; seed 0."""
    records = read(f"table1_fair/{data}/uot_paid-0.json") + read(f"lengths/{data}/*-0.json")
    if len(records) < 2:
        return ""
    made = [(record["config"]["loss"]["options"], record) for record in records]
    made.sort(key=lambda one: (one[0].get("neighbour_scale") is not None, float(one[0]["length_scale"])))
    rows = []
    for options, record in made:
        factor = options.get("neighbour_scale")
        length = f"{factor:g} x neighbours' distance" if factor else f"{options['length_scale']:g} px"
        rows.append(_row(length, [record], "")[:6] + _row(length, [record], "")[7:])
    head = ["length scale", "seeds", "MAE", "RMSE", "bias", "MAE, scaled"]
    head += [
        *(f"F, {distance:g} px" for distance in DISTANCES),
        "CPU ms a step",
        "norm before the clip",
        "steps clipped",
    ]
    return table([*head, "rate, scale"], rows)
