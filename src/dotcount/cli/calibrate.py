"""Fit a trained model to a new kind of image without training.

Counts the annotated images of DATA, about 20 of the new kind, and fits the count scale, the least mass of a located
point and the interval of a count again, and says how far the mean error may still be off. Writes the model to NEWRUN;
RUN stays as it is. Of an exported model, FILE.onnx, an exported model becomes, NEWRUN.onnx.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.cli.common import (
    add_classes,
    add_data_format,
    add_device,
    add_run,
    add_seed,
    add_strict,
    add_tile,
    progress,
    quoted,
    require_model,
    require_output_folder,
)
from dotcount.errors import OutputError, UsageError
from dotcount.inference.locate import ONNX

if TYPE_CHECKING:
    from dotcount.calibration import Recalibration

BIAS = 0.03  # mean error for which the number of images is told

EXAMPLES = """\
examples:
  dotcount calibrate trees other-town/ --out trees-other-town
  dotcount calibrate runs/cells dotted/ --split val --out runs/cells-dotted
  dotcount predict trees-other-town photos/ --out counts
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument("data", metavar="DATA", help="folder, annotation file, or BENCHMARK:PATH with dotted images")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="NEWRUN",
        help="folder, or file .onnx, for the calibrated model (default: RUN-calibrated)",
    )
    parser.add_argument("--split", default="all", help="part of DATA to calibrate on (default: all)")
    parser.add_argument(
        "--level", type=_share, default=0.9, metavar="P", help="share of counts that the interval holds (default: 0.9)"
    )
    parser.add_argument(
        "--confidence",
        type=_share_or_none,
        default=0.8,
        metavar="P",
        help="how sure the level is to be met by this one draw of images (default: 0.8, which takes 16 images); "
        "none: on average over draws (9 images)",
    )
    add_data_format(parser)
    add_classes(parser)
    add_strict(parser)
    add_tile(parser)
    add_device(parser)
    add_seed(parser, "accepted for uniformity; calibration draws nothing that depends on it")


def run(args: argparse.Namespace) -> int:
    """Calibrate and write the model."""
    require_model(args.run, [args.data])
    out = _out(args)
    from dotcount.data import open_collection
    from dotcount.evaluation import calibrate_on, select_split
    from dotcount.prediction import load

    split = None if args.split == "all" else args.split
    collection = open_collection(
        args.data, format=args.format, classes=args.classes, complete=args.strict, selection=None
    )
    select_split(collection, split)
    print(collection.note)
    predictor = load(args.run, device=args.device, tile=args.tile)
    with progress("counting") as step:
        found = calibrate_on(predictor, collection, split, level=args.level, confidence=args.confidence, progress=step)
    _save(args.run, out, found)
    print(summary(found))
    print(f"next: dotcount predict {quoted(out)} IMAGES --out counts")
    return 0


def _out(args: argparse.Namespace) -> Path:
    """Return where the model goes: into a folder, or, of an exported one, into a file."""
    exported = args.run.suffix.lower() == ONNX and args.run.is_file()
    if exported:
        out: Path = args.out or args.run.with_name(f"{args.run.stem}-calibrated{ONNX}")
        if out.suffix.lower() != ONNX:
            raise UsageError(f"{args.run} is an exported model, and so is what becomes of it; name --out FILE{ONNX}")
        if out.exists():
            raise OutputError(f"{out} is there already; choose another `out`")
        require_output_folder(out.parent)
        return out
    out = args.out or Path(f"{args.run.name}-calibrated" if not args.run.exists() else f"{args.run}-calibrated")
    require_output_folder(out)
    if (out / "model").exists() or (out / "config.json").exists():
        raise OutputError(f"{out} already holds a model; choose another `out`")
    return out


def _save(run: Path, out: Path, found: Recalibration) -> None:
    if run.suffix.lower() == ONNX and run.is_file():
        from dotcount.export import with_settings

        with_settings(run, out, found.metadata)
        return
    from dotcount.files import make_folder, mark_output
    from dotcount.inference import model_folder
    from dotcount.models import io as model_io

    folder = model_folder(run)
    module, _ = model_io.load(folder)
    card = folder / model_io.CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {found.metadata.model}\n"
    before, limits, after = text.partition("\n## Limits")
    make_folder(out)
    mark_output(out, "run", "dotcount calibrate", ["model"])
    model_io.save(module, out / "model", found.metadata, f"{before}\n{_section(found)}{limits}{after}")


def _section(found: Recalibration) -> str:
    facts = found.metadata.calibration
    assert facts is not None, "a calibrated model says on what"
    return (
        f"## Calibrated again\n\nOn {facts.images:,} images of {facts.data} with {facts.dots:,} dots; what stands "
        f"above about count scale, threshold and interval is of the model before.\n\n{summary(found)}\n"
    )


def summary(found: Recalibration) -> str:
    """Return what changed as lines."""
    metadata, before, after = found.metadata, found.before, found.after
    facts, interval = metadata.calibration, metadata.interval
    assert facts is not None, "a calibrated model says on what"
    mean = facts.dots / facts.images
    lines = [f"note: {note}" for note in found.notes]
    share = [f" ({one.bias / mean:+.1%})" if mean else "" for one in (before, after)]
    lines += [
        f"count scale {facts.former_scale:.4g} -> {metadata.count_scale:.4g}; "
        f"least mass of a point {metadata.peaks.threshold:g}",
        f"before: MAE {before.mae:.2f}, mean error {before.bias:+.2f}{share[0]}",
        f"after, each image by the scale of the others: MAE {after.mae:.2f}, mean error {after.bias:+.2f}{share[1]}",
    ]
    if found.bias_within is not None and interval is not None:
        said = f"mean error on many such images: known to within ±{found.bias_within:.1%} ({interval.level:.0%})"
        needed = found.images_for(BIAS)
        more = f"; about {needed:,} images would make it ±{BIAS:.0%}" if needed and needed > facts.images else ""
        lines.append(said + more)
    if interval is not None and interval.finite:
        lines.append(f"interval: count -+ {interval.scale:.3g} sqrt(count + 1), {interval.promise}")
    return "\n".join(lines)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must lie between 0 and 1, such as 0.9")
    return value


def _share_or_none(text: str) -> float | None:
    return None if text == "none" else _share(text)
