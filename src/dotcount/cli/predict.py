"""Count and locate objects in images.

Writes OUT/counts.csv (image, count, low, high, status, error), OUT/points.csv (image, x, y, score; pixels, origin at
the top-left corner) and, per image, OUT/overlays/NAME.jpg with density and located points drawn in. An image that
can't be read is a row with its error; the others go on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.cli.common import add_device, add_out, add_run, add_seed, add_tile, progress, require_output_folder

if TYPE_CHECKING:
    from dotcount.prediction import Outcome

EXAMPLES = """\
examples:
  dotcount predict runs/cells photo.jpg --out counts
  dotcount predict trees aerial/ --out counts
  dotcount predict cells fluorescence/ --out counts
  dotcount predict runs/cells photos/ more/*.png --out counts
  dotcount predict runs/cells 'survey/**/*.tif' --out counts --no-overlays --tile 2048
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="image files, folders (searched with sub-folders) or patterns"
    )
    add_out(parser, "folder for the results")
    parser.add_argument("--no-overlays", action="store_true", help="write the tables only")
    add_tile(parser)
    add_device(parser)
    add_seed(parser, "accepted for uniformity; prediction draws nothing at random")


def run(args: argparse.Namespace) -> int:
    """Predict; exit code 1 if no image could be read."""
    require_output_folder(args.out)
    from dotcount.inference import model_folder
    from dotcount.prediction import PredictionSink, expand

    model_folder(args.run)
    sources = expand(args.sources)
    from dotcount.prediction import load

    predictor = load(args.run, device=args.device, tile=args.tile)
    total = failed = 0
    count = 0.0
    with PredictionSink(args.out) as sink, progress("predicting") as step:
        for outcome in predictor.predict_many(sources):
            sink.write(outcome)
            if outcome.prediction is None:
                failed += 1
            else:
                count += outcome.prediction.count
                if not args.no_overlays:
                    _draw(args.out, outcome)
            total += 1
            step(total, len(sources))
    good = total - failed
    print(f"{good} of {total} images counted, {count:,.1f} objects in all: {args.out / 'counts.csv'}")
    if failed:
        print(f"{failed} could not be read; see the column error")
    return 0 if good else 1


def _draw(out: Path, outcome: Outcome) -> None:
    from dotcount.data import read_image
    from dotcount.report import save_overlay

    assert outcome.prediction is not None
    save_overlay(out / "overlays" / f"{outcome.source.name}.jpg", read_image(outcome.source.path), outcome.prediction)
