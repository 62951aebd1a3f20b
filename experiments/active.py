"""Whether an order in which to annotate beats a random one: error over dots, on two data sets, five seeds, paired.

Each run begins with the same few images drawn at random, trains, chooses the next images by a strategy, and so on. The
error is the mean absolute error of the count on test images that no strategy sees. What every training came to is
written at once, so that the experiment can be stopped and goes on where it was. The summary, ``results/active.json``,
is of the seeds of which all runs are there. Some 170 trainings of half a minute on a core.

    python -m experiments.active --data shared/data [--seeds 5] [--only vgg_cells] [--summary]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from dotcount import config, load, train
from dotcount.active import Outlook, order, outlook
from dotcount.data import Collection, Record, convert, open_collection
from dotcount.prediction import Predictor

SETS = ("vgg_cells", "urban_trees_socal")
STRATEGIES = {"random": None, "error": 0.0, "error and diversity": 0.5, "diversity": 1.0}
"""Name -> weight of diversity; None draws at random."""

START, STEP, ROUNDS, HELD_OUT, POOL, TESTED = 4, 4, 5, 5, 120, 40
SETTINGS = ("training.epochs=4", "training.steps_per_epoch=75", "training.validate_every=4", "training.device=cpu")
RESULTS = Path(__file__).parent / "results" / "active"
FIRST: dict[tuple[str, int], Predictor] = {}
"""The model of the first images of each data set and seed."""


def drawn(records: list[Record], n: int, generator: np.random.Generator) -> list[Record]:
    """Return up to ``n`` records, in an order drawn at random."""
    return [records[k] for k in generator.permutation(len(records))[:n]]


def trained(collection: Collection, chosen: list[Record], held: list[Record], seed: int) -> Predictor:
    """Train on some images and return the model."""
    parts = [replace(r, split="train") for r in chosen] + [replace(r, split="val") for r in held]
    with tempfile.TemporaryDirectory() as place:
        data = convert(collection.where(parts), Path(place, "data"), images="link")
        request = config.load(overrides=list(SETTINGS), data__path=str(data), training__crop=128, training__seed=seed)
        return load(train(request, Path(place, "run")).run, device="cpu")


def error(model: Predictor, tested: list[Record]) -> float:
    """Return the mean absolute error of the count."""
    return float(np.mean([abs(model.predict(r.image).count - (r.count or 0)) for r in tested]))


def next_images(
    weight: float | None,
    model: Predictor | None,
    left: list[Record],
    known: list[Record],
    generator: np.random.Generator,
) -> list[Record]:
    """Return the images that a strategy would annotate next."""
    if weight is None:
        return drawn(left, STEP, generator)
    seen: dict[str, Outlook] = {r.name: outlook(r.name, model.predict(r.image)) for r in (*left, *known)}
    names = order([seen[r.name] for r in left], [seen[r.name] for r in known], diversity=weight)
    by_name = {r.name: r for r in left}
    return [by_name[name] for name in names[:STEP]]


def run(collection: Collection, name: str, seed: int, strategy: str) -> None:
    """Carry out, or go on with, one run; its file has a row for each training."""
    path = RESULTS / f"{name}-{seed}-{strategy.replace(' ', '_')}.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    generator = np.random.default_rng(seed)
    pool = drawn([r for r in collection.records if r.split != "test"], POOL, generator)
    tested = drawn(list(collection.split("test").records), TESTED, generator)
    held, pool = pool[:HELD_OUT], pool[HELD_OUT:]
    by_name = {r.name: r for r in pool}
    while len(rows) < ROUNDS:
        chosen = [by_name[n] for n in rows[-1]["next"]] if rows else []
        chosen = [by_name[n] for n in rows[-1]["images"]] + chosen if rows else pool[:START]
        model = FIRST.get((name, seed)) if not rows else None
        model = model or trained(collection, chosen, held, seed)
        if not rows:
            FIRST[name, seed] = model  # the same for all strategies
        found = error(model, tested)
        left = [r for r in pool if r not in chosen]
        draws = np.random.default_rng((seed, len(rows)))
        follow = next_images(STRATEGIES[strategy], model, left, chosen, draws)
        names, dots = [r.name for r in chosen], sum(r.count or 0 for r in chosen)
        rows.append({"images": names, "dots": dots, "mae": found, "next": [r.name for r in follow]})
        RESULTS.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1) + "\n")
        print(name, seed, strategy, len(chosen), "images", dots, "dots", f"mae {found:.2f}", flush=True)


def area(rows: list[dict], low: float, high: float) -> float:
    """Return the mean error over a range of dots, from straight lines between trainings."""
    dots = np.linspace(low, high, 200)
    return float(np.interp(dots, [row["dots"] for row in rows], [row["mae"] for row in rows]).mean())


def summary(seeds: int) -> dict:
    """Return the paired differences of each strategy from random order, where all runs of a seed are there."""
    told: dict = {"machine": machine(), "dotcount": version("dotcount"), "torch": version("torch"), "sets": {}}
    for name in SETS:
        areas: dict[str, list[float]] = {strategy: [] for strategy in STRATEGIES}
        for seed in range(seeds):
            paths = {s: RESULTS / f"{name}-{seed}-{s.replace(' ', '_')}.json" for s in STRATEGIES}
            runs = {s: json.loads(p.read_text()) for s, p in paths.items() if p.exists()}
            if len(runs) < len(STRATEGIES) or any(len(rows) < ROUNDS for rows in runs.values()):
                continue
            low = max(rows[0]["dots"] for rows in runs.values())
            high = min(rows[-1]["dots"] for rows in runs.values())
            for strategy, rows in runs.items():
                areas[strategy].append(area(rows, low, high))
        told["sets"][name] = {strategy: compared(areas[strategy], areas["random"]) for strategy in STRATEGIES}
    return told


def compared(areas: list[float], random: list[float]) -> dict:
    """Return mean error over dots and the difference from random order with its 95 % interval (Student's t)."""
    if not areas:
        return {"seeds": 0}
    from scipy.stats import t

    differences = np.subtract(areas, random)
    half = 0.0
    if len(areas) > 1:
        half = float(t.ppf(0.975, len(areas) - 1) * differences.std(ddof=1) / len(areas) ** 0.5)
    mean = float(differences.mean())
    return {
        "seeds": len(areas),
        "mae_over_dots": float(np.mean(areas)),
        "difference": mean,
        "difference_ci95": [mean - half, mean + half],
        "better_in": int((differences < 0).sum()),
    }


def main() -> None:
    """Run what is missing, then sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with vgg_cells and urban_trees_socal")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=SETS, help="one data set")
    parser.add_argument("--summary", action="store_true", help="sum up what is there, train nothing")
    args = parser.parse_args()
    if not args.summary:
        for seed in range(args.seeds):
            for name in [args.only] if args.only else SETS:
                collection = open_collection(args.data / name, strict=False).annotated()
                for strategy in STRATEGIES:
                    run(collection, name, seed, strategy)
    told = summary(args.seeds)
    (RESULTS.parent / "active.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
