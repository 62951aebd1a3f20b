"""Look at annotations twice: rank dots that may be missing, spurious, misplaced, doubled, or of another image.

The predicted density is transported to the dots, no farther than about the distance between neighbours; mass that no
dot takes and dots that take no mass are suspicious. RUN is a trained model. With --folds K its settings train K new
ones, each on the other folds, so that no image is judged by a model that learned its dots; a recipe or a
configuration file will then do for RUN, and the same command goes on where it was stopped.

Writes OUT/audit.html (pictures to decide by, for a browser), OUT/suspicions.csv and OUT/images.csv. With --fix, also a
corrected copy of DATA, which itself stays as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.cli.common import (
    add_classes,
    add_data_format,
    add_device,
    add_out,
    add_seed,
    add_strict,
    add_tile,
    positive_number,
    progress,
    quoted,
    require_model,
    require_output_folder,
    whole_number,
)

if TYPE_CHECKING:
    from dotcount.audit import Audit, Suspicion
    from dotcount.data import Collection, Record
    from dotcount.inference import Prediction

WRITTEN = ("audit.html", "suspicions.csv", "images.csv", "folds")
TOLD = 10  # suspicions that are printed

EXAMPLES = """\
examples:
  dotcount audit runs/cells cells/ --out audit
  dotcount audit runs/cells cells/ --folds 4 --out audit
  dotcount audit best/vgg_cells vgg_cells:cells --folds 2 --max-minutes 10 --out audit
  dotcount audit runs/cells cells/ --out audit --decisions decisions.csv --fix cells-corrected
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="what `dotcount train --out` wrote, cells or trees; with --folds also a recipe or configuration file",
    )
    parser.add_argument("data", metavar="DATA", help="folder, annotation file, or BENCHMARK:PATH")
    add_out(parser, "folder for the page and the tables")
    parser.add_argument("--split", default="all", help="part of DATA to judge (default: all, test images included)")
    parser.add_argument(
        "--folds", type=whole_number(2), metavar="K", help="train K models, none of which judges what it learned from"
    )
    parser.add_argument(
        "--by", default="image", metavar="HOW", help="what stays in one fold, as in `data split` (default: image)"
    )
    parser.add_argument("--max-minutes", type=positive_number, metavar="M", help="fit each training to this time")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="any setting of the trainings; may be repeated",
    )
    parser.add_argument(
        "--least", type=_score, default=0.5, metavar="S", help="lowest score that is listed, 0 to 1 (default: 0.5)"
    )
    parser.add_argument(
        "--reach",
        type=positive_number,
        metavar="PX",
        help="distance from which on a dot takes no mass (default: 0.6 times the spacing of the image's dots)",
    )
    parser.add_argument(
        "--shown", type=whole_number(0), default=120, metavar="N", help="suspicions with pictures (default: 120)"
    )
    parser.add_argument("--fix", type=Path, metavar="DIR", help="write a corrected copy of DATA there")
    parser.add_argument(
        "--decisions",
        type=Path,
        metavar="FILE",
        help="correct what this file accepts, saved from the page or suspicions.csv with its last column filled",
    )
    parser.add_argument(
        "--sure",
        type=_score,
        default=0.9,
        metavar="S",
        help="without decisions, correct from this score on (default: 0.9)",
    )
    parser.add_argument("--to", metavar="NAME", help="format of the copy (default: that of DATA, or csv)")
    add_data_format(parser)
    add_classes(parser)
    add_strict(parser)
    add_tile(parser)
    add_device(parser)
    add_seed(parser, "seed of the folds and of their trainings (default: 0)")


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 to 1")
    return value


