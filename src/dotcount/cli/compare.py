"""Put runs side by side on the same images.

Every RUN is evaluated (results go to OUT/NAME); a folder that `dotcount evaluate` wrote is taken as it is. Runs that
differ by their seed only become one row with mean and spread. Writes OUT/comparison.json, comparison.md and
comparison.png, with a bootstrap interval over the images and a paired test of every two rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotcount.cli.common import (
    add_classes,
    add_data_format,
    add_device,
    add_out,
    add_seed,
    add_strict,
    progress,
    require_output_folder,
)

if TYPE_CHECKING:
    from dotcount.data import Collection
    from dotcount.report.comparison import Comparison, ScoredRun

EXAMPLES = """\
examples:
  dotcount compare runs/uot-0 runs/uot-1 runs/bl-0 runs/bl-1 --data shanghaitech_b:ShanghaiTech/part_B --out compared
  dotcount compare runs/a/test runs/b/test --out compared
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run, its model folder, or a folder of `dotcount evaluate`"
    )
    parser.add_argument("--data", metavar="DATA", help="folder, annotation file, or BENCHMARK:PATH to evaluate runs on")
    parser.add_argument(
        "--split", default="test", help="part of DATA, or all (default: test; all where DATA has no parts)"
    )
    add_out(parser, "folder for the comparison")
    add_data_format(parser)
    add_classes(parser)
    add_strict(parser)
    add_device(parser)
    add_seed(parser, "seed of the bootstrap intervals and tests (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Evaluate what is not evaluated yet, compare, and write."""
    require_output_folder(args.out)
    from dotcount.files import mark_output
    from dotcount.report.comparison import compare_runs

    labels = names_of(args.runs)
    collection = check(args)
    scored = [_scored(folder, label, args, collection) for folder, label in zip(args.runs, labels)]
    result = compare_runs(scored, seed=args.seed)
    files = [f"comparison.{ending}" for ending in ("json", "md", "png")]
    mark_output(args.out, "comparison", "dotcount compare", [*files, *labels])
    result.save(args.out)
    show(result)
    print(f"written: {args.out / 'comparison.md'}, comparison.json, comparison.png")
    return 0


def evaluated(folder: Path) -> bool:
    """Return whether ``dotcount evaluate`` wrote this folder."""
    return (folder / "predictions.csv").is_file()


def names_of(runs: list[Path]) -> list[str]:
    """Return a short name for each run, unique: the folder's, with as many parents as it takes.

    The folder of an evaluation inside its run is called after the run.
    """
    from dotcount.errors import UsageError

    homes = [run.resolve() for run in runs]
    twice = next((run for run, home in zip(runs, homes) if homes.count(home) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is named twice; name every run once")
    inner = [home.parent if (home.parent / "config.yaml").is_file() else home for home in homes]
    if len(set(inner)) == len(inner):
        homes = inner
    for depth in range(1, max(len(home.parts) for home in homes) + 1):
        names = ["/".join(home.parts[-depth:]).lstrip("/") for home in homes]
        if len(set(names)) == len(names):
            break
    return names


def check(args: argparse.Namespace) -> Collection | None:
    """Find what is wrong with the arguments before any work; return the images if a run must be evaluated."""
    from dotcount.errors import UsageError

    todo = [folder for folder in args.runs if not evaluated(folder)]
    if not todo:
        return None
    from dotcount.data import open_collection
    from dotcount.evaluation import select_split
    from dotcount.inference import model_folder

    for folder in todo:
        model_folder(folder)
    if args.data is None:
        raise UsageError(f"{todo[0]} is not evaluated yet; name the images with --data")
    collection = open_collection(
        args.data, format=args.format, classes=args.classes, complete=args.strict, selection=None
    )
    select_split(collection, None if args.split == "all" else args.split)
    print(collection.note)
    return collection


def _scored(folder: Path, name: str, args: argparse.Namespace, collection: Collection | None) -> ScoredRun:
    from dotcount.report.comparison import read_scores

    settings, seed = identity(folder)
    if evaluated(folder):
        return read_scores(folder, name, settings, seed)
    from dotcount.evaluation import evaluate
    from dotcount.prediction import load

    assert collection is not None  # held by check
    predictor = load(folder, device=args.device)
    split = None if args.split == "all" else args.split
    with progress(f"evaluating {name}") as step:
        result = evaluate(predictor, collection, split, examples=0, progress=step, seed=args.seed)
    result.save(args.out / name)
    return read_scores(args.out / name, name, settings, seed)


def identity(folder: Path) -> tuple[dict[str, Any] | None, int | None]:
    """Return (configuration without the seed and the machine, seed) of the run that a folder is or lies in."""
    from dotcount import config

    recorded = next(
        (f / "config.yaml" for f in (folder, folder.resolve().parent) if (f / "config.yaml").is_file()), None
    )
    if recorded is None:
        return None, None
    settings = config.to_dict(config.load(recorded))
    seed = settings["training"].pop("seed")
    for key in ("device", "workers", "cache_mb"):
        settings["training"].pop(key)
    return settings, seed


def show(result: Comparison) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    from dotcount.report.comparison import COLUMNS

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "run" else "right", no_wrap=True)
    for row in result.rows():
        table.add_row(*row)
    console.print(table)
    print(result.note())
