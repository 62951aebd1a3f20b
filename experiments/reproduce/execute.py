"""One experiment from training to its record."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from dotcount import config as configuration
from dotcount.data import open_collection
from dotcount.data.synthetic import write_dataset
from dotcount.evaluation import evaluate
from dotcount.metadata.reading import load_metadata
from dotcount.prediction import load
from dotcount.training import TrainingError, holds_run, train
from dotcount.training.resolve import make_plan
from experiments.reproduce.suite import DATA, DRAWN, Experiment, merge

PACKAGES = ("dotcount", "torch", "torchvision", "timm", "lightning", "numpy", "pillow")
KEPT_DISTANCES = (1, 2, 4, 6, 8, 10, 12, 16, 24, 32, 50, 100)
"""Distances, px, at which precision and recall are recorded."""
LOG = (
    *("epoch", "train_loss", "val_mae", "val_rmse", "val_bias", "loss_n_evaluations", "loss_unconverged"),
    *("grad_norm", "grad_clipped"),
)


def perform(experiment: Experiment, data: str, runs: Path, out: Path, threads: int) -> dict[str, Any]:
    """Train (resuming what is there), test, and return the record; with ``error`` if it may stop and does.

    Parameters
    ----------
    experiment
        What to run.
    data
        Folder with the data sets.
    runs
        Folder of all runs, and of the data that is drawn.
    out
        The run's folder.
    threads
        Threads of torch: recorded, because sums may round differently with another number.
    """
    torch.set_num_threads(threads)
    place = DATA[experiment.data].format(data=data, out=runs)
    if experiment.data in DRAWN and not Path(place).exists():
        write_dataset(Path(place), **DRAWN[experiment.data])
    tree = merge(experiment.settings, {"data": {"path": place}})
    config = configuration.from_dict(tree)
    resumed = (out / "last.ckpt").is_file()
    commit, began, started = _commit(), time.process_time(), time.monotonic()
    result, error = None, ""
    try:
        result = train(config, out, resume=holds_run(out))
    except TrainingError as caught:
        if not experiment.may_stop:
            raise
        error = str(caught)
    cpu = time.process_time() - began
    plan = make_plan(configuration.load(out / "config.yaml"))
    resolved = configuration.to_dict(plan.config)
    resolved["data"]["path"] = DATA[experiment.data].format(data="DATA", out="RUNS")
    rows = _rows(out / "metrics.csv")
    record: dict[str, Any] = {
        "name": experiment.name,
        "seed": config.training.seed,
        "commit": commit,
        "machine": machine(),
        "threads": threads,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "train": {
            "steps": len(rows) * (resolved["training"]["steps_per_epoch"] or 0),
            "wall_seconds": round(result.seconds if result else time.monotonic() - started, 1),
            "cpu_seconds": None if resumed else round(cpu, 1),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        },
        "config": resolved,
        "log": [{key: row[key] for key in LOG if row.get(key) not in (None, "")} for row in rows],
    }
    if result is None:
        return record | {"error": error}
    metadata = load_metadata(out / "model")
    assert metadata.validation is not None, "training measures on validation images"
    record["validation"] = {
        "best": {key: result.best[key] for key in ("epoch", "val_mae", "val_rmse", "val_bias")},
        "leave_one_out": metadata.validation.counting.to_dict(),
        "mean_count": plan.validation.n_dots / len(plan.validation),
        "count_scale": metadata.count_scale,
        "threshold": metadata.peaks.threshold,
        "trials": [dataclasses.asdict(trial) for trial in metadata.validation.trials],
    }
    if experiment.test:
        record["test"] = test_scores(out, place)
    return record


def test_scores(model: Path, place: str) -> dict[str, Any]:
    """Return the scores on the test images, with the counts of every image for paired tests."""
    collection = open_collection(place)
    started = time.process_time()
    result = evaluate(load(model, device="cpu"), collection, "test", examples=0)
    metrics = result.metrics.to_dict()
    place_curve = metrics["localization"]
    at = [place_curve["thresholds"].index(float(distance)) for distance in KEPT_DISTANCES]
    curve = {key: [round(place_curve[key][i], 6) for i in at] for key in ("precision", "recall") if key in place_curve}
    return {
        "counting": metrics["counting"],
        "localization": {
            **{key: place_curve[key] for key in ("f", "ap", "ar")},
            "distances": list(KEPT_DISTANCES),
            **curve,
            "optimal": place_curve["optimal"],
        },
        "game": metrics["game"],
        "interval": metrics.get("interval"),
        "cpu_seconds": round(time.process_time() - started, 1),
        "images": [row.name for row in result.scored],
        "true": [int(c) for c in result.true],
        "predicted": [round(float(c), 3) for c in result.predicted],
    }


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.csv with plain numbers; none where not one epoch was finished."""
    if not path.exists():
        return []
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    return [{key: float(f"{float(v):.6g}") for key, v in zip(lines[0], row) if v} for row in lines[1:]]


def _commit() -> str:
    """Return the commit of the sources that run, marked where they differ from it."""
    words = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run([*words, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run([*words, "status", "--porcelain", "../../src"], capture_output=True, text=True, check=True)
    return head + ("+changes" if changed.stdout.strip() else "")


def write(record: dict[str, Any], path: Path) -> None:
    """Write a record by way of a temporary file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(_compact(record) + "\n", encoding="utf-8")
    temporary.replace(path)


def _compact(record: dict[str, Any]) -> str:
    """Return indented JSON with the innermost lists and rows on one line each."""
    lines = []
    for key, value in record.items():
        if key == "log":
            rows = ",\n    ".join(json.dumps(row) for row in value)
            text = f"[\n    {rows}\n  ]"
        elif isinstance(value, dict):
            parts = ",\n".join(f"    {json.dumps(name)}: {json.dumps(part)}" for name, part in value.items())
            text = f"{{\n{parts}\n  }}"
        else:
            text = json.dumps(value)
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}"
