"""Train, test and record a run on real data, or write the page of all recorded runs.

    python -m experiments.real run shanghaitech_b --data ../shared/data [--out DIR]
    python -m experiments.real record shanghaitech_b --run RUN --evaluation DIR
    python -m experiments.real page

``run`` gives the two commands of :data:`RUNS` and records what they wrote under ``experiments/results/real/NAME``:
config.yaml, metrics.csv, metrics.json, record.json (commands, machine, versions). ``record`` does only the last part.
``page`` writes the table of ``docs/results/results.md`` from the records.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import machine

RESULTS = Path(__file__).parents[1] / "results" / "real"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "results.md"
BEGIN, END = "<!-- real runs -->", "<!-- end of real runs -->"

RUNS: dict[str, tuple[str, str, str]] = {
    "shanghaitech_b": (
        "shanghaitech_b:{data}/ShanghaiTech/part_B",
        "--max-minutes 32 --set data.max_side=512",
        "ShanghaiTech B (November 2016 release), official split",
    ),
    "vgg_cells": (
        "vgg_cells:{data}/vgg_cells",
        "--max-minutes 4 --crop 128",
        "VGG cells, first 100 images to train, last 100 to test",
    ),
}
"""Name -> (DATA, options of ``dotcount train``, what it is)."""


def commands(name: str, run: str, evaluation: str, data: str) -> list[str]:
    """Return the two commands as a user would type them."""
    source, options, _ = RUNS[name]
    place = source.format(data=data)
    return [
        f"dotcount train {place} --out {run} {options}",
        f"dotcount evaluate {run} {place} --split test --out {evaluation}",
    ]


def record(name: str, run: Path, evaluation: Path) -> None:
    """Copy what a run and its evaluation wrote, without the machine's paths, and note how it was made."""
    folder = RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    config["data"]["path"] = RUNS[name][0].format(data="DATA")
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    shutil.copyfile(run / "metrics.csv", folder / "metrics.csv")
    metrics = json.loads((evaluation / "metrics.json").read_text(encoding="utf-8"))
    metrics["recipe"] = RUNS[name][0].format(data="DATA") if metrics.get("recipe") else metrics.get("recipe")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    last = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    row = dict(zip(last[0].split(","), last[-1].split(",")))
    about = {
        "title": RUNS[name][2],
        "commands": commands(name, "RUN", "EVALUATION", "DATA"),
        "seed": config["training"]["seed"],
        "commit": _git("rev-parse", "--short", "HEAD"),
        "training_minutes": round(float(row["elapsed"]) / 60, 2),
        "epochs": int(row["epoch"]),
        "steps": int(row["step"]),
        "machine": machine(),
        "versions": {p: importlib.metadata.version(p) for p in ("dotcount", "torch", "lightning", "numpy")},
    }
    (folder / "record.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()


def page() -> None:
    """Write the table of recorded runs into the results page."""
    head = "| data | MAE (95 % interval) | RMSE | bias | F (AP, AR), 1..100 px | training | steps |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    notes = []
    for folder in sorted(p for p in RESULTS.iterdir() if (p / "record.json").is_file()):
        metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        about: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        count, place = metrics["counting"], metrics["localization"]
        low, high = count["mae_ci95"]
        rows.append(
            f"| {about['title']} | {count['mae']:.2f} ({low:.2f}–{high:.2f}) | {count['rmse']:.2f} "
            f"| {count['bias']:+.2f} | "
            f"{place['f']:.3f} ({place['ap']:.3f}, {place['ar']:.3f}) | {about['training_minutes']:.0f} min | "
            f"{about['steps']:,} |"
        )
        shown = "\n".join(about["commands"])
        versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items())
        where = f"experiments/results/real/{folder.name}"
        notes.append(
            f"### {about['title']}\n\n```\n{shown}\n```\n\nSeed {about['seed']}, {about['machine']}; {versions}; "
            f"commit {about['commit']}. Files: `{where}`. One run; the interval is a bootstrap over test images, "
            f"not over seeds." + (f"\n\n{about['note']}" if "note" in about else "")
        )
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(rows)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n" + "\n\n".join(notes) + f"\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run")
    run.add_argument("name", choices=sorted(RUNS))
    run.add_argument("--data", default="../shared/data")
    run.add_argument("--out", type=Path, default=Path("runs"))
    keep = actions.add_parser("record")
    keep.add_argument("name", choices=sorted(RUNS))
    keep.add_argument("--run", type=Path, required=True)
    keep.add_argument("--evaluation", type=Path, required=True)
    actions.add_parser("page")
    args = parser.parse_args()
    if args.action == "run":
        place, test = args.out / args.name, args.out / f"{args.name}-test"
        program = str(Path(sys.executable).parent / "dotcount")
        for command in commands(args.name, str(place), str(test), args.data):
            subprocess.run([program, *command.split()[1:]], check=True)
        record(args.name, place, test)
    elif args.action == "record":
        record(args.name, args.run, args.evaluation)
    page()


if __name__ == "__main__":
    main()
