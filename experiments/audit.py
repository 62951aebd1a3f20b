"""How many faults an audit finds: 5 % of the dots removed, 5 % added, 5 % moved by 15 px, by two cross-fitted models.

    nice -n 10 python -m experiments.audit [vgg_cells trees shanghaitech_b] [--data ../shared/data] [--work FOLDER]

The models are trained on the faulty dots. Everything lies in FOLDER (build/audit); the same command goes on where it
was stopped. Writes experiments/results/audit.json, a set at a time.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import dotcount
from benchmarks.machine import machine
from dotcount import config, recipes
from dotcount.audit import audit, deal, record_folds
from dotcount.audit.judging import spacing
from dotcount.data import Collection, convert, open_collection
from dotcount.evaluation.reading import SetCounter
from dotcount.inference import Prediction
from dotcount.training import holds_run, train
from experiments.audit_faults import Fault, corrupt
from experiments.audit_scores import count_residuals, dots_without_object, nearest_peak, places_without_dot, rankings

RESULTS = Path(__file__).parent / "results" / "audit.json"
FOLDS, SEED = 2, 0
LISTED = 0.5  # the score from which on `dotcount audit` lists suspicions
LEAST = 0.3  # that for the curves


class Setup(NamedTuple):
    """A data set, and how the models for it are trained."""

    path: str
    split: str | None
    images: int | None
    recipe: str
    settings: tuple[str, ...]


SETS = {
    "vgg_cells": Setup("vgg_cells", None, None, "best/vgg_cells", ("training.epochs=6", "training.ema_decay=0.99")),
    "trees": Setup(
        "urban_trees_socal", "train", None, "best/urban_trees_socal", ("training.epochs=10", "training.ema_decay=0.99")
    ),
    "shanghaitech_b": Setup(
        "ShanghaiTech/part_B", "train", 100, "best/shanghaitech_b", ("training.epochs=10", "training.ema_decay=0.99")
    ),
}


def faulty(name: str, data: Path, work: Path) -> tuple[Collection, Collection, list[Fault]]:
    """Return the set as it is, with faults (written once), and the faults."""
    setup = SETS[name]
    clean = open_collection(data / setup.path)
    clean = clean.split(setup.split) if setup.split else clean
    clean = clean.annotated().where(clean.annotated().records[: setup.images])
    wrong, faults = corrupt(clean, SEED)
    if not (work / "data").exists():
        convert(wrong, work / "data", "csv", images="link")
        text = json.dumps([dataclasses.asdict(fault) for fault in faults])
        (work / "faults.json").write_text(text, encoding="utf-8")
    return clean, open_collection(work / "data"), faults


def cross_fitted(name: str, collection: Collection, folder: Path) -> dict[str, Prediction]:
    """Return the prediction of every image by the model that did not learn it."""
    setup = SETS[name]
    folds = deal(collection, FOLDS, seed=SEED)
    record_folds(folds, folder)
    predictions: dict[str, Prediction] = {}
    for fold in folds:
        place = folder / str(fold.number)
        asked = config.load(recipes.find(setup.recipe), setup.settings)
        run = place / "run"
        result = train(fold.settings(asked, fold.write(place / "data")), run, resume=holds_run(run))
        print(f"{name}, fold {fold.number}: validation MAE {result.best['val_mae']:.2f}", flush=True)
        counter = SetCounter(dotcount.load(run), fold.judged)
        for record in fold.judged.records:
            found = counter.count(record).prediction
            assert found is not None
            predictions[record.name] = found
    return predictions


def measured(collection: Collection, clean: Collection, faults: list[Fault], predictions: dict[str, Prediction]) -> Any:
    """Return the scores of the audit and of the baselines."""
    names = {record.image.resolve(): record.name for record in collection.records}
    renamed = {record.name: names[record.image.resolve()] for record in clean.records}
    faults = [dataclasses.replace(fault, image=renamed[fault.image]) for fault in faults]
    truth = {renamed[r.name]: r.points.xy for r in clean.records if r.points is not None}
    dots = {r.name: r.points.xy for r in collection.records if r.points is not None}
    radius = {name: max(4.0, (spacing(xy) or 8.0) / 2) for name, xy in truth.items()}
    found = audit(((r, predictions[r.name]) for r in collection.records), least=LEAST)
    listed = [s for s in found.suspicions if s.score >= LISTED]
    errors = [predictions[name].count - len(xy) for name, xy in truth.items()]
    ways = {
        "audit": (places_without_dot(found.suspicions), dots_without_object(found.suspicions)),
        "audit, as listed": (places_without_dot(listed), dots_without_object(listed)),
        "nearest peak": nearest_peak(predictions, dots, radius),
        "residual of counts": count_residuals(predictions, dots),
    }
    ranked = {way: rankings(*pair, faults, radius) for way, pair in ways.items()}
    return {
        "images": len(collection),
        "dots": collection.n_dots,
        "faults": {kind: sum(f.kind == kind for f in faults) for kind in ("removed", "added", "moved")},
        "hit_radius_px": round(float(np.median(list(radius.values()))), 2),
        "mae_against_clean_dots": round(float(np.abs(errors).mean()), 3),
        "median_fit": round(float(np.median([image.fit for image in found.images])), 3),
        "scores": {way: {kind: each.scores() for kind, each in rows.items()} for way, rows in ranked.items()},
        "spread": {way: ranked[way]["removed"].spread(sorted(radius)) for way in ("audit", "nearest peak")},
    }


def main() -> None:
    """Measure the sets that are asked for and write each as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=[], help=f"of {', '.join(SETS)}; all by default")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("build/audit"))
    args = parser.parse_args()
    for name in args.sets or SETS:
        work = args.work / name
        work.mkdir(parents=True, exist_ok=True)
        clean, collection, faults = faulty(name, args.data, work)
        folder = work / "faulty" / "folds"
        folder.mkdir(parents=True, exist_ok=True)
        predictions = cross_fitted(name, collection, folder)
        record = {"recipe": SETS[name].recipe, "settings": SETS[name].settings, "folds": FOLDS, "seed": SEED}
        record |= measured(collection, clean, faults, predictions)
        told = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        versions = {package: importlib.metadata.version(package) for package in ("torch", "numpy", "scipy")}
        told |= {"machine": machine(), "versions": versions}
        told.setdefault("sets", {})[name] = record
        RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(record["scores"], indent=1), flush=True)


if __name__ == "__main__":
    main()
