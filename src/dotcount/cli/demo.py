"""The whole path on made-up images, within 5 minutes on two cores.

Draws fluorescence-like cells whose positions are known, trains a small network on one dot per cell, scores it on images
it has never seen, counts a few of them, and writes OUT/report.html.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotcount.cli.common import add_device, add_seed, positive_number, progress, quoted, require_output_folder

if TYPE_CHECKING:
    from dotcount.evaluation import Evaluation
    from dotcount.training import TrainResult

EXAMPLES = """\
examples:
  dotcount demo
  dotcount demo --out somewhere --max-minutes 1
"""

TRAIN, VALIDATION, TEST = 96, 16, 32
SIZE = 256  # px
COUNT = (10, 50)  # cells per image
# A slim network, small crops and a looser solve make many steps in little time, and cells look alike whichever way the
# image is turned. Short epochs let the fit to the time budget recover when the machine is busy for a while.
SETTINGS: dict[str, Any] = {
    "model__options": {"width": 24},
    "loss__options": {"tol": 1e-3},
    "training__crop": 128,
    "training__batch_size": 4,
    "training__steps_per_epoch": 40,
    "optimizer__learning_rate": 2e-3,
    "augment__flip_vertical": True,
    "augment__rotate90": True,
}
PARTS = ("data", "run", "test", "counts", "report.html", "dotcount.json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("demo-out"), metavar="DIR", help="where to (default: demo-out)"
    )
    parser.add_argument(
        "--max-minutes", type=positive_number, default=3.4, metavar="M", help="time for training (default: 3.4)"
    )
    add_device(parser)
    add_seed(parser, "seed of images and training (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Run every step and print what came of it."""
    out: Path = args.out
    started = time.monotonic()
    require_output_folder(out)
    clear(out)
    print(f"1. Drawing {TRAIN + VALIDATION + TEST} images of cells with known positions: {out / 'data'}", flush=True)
    from dotcount.data.synthetic import write_dataset
    from dotcount.files import mark_output

    parts = {"train": TRAIN, "val": VALIDATION, "test": TEST}
    mark_output(out, "demonstration", "dotcount demo")
    write_dataset(out / "data", "cells", seed=args.seed, size=SIZE, count=COUNT, **parts)

    print(f"2. Training for about {args.max_minutes:g} minutes on one dot per cell: {out / 'run'}", flush=True)
    from dotcount import config
    from dotcount.cli.training import console_listener
    from dotcount.training import train

    settings = config.load(
        data__path=str(out / "data"),
        training__max_minutes=args.max_minutes,
        training__device=args.device,
        training__seed=args.seed,
        **SETTINGS,
    )
    trained = train(settings, out / "run", listener=console_listener())

    print(f"3. Scoring the {TEST} test images: {out / 'test'}", flush=True)
    result = score(out, trained, args.device, args.seed)

    print(f"4. Counting the test images as if they were new: {out / 'counts'}", flush=True)
    from dotcount.cli.main import main

    predicted = main(["predict", str(out / "run"), str(out / "data" / "test"), "--out", str(out / "counts")])
    seconds = time.monotonic() - started
    print_table(result, trained.seconds, seconds)
    print(f"\nOpen {out / 'report.html'} in a browser. The same on your own images:")
    print("  dotcount train MY_IMAGES --out runs/mine --max-minutes 20")
    print(f"  dotcount predict {quoted(out / 'run')} MY_IMAGES --out counts")
    return predicted


def clear(out: Path) -> None:
    """Remove what an earlier demo left; a folder that holds other things is refused."""
    from dotcount.errors import OutputError

    if not out.exists():
        return
    others = sorted(path.name for path in out.iterdir() if path.name not in PARTS)
    if others:
        raise OutputError(f"--out {out} holds other files ({others[0]}); name a new folder")
    for path in out.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def score(out: Path, trained: TrainResult, device: str, seed: int) -> Evaluation:
    """Evaluate the run on the test images and write the results and the report."""
    from dotcount import config
    from dotcount.data import open_collection
    from dotcount.evaluation import evaluate
    from dotcount.prediction import load
    from dotcount.report import Report, write_report

    predictor = load(out / "run", device=device)
    with progress("evaluating") as step:
        result = evaluate(predictor, open_collection(out / "data"), "test", progress=step, seed=seed)
    result.save(out / "test")
    write_report(
        out / "report.html",
        Report(
            title="Demo: counting cells",
            subtitle=f"{TEST} made-up test images that the model has never seen; trained on {TRAIN} others",
            evaluation=result,
            history=trained.history,
            metadata=predictor.metadata,
            config=config.to_dict(config.load(out / "run" / "config.yaml")),
        ),
    )
    return result


def print_table(result: Evaluation, training: float, total: float) -> None:
    """Print the figures that say whether it worked."""
    from rich.console import Console
    from rich.table import Table

    counting, located = result.metrics.counting, result.metrics.localization
    assert located is not None, "an evaluation scores located points"
    place = located.optimal["sigma 8 px"]
    mean = float(result.true.mean())
    table = Table(title="Held-out test images", title_justify="left", show_header=False)
    table.add_row("images, cells per image", f"{counting.n}, {result.true.min():.0f} to {result.true.max():.0f}")
    low, high = counting.mae_ci95
    table.add_row("mean absolute error", f"{counting.mae:.2f} (95 % interval {low:.2f} to {high:.2f})")
    table.add_row("as a share of the mean count", f"{100 * counting.mae / mean:.1f} % of {mean:.1f}")
    table.add_row("mean error", f"{counting.bias:+.2f}")
    table.add_row("cells located within 8 px", f"{place.recall:.1%}; {place.precision:.1%} of points are cells")
    table.add_row("time", f"{total / 60:.1f} min, of which training {training / 60:.1f}")
    Console().print(table)