def run(args: argparse.Namespace) -> int:
    """Judge, or correct what was decided."""
    from dotcount.errors import OutputError, UsageError

    for folder in filter(None, (args.out, args.fix)):
        require_output_folder(folder)
    if args.fix is not None and args.fix.is_dir() and any(args.fix.iterdir()):
        raise OutputError(f"--fix {args.fix} exists already; choose another folder or remove it")
    if args.decisions is None and args.folds is None:
        require_model(args.run, [args.data])
    if args.decisions is not None and args.fix is None:
        raise UsageError("--decisions needs --fix, the folder of the corrected copy")
    if args.fix is not None and args.classes:
        raise UsageError("--fix with --class would leave out the dots of all other classes; leave one of them out")
    from dotcount.data import open_collection

    collection = open_collection(
        args.data, format=args.format, classes=args.classes, complete=args.strict, selection=None
    )
    print(collection.note)
    if args.decisions is not None:
        from dotcount.audit import read_decisions

        accepted = read_decisions(args.decisions)
        print(f"{args.decisions}: {len(accepted):,} suspicions accepted")
        _fix(args, collection, accepted)
        return 0
    from dotcount.files import make_folder, mark_output

    make_folder(args.out)
    mark_output(args.out, "audit", "dotcount audit", WRITTEN)  # at once: the folds hold links to images
    result, failed, judged, records = _judged(args, collection)
    from dotcount.report import write_audit_page

    result.save(args.out, failed)
    page = args.out / "audit.html"
    title = f"Audit: {collection.name}"
    write_audit_page(page, result, records, title=title, judged=judged, shown=args.shown)
    print(_summary(result, failed))
    print(f"page: {page}")
    if args.fix is not None:
        _fix(args, collection, [s for s in result.suspicions if s.score >= args.sure])
    elif result.suspicions:
        words = " ".join(map(quoted, (args.run, args.data, "--out", args.out)))
        print(f"next: decide on the page, save, then: dotcount audit {words} --decisions decisions.csv --fix COPY")
    return 0


def _judged(args: argparse.Namespace, collection: Collection) -> tuple[Audit, list[Record], str, dict[str, Record]]:
    """Return the audit, the images that could not be judged, who judged, and all records by name."""
    from dotcount.audit import audit, usual_spacing
    from dotcount.cli.audit_models import judges
    from dotcount.evaluation import select_split

    part = select_split(collection, None if args.split == "all" else args.split)
    usable, failed = part.annotated(), [record for record in part.records if record.error is not None]
    judged, models = judges(args, usable)
    with progress("judging") as step:

        def counted() -> Iterator[tuple[Record, Prediction]]:
            from dataclasses import replace

            from dotcount.evaluation.reading import SetCounter

            done = 0
            for predictor, images in models:
                counter = SetCounter(predictor, images)
                for record in images.records:
                    found = counter.count(record)
                    if found.prediction is None:
                        failed.append(replace(record, error=found.error))
                    else:
                        yield record, found.prediction
                    done += 1
                    step(done, len(usable))

        xy = (record.points.xy for record in usable.records if record.points is not None)
        result = audit(counted(), least=args.least, reach=args.reach, usual=usual_spacing(xy))
    return result, failed, judged, {record.name: record for record in usable.records}


def _fix(args: argparse.Namespace, collection: Collection, accepted: list[Suspicion]) -> None:
    """Write the corrected copy and say what it is."""
    from dotcount.audit import own_format, write_corrected

    format = args.to or own_format(collection)
    changes = write_corrected(collection, accepted, args.fix, format)
    why = "" if args.to or format == collection.format else f" ({collection.format} can't be written)"
    print(f"corrected copy: {args.fix}, as {format}{why}, {len(changes)} changes listed in {args.fix / 'changes.txt'}")


def _summary(result: Audit, failed: list[Record]) -> str:
    """Return the main figures as lines for the terminal."""
    from dotcount.audit import KINDS

    dots = sum(len(image.dots) for image in result.images)
    kinds = [(kind, sum(s.kind == kind for s in result.suspicions)) for kind in KINDS]
    told = ", ".join(f"{number:,} {kind}" for kind, number in kinds if number) or "none"
    bad = f", {len(failed)} more can't be used, the first: {failed[0].error}" if failed else ""
    lines = [f"{len(result.images):,} images, {dots:,} dots{bad}: {len(result.suspicions):,} suspicions ({told})"]
    for suspicion in result.suspicions[:TOLD]:
        lines.append(f"  {suspicion.score:.2f} {suspicion.kind}: {suspicion.image}: {suspicion.correction}")
    if len(result.suspicions) > TOLD:
        lines.append(f"  and {len(result.suspicions) - TOLD:,} more")
    return "\n".join([*lines, *filter(None, [result.caution])])
