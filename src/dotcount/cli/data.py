"""Inspect, convert and make data."""

from __future__ import annotations

import argparse

from dotcount.cli.common import add_data_format, add_out, add_seed, whole_number

EXAMPLES_INFO = """\
examples:
  dotcount data info cells/
  dotcount data info shanghaitech_b:ShanghaiTech/part_B
"""
EXAMPLES_SYNTH = """\
examples:
  dotcount data synth --out made-up
  dotcount data synth --out made-up --kind crowd --train 200 --test 50 --seed 1
"""
EXAMPLES_CONVERT = """\
examples:
  dotcount data convert labels.json --to csv --out cells-csv
  dotcount data convert shanghaitech_b:ShanghaiTech/part_B --to coco --images link --out crowd-coco
"""
EXAMPLES = EXAMPLES_INFO + "".join(text.removeprefix("examples:\n") for text in (EXAMPLES_CONVERT, EXAMPLES_SYNTH))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, each with its arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, text: str, examples: str) -> argparse.ArgumentParser:
        form = argparse.RawDescriptionHelpFormatter
        description = f"{text[0].upper()}{text[1:]}."
        return actions.add_parser(name, help=text, description=description, epilog=examples, formatter_class=form)

    info = add("info", "say what was recognised, with statistics of the counts", EXAMPLES_INFO)
    info.add_argument("data", metavar="DATA", help="folder, annotation file, or recipe:PATH")
    add_data_format(info)
    convert = add("convert", "write images and dots in another annotation format", EXAMPLES_CONVERT)
    convert.add_argument("data", metavar="DATA", help="folder, annotation file, or recipe:PATH")
    add_data_format(convert)
    convert.add_argument("--to", default="csv", metavar="NAME", help="format to write (default: csv)")
    convert.add_argument(
        "--class", action="append", metavar="NAME", dest="classes", help="keep this class only; may be repeated"
    )
    convert.add_argument(
        "--images", default="copy", choices=("copy", "link", "none"), help="copy them, link to them, or write dots only"
    )
    add_out(convert, "new folder for the data")
    synth = add("synth", "draw scenes with exactly known dots, as images and csv", EXAMPLES_SYNTH)
    add_out(synth, "new folder for the data")
    synth.add_argument("--kind", default="cells", help="cells or crowd (default: cells)")
    for split, number in (("train", 80), ("val", 20), ("test", 20)):
        synth.add_argument(
            f"--{split}", type=whole_number(0), default=number, metavar="N", help=f"{split} images (default: {number})"
        )
    synth.add_argument(
        "--size", type=whole_number(1), default=256, metavar="PX", help="side of the images (default: 256)"
    )
    add_seed(synth, "series of scenes (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    code: int = {"convert": convert, "info": info, "synth": synth}[args.action](args)
    return code


def convert(args: argparse.Namespace) -> int:
    """Write a data set in another format."""
    from dotcount.cli.common import require_output_folder
    from dotcount.data import convert as write
    from dotcount.data import open_collection

    require_output_folder(args.out)
    collection = open_collection(args.data, format=args.format, classes=args.classes)
    write(collection, args.out, args.to, images=args.images)
    print(f"{collection.note}\n{args.out}: written as {args.to}")
    return 0


def synth(args: argparse.Namespace) -> int:
    """Write a data set of made-up scenes."""
    from dotcount.cli.common import require_output_folder
    from dotcount.data import open_collection
    from dotcount.data.synthetic import write_dataset

    require_output_folder(args.out)
    sizes = {"train": args.train, "val": args.val, "test": args.test}
    write_dataset(args.out, args.kind, seed=args.seed, size=args.size, **sizes)
    print(f"{args.out}: {open_collection(args.out).note}")
    return 0


def info(args: argparse.Namespace) -> int:
    """Print what was recognised in a data set."""
    import numpy as np

    from dotcount.data import open_collection

    collection = open_collection(args.data, format=args.format, strict=False)
    print(collection.note)
    parts = [(name, collection.split(name)) for name in collection.splits] or [("all", collection)]
    for name, part in parts:
        counts = np.array([record.count for record in part.annotated().records])
        if not counts.size:
            print(f"  {name}: {len(part)} images without dots")
            continue
        low, middle, high = counts.min(), np.median(counts), counts.max()
        print(f"  {name}: {len(part):,} images, {counts.sum():,} dots; per image {low} to {high}, median {middle:g}")
    for label, text in (("license", collection.license), ("please cite", collection.citation)):
        if text:
            print(f"{label}: {text}")
    for problem in collection.problems[:20]:
        print(f"problem: {problem.message}")
    if len(collection.problems) > 20:
        print(f"and {len(collection.problems) - 20} more problems")
    return 1 if collection.problems else 0
