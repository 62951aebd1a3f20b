"""Why the error of the annotation page falls, or does not: what the second training begins with, and on whose dots.

The session of ``benchmarks/annotate_session.py`` without its browser, with steps instead of minutes, so that a busy
machine gives the same figures: dots on 6 of 12 made-up images of cells, a training, its suggestions on the others, and
a second training, in four ways: from new weights or from those of the first run, on suggestions accepted as they are or
corrected by a person. Two images are held out, the same ones before and after. The error is the mean absolute error
of the count on those two, as the page shows it, and on 24 images that nobody has annotated. Images have half the side,
and the network half the width, of those of the session, which changes the errors but not their causes.

    OMP_NUM_THREADS=1 python -m experiments.annotate_loop [--seeds 5] [--steps 480] [--summary]

What each training came to is written at once to ``results/annotate_loop``; the summary to
``results/annotate_loop.json``. Some 25 trainings of a quarter of a minute on a core.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from dotcount import config, load, train
from dotcount.data import convert, open_collection
from dotcount.data.editing import Edit, open_annotations, with_held_out
from dotcount.data.synthetic import generate
from dotcount.metrics import OptimalScorer, object_radii
from dotcount.points import FloatArray
from dotcount.web.starting import begin_with

SIZE, COUNT, IMAGES, CLICKED, NEW, EPOCHS, WIDTH = 96, (60, 140), 12, 6, 24, 8, 16
RESULTS = Path(__file__).parent / "results" / "annotate_loop"
WAYS = {
    "first run's weights, corrected": (True, True),
    "new weights, accepted": (False, False),
    "first run's weights, accepted": (True, False),
    "new weights, corrected": (False, True),
}
"""Name -> (whether the second training begins with the first one's weights, whether suggestions are corrected)."""


def scene(seed: int, index: int) -> tuple[np.ndarray, FloatArray]:
    """Return an image of the session and where its cells are."""
    image, points = generate("cells", seed=seed, index=index, size=SIZE, count=COUNT)
    return image, points.xy


def write_dots(folder: Path, dots: dict[str, FloatArray]) -> None:
    """Make dots as the page does."""
    with open_annotations(folder) as annotations:
        for name, places in dots.items():
            edits = [Edit("add", k, float(x), float(y)) for k, (x, y) in enumerate(places)]
            annotations.edit(name, annotations.marks(name).version, edits or [Edit("empty", value=True)])


def trained(folder: Path, run: Path, steps: int, seed: int, start: Path | None) -> Path:
    """Train as the page does."""
    with open_annotations(folder) as annotations:
        data = convert(with_held_out(annotations.collection()), run.with_name(f"{run.name}-data"), images="link")
    settings = [f"training.epochs={EPOCHS}", f"training.steps_per_epoch={steps // EPOCHS}", f"training.seed={seed}"]
    settings += [f"model.options.width={WIDTH}", "training.validate_every=2"]
    held_out = [record.image for record in open_collection(data).split("val").records]
    settings += begin_with(start, settings, held_out).settings
    return train(config.load(overrides=[*settings, "training.device=cpu"], data__path=str(data)), run).run


def errors(run: Path, seed: int) -> dict[str, float]:
    """Return the error that the page shows and that on images which nobody has annotated."""
    model = load(run, device="cpu", runtime="torch")
    counts = []
    for index in range(IMAGES, IMAGES + NEW):
        image, dots = scene(seed, index)
        counts.append((model.predict(image).count, len(dots)))
    found, true = np.array(counts).T
    facts = model.metadata.validation
    assert facts is not None, "a training measures its error"
    return {
        "page": facts.counting.mae,
        "held_out": facts.counting.n,
        "new": float(np.abs(found - true).mean()),
        "new_bias": float((found - true).mean()),
        "new_mean": float(true.mean()),
    }


def suggested(run: Path, folder: Path, names: Sequence[str]) -> dict[str, FloatArray]:
    """Return the points that the page suggests."""
    model = load(run, device="cpu", runtime="torch")
    return {name: model.predict(folder / name).points for name in names}


def quality(found: dict[str, FloatArray], truth: dict[str, FloatArray]) -> dict[str, float]:
    """Return how good suggestions are: a hit is within an object's radius of a dot of its own."""
    scorer = OptimalScorer()
    radii = object_radii([truth[name] for name in found], 4)
    for (name, places), radius in zip(found.items(), radii):
        scorer.update(places, truth[name], float(radius))
    result = scorer.compute()
    off = [len(places) - len(truth[name]) for name, places in found.items()]
    return {"precision": result.precision, "recall": result.recall, "bias": float(np.mean(off))}


def session(seed: int, steps: int, ways: int) -> None:
    """Carry out, or go on with, the session of one seed."""
    path = RESULTS / f"{seed}.json"
    told = json.loads(path.read_text()) if path.exists() else {}
    if all(way in told for way in list(WAYS)[:ways]):
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "cells")
        folder.mkdir()
        truth = {}
        for index in range(IMAGES):
            image, truth[f"cell{index:02d}.png"] = scene(seed, index)
            Image.fromarray(image).save(folder / f"cell{index:02d}.png")
        names = list(truth)
        write_dots(folder, {name: truth[name] for name in names[:CLICKED]})
        first = trained(folder, Path(place, "run-001"), steps, seed, None)
        found = suggested(first, folder, names[CLICKED:])
        told |= {"steps": steps, "first": errors(first, seed), "suggestions": quality(found, truth)}
        print(seed, "first", told["first"], told["suggestions"], flush=True)
        for way, (warm, corrected) in list(WAYS.items())[:ways]:
            if way in told:
                continue
            rest = {name: truth[name] if corrected else found[name] for name in found}
            other = Path(place, f"{warm}-{corrected}", "cells")
            other.parent.mkdir()
            shutil.copytree(folder, other)
            write_dots(other, rest)
            run = trained(other, other.with_name("run-002"), steps, seed, first if warm else None)
            told[way] = errors(run, seed)
            print(seed, way, told[way], flush=True)
            RESULTS.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(told, indent=1) + "\n")


def summary() -> dict:
    """Return the errors before and after, by way, over the seeds."""
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    told: dict = {"machine": machine(), "dotcount": version("dotcount"), "torch": version("torch"), "seeds": len(rows)}
    told["steps"] = sorted({row["steps"] for row in rows})
    told["new_mean"] = float(np.mean([row["first"]["new_mean"] for row in rows]))
    told["suggestions"] = {k: [row["suggestions"][k] for row in rows] for k in ("precision", "recall", "bias")}
    told["ways"] = {}
    for way in WAYS:
        there = [row for row in rows if way in row]
        if not there:
            continue
        told["ways"][way] = {
            kind: {
                "before": float(np.mean([row["first"][kind] for row in there])),
                "after": float(np.mean([row[way][kind] for row in there])),
                "falls_in": sum(row[way][kind] < row["first"][kind] for row in there),
                "of": len(there),
            }
            for kind in ("page", "new")
        }
    return told


def main() -> None:
    """Run what is missing, then sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=480, help="of each training")
    parser.add_argument("--ways", type=int, default=len(WAYS), help="only the first so many")
    parser.add_argument("--summary", action="store_true", help="sum up what is there, train nothing")
    args = parser.parse_args()
    if not args.summary:
        for seed in range(args.seeds):
            session(seed, args.steps, args.ways)
    told = summary()
    (RESULTS.parent / "annotate_loop.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
