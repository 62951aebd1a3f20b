"""What the actions of ``dotcount data`` do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dotcount.cli.common import quoted, require_output_folder
from dotcount.data import convert as write_converted
from dotcount.data import open_collection
from dotcount.data.benchmarks import BENCHMARKS
from dotcount.data.checks import DataCheck, repair
from dotcount.data.checks import check as examine
from dotcount.data.explain import survey
from dotcount.data.records import LeftOut
from dotcount.data.splits import MANIFEST, assign_splits, write_splits
from dotcount.data.survey import survey as read_headers
from dotcount.data.synthetic import write_dataset
from dotcount.errors import DataError
from dotcount.files import make_folder, marking

SHOWN = 20  # findings or problems that are printed; more would hide the first ones


def info(args: argparse.Namespace) -> int:
    """Print what was recognised in a data set; 1 if something is wrong with it."""
    try:
        collection = open_collection(args.data, format=args.format, strict=False, classes=args.classes)
    except DataError:
        explain(args.data)
        raise
    print(collection.recognised)
    parts = [(name, collection.split(name)) for name in collection.splits] or [("all", collection)]
    for name, part in parts:
        counts = np.array([record.count for record in part.annotated().records])
        if not counts.size:
            print(f"  {name}: {len(part)} images without dots")
            continue
        low, middle, high = counts.min(), np.median(counts), counts.max()
        print(f"  {name}: {len(part):,} images, {counts.sum():,} dots; per image {low} to {high}, median {middle:g}")
    facts = [("license", collection.license), ("please cite", collection.citation)]
    if collection.format in BENCHMARKS:
        protocol = BENCHMARKS.create(collection.format).protocol
        facts = [("images in training and use", collection.resize.described()), ("protocol", protocol), *facts]
    for label, text in facts:
        if text:
            print(f"{label}: {text}")
    for problem in collection.problems[:SHOWN]:
        print(f"problem: {problem.message}")
    if len(collection.problems) > SHOWN:
        print(f"and {len(collection.problems) - SHOWN} more problems")
    for text in read_headers([r.image for r in collection.records if r.error is None]).messages():
        print(f"note: {text}")
    _print_left_out(collection.left_out)
    return 1 if collection.problems or (args.strict and collection.left_out) else 0


def explain(data: str) -> None:
    """Print what lies where nothing could be opened, what each format makes of it, and what would make it work."""
    place = Path(data.partition(":")[2] if data.partition(":")[0] in BENCHMARKS else data).expanduser()
    try:
        found = survey(place)
    except DataError:
        return  # the error that follows says as much
    print(f"{place} holds {found.images:,} images; looked at: {found.files or 'no file'}")
    for each in found.evidence:
        if each.near or each.recognised:
            number = f"{each.recognised or 'none'} of {each.files} files"
            print(f"  {each.format}: {number}; {each.file}: {each.objection}")
    foreign = [each.format for each in found.evidence if not each.near and not each.recognised]
    if foreign:
        print(f"  none of the files is of: {', '.join(foreign)}")
    for text in found.unknown:
        print(f"  {text}")
    _print_left_out(found.left_out)
    usable = [e for e in found.evidence if e.recognised and not e.near]
    if usable and found.images:
        print(f"to try: dotcount data info {quoted(place)} --format {usable[0].format}")
    elif found.images:
        folder = place if place.is_dir() else place.parent
        print(f"to begin: write {quoted(folder / 'dots.csv')} with the columns image,x,y, a line for each object")
        print(f"    then: dotcount data info {quoted(folder)}")


def _print_left_out(left_out: Sequence[LeftOut]) -> None:
    for each in left_out[:SHOWN]:
        print(f"left out: {each.path} ({each.reason})")
    if len(left_out) > SHOWN:
        print(f"and {len(left_out) - SHOWN} more left out")


def check(args: argparse.Namespace) -> int:
    """Print the findings, write them where asked; 1 if there are errors."""
    for folder in filter(None, (args.out, args.fix)):
        require_output_folder(folder)
    collection = open_collection(args.data, format=args.format, strict=False, classes=args.classes)
    print(collection.recognised)
    report = examine(collection)
    _print_findings(report, args.out)
    if args.out:
        from dotcount.report import write_check_page

        with marking(args.out, "check", "dotcount data check"):
            make_folder(args.out)
            report.write_json(args.out / "check.json")
            write_check_page(args.out / "check.html", report)
        print(f"report: {args.out / 'check.html'}")
    if args.fix:
        changes = repair(report, args.fix)
        print(f"corrected copy: {args.fix}, {len(changes)} changes listed in {args.fix / 'changes.txt'}")
    _print_left_out(collection.left_out)
    return 1 if report.errors or (args.strict and collection.left_out) else 0


def _print_findings(report: DataCheck, out: Path | None) -> None:
    for finding in report.findings[:SHOWN]:
        print(f"{finding.severity}: {finding.message}")
    if len(report.findings) > SHOWN:
        where = f"all are in {out / 'check.json'}" if out else "--out DIR writes them all"
        print(f"and {len(report.findings) - SHOWN} more; {where}")
    if not report.findings:
        print("nothing is wrong")
    if report.suggestions is not None:
        found = report.suggestions
        parts = [f"crop {found.crop} px", f"stride {found.stride} px", f"length scale {found.length_scale:g} px"]
        if found.sigma is not None:
            parts.append(f"Gaussian sigma {found.sigma:g} px")
        print(f"to start from: {', '.join(parts)}")


def convert(args: argparse.Namespace) -> int:
    """Write a data set in another format."""
    require_output_folder(args.out)
    collection = open_collection(args.data, format=args.format, classes=args.classes, complete=args.strict)
    write_converted(collection, args.out, args.to, images=args.images)
    print(f"{collection.note}\n{args.out}: written as {args.to}")
    return 0


def split(args: argparse.Namespace) -> int:
    """Write the manifest of a fresh split."""
    collection = open_collection(args.data, format=args.format, classes=args.classes, complete=args.strict)
    target = args.out or collection.root / MANIFEST
    require_output_folder(target.parent)
    dealt = assign_splits(collection, args.shares, by=args.by, seed=args.seed)
    write_splits(dealt, target, args.by)
    parts = [f"{name} {len(dealt.split(name))} images, {dealt.split(name).n_dots:,} dots" for name in dealt.splits]
    print(f"{target}: {'; '.join(parts)}")
    return 0


def synth(args: argparse.Namespace) -> int:
    """Write a data set of made-up scenes."""
    require_output_folder(args.out)
    sizes = {"train": args.train, "val": args.val, "test": args.test}
    write_dataset(args.out, args.kind, seed=args.seed, size=args.size, **sizes)
    print(f"{args.out}: {open_collection(args.out).note}")
    return 0
