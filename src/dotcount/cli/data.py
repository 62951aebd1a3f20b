"""Check, inspect, convert, split and make data."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from dotcount.cli.common import add_classes, add_data_format, add_out, add_seed, add_strict, whole_number

EXAMPLES_BY_ACTION = {
    "info": """\
examples:
  dotcount data info cells/
  dotcount data info shanghaitech_b:ShanghaiTech/part_B
""",
    "check": """\
examples:
  dotcount data check cells/ --out cells-check
  dotcount data check cells/ --fix cells-corrected
""",
    "convert": """\
examples:
  dotcount data convert labels.json --to csv --out cells-csv
  dotcount data convert shanghaitech_b:ShanghaiTech/part_B --to coco --images link --out crowd-coco
""",
    "split": """\
examples:
  dotcount data split photos/
  dotcount data split photos/ --by folder --shares train=0.8,val=0.1,test=0.1 --seed 1
  dotcount data split photos/ --by 'plate(\\d+)'
""",
    "synth": """\
examples:
  dotcount data synth --out made-up
  dotcount data synth --out made-up --kind crowd --train 200 --test 50 --seed 1
""",
}
EXAMPLES = "examples:\n" + "".join(text.removeprefix("examples:\n") for text in EXAMPLES_BY_ACTION.values())


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, each with its arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _configure_info(_add(actions, "info", "say what was recognised, with statistics of the counts, or why nothing was"))
    _configure_check(
        _add(actions, "check", "look for everything that commonly goes wrong; exit code 1 if errors are found")
    )
    _configure_convert(_add(actions, "convert", "write images and dots in another annotation format"))
    _configure_split(_add(actions, "split", "deal images to train, val and test so that neighbours stay together"))
    _configure_synth(_add(actions, "synth", "draw scenes with exactly known dots, as images and csv"))


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    code: int = getattr(import_module("dotcount.cli.data_actions"), args.action)(args)
    return code


def _add(actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=EXAMPLES_BY_ACTION[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="folder, annotation file, or BENCHMARK:PATH")
    add_data_format(parser)
    add_classes(parser)
    add_strict(parser)


def _configure_info(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)


def _configure_check(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write check.html, with pictures, and check.json there")
    parser.add_argument("--fix", type=Path, metavar="DIR", help="write a corrected copy there; DATA stays as it is")


def _configure_convert(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--to", default="csv", metavar="NAME", help="format to write (default: csv)")
    parser.add_argument(
        "--images", default="copy", choices=("copy", "link", "none"), help="copy them, link to them, or write dots only"
    )
    add_out(parser, "new folder for the data")


def _configure_split(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument(
        "--by",
        default="image",
        metavar="HOW",
        help="what stays together: image (nothing does), folder, time, order, or a regular expression "
        "that finds the group in the image's name (default: image)",
    )
    parser.add_argument(
        "--shares",
        type=_shares,
        metavar="NAME=X,...",
        help="share of each part (default: train=0.7,val=0.15,test=0.15)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="manifest to write (default: DATA/splits.csv)")
    add_seed(parser, "seed of the draw (default: 0)")


def _configure_synth(parser: argparse.ArgumentParser) -> None:
    add_out(parser, "new folder for the data")
    parser.add_argument("--kind", default="cells", help="cells or crowd (default: cells)")
    for split, number in (("train", 80), ("val", 20), ("test", 20)):
        parser.add_argument(
            f"--{split}", type=whole_number(0), default=number, metavar="N", help=f"{split} images (default: {number})"
        )
    parser.add_argument(
        "--size", type=whole_number(1), default=256, metavar="PX", help="side of the images (default: 256)"
    )
    add_seed(parser, "series of scenes (default: 0)")


def _shares(text: str) -> dict[str, float]:
    """Read ``train=0.8,test=0.2``."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): float(value) for name, value in pairs}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form train=0.8,test=0.2") from error
