"""Score a trained model on annotated images.

Writes OUT/metrics.json, OUT/predictions.csv and OUT/report.html (one file with charts and pictures, for a browser).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.cli.common import (
    add_classes,
    add_data_format,
    add_device,
    add_out,
    add_run,
    add_runtime,
    add_seed,
    add_strict,
    add_tile,
    progress,
    require_model,
    require_output_folder,
    whole_number,
)

if TYPE_CHECKING:
    from dotcount.evaluation import Evaluation
    from dotcount.prediction import Predictor

EXAMPLES = """\
examples:
  dotcount evaluate runs/cells cells/ --split test --out runs/cells/test
  dotcount evaluate runs/crowd shanghaitech_b:ShanghaiTech/part_B --out results
  dotcount evaluate runs/cells own-photos/ --split all --out results
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument("data", metavar="DATA", help="folder, annotation file, or BENCHMARK:PATH")
    parser.add_argument(
        "--split", default="test", help="part of DATA to score, or all (default: test; all where DATA has no parts)"
    )
    add_out(parser, "folder for the results")
    add_data_format(parser)
    add_classes(parser)
    add_strict(parser)
    parser.add_argument(
        "--examples",
        type=whole_number(0),
        default=4,
        metavar="N",
        help="worst and best images to show (default: 4 each)",
    )
    add_tile(parser)
    add_device(parser)
    add_runtime(parser)
    add_seed(parser, "seed of the bootstrap intervals (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Evaluate and write the results."""
    require_output_folder(args.out)
    from dotcount.data import open_collection
    from dotcount.files import mark_output

    require_model(args.run, [args.data])
    split = None if args.split == "all" else args.split
    collection = open_collection(
        args.data, format=args.format, classes=args.classes, complete=args.strict, selection=None
    )
    from dotcount.evaluation import evaluate, select_split
    from dotcount.prediction import load

    select_split(collection, split)
    print(collection.note)
    predictor = load(args.run, device=args.device, tile=args.tile, runtime=args.runtime)
    with progress("evaluating") as step:
        result = evaluate(predictor, collection, split, examples=args.examples, progress=step, seed=args.seed)
    mark_output(args.out, "evaluation", "dotcount evaluate", ["predictions.csv", "metrics.json", "report.html"])
    result.save(args.out)
    write(args.out / "report.html", result, predictor, title=f"{args.run.resolve().name} on {collection.name}")
    print(summary(result))
    print(f"report: {args.out / 'report.html'}")
    return 0


def write(path: Path, result: Evaluation, predictor: Predictor, *, title: str) -> None:
    """Write the report of an evaluation."""
    from dotcount.report import Report, write_report

    metrics = result.metrics
    split = "all images" if metrics.split == "all" else f"split “{metrics.split}”"
    subtitle = f"model {metrics.model}, {split}, {metrics.images:,} images, {metrics.seconds:.1f} s"
    write_report(path, Report(title, subtitle, result, metadata=predictor.metadata))


def summary(result: Evaluation) -> str:
    """Return the main figures as lines for the terminal."""
    metrics, counting, located = result.metrics, result.metrics.counting, result.metrics.localization
    assert located is not None, "an evaluation scores located points"
    assert located.object_radius is not None, "and matches them within an object's radius"
    place, near, radius = located.greedy, located.object_radius.matched, located.object_radius.median_px
    low, high = counting.mae_ci95
    nae = "" if counting.nae is None else f", NAE {counting.nae:.3f}"
    void = "".join(f"\nnote: {sentence}" for sentence in metrics.void)
    failed = f", {metrics.failed} more not readable" if metrics.failed else ""
    return (
        f"{counting.n} images{failed}: MAE {counting.mae:.2f} (95 % interval {low:.2f} to {high:.2f}), "
        f"RMSE (the papers' MSE) {counting.rmse:.2f}{nae}, mean error {counting.bias:+.2f}\n"
        f"{metrics.baseline.sentence()}\n"
        f"located points within an object's radius ({radius:.1f} px): precision {near.precision:.3f}, "
        f"recall {near.recall:.3f}, F {near.f:.3f}\n"
        f"located points, mean over 1 to 100 px: AP {place.ap:.3f}, AR {place.ar:.3f}, F {place.f:.3f}{void}"
    )
