"""Write a trained model as one file that other programs run, with all its settings inside.

The counts of what was written are compared with PyTorch's on made images, and on those of --images; it is kept only
where they agree to 1e-4. `dotcount predict FILE ...` takes an ONNX file like a run, also where torch is not installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dotcount.cli.common import add_run, require_model, whole_number
from dotcount.errors import UsageError

EXAMPLES = """\
examples:
  dotcount export runs/cells --out cells.onnx
  dotcount export runs/cells --out cells.onnx --images cells/val
  dotcount predict cells.onnx photos/ --out counts
  dotcount export trees --format deepness --out trees-qgis.onnx
  dotcount export cells --format page --out counter
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser, exported=False)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the file to write; page: a folder")
    parser.add_argument(
        "--format",
        default="onnx",
        choices=("onnx", "deepness", "page"),
        metavar="NAME",
        help="onnx: images of any size (default); deepness: tiles of 512 px and objects per pixel, for the QGIS "
        "plug-in Deepness; page: a page that counts photos in any browser, without a server",
    )
    parser.add_argument(
        "--images", nargs="+", default=[], metavar="SOURCE", help="images, folders or patterns to compare counts on"
    )
    parser.add_argument(
        "--most",
        type=whole_number(1),
        default=20,
        metavar="N",
        help="compare at most so many of the images, evenly spread (default: 20)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")


def run(args: argparse.Namespace) -> int:
    """Export, compare, say how well they agree."""
    require_model(args.run, args.images)
    if args.out.exists() and not args.overwrite:
        raise UsageError(f"--out {args.out} is there already; choose another name, or set --overwrite to replace it")
    if args.format != "page" and args.out.suffix.lower() != ".onnx":
        raise UsageError(f"--out {args.out} must end in .onnx, by which an exported model is known")
    from dotcount.export import export
    from dotcount.prediction import find

    images: list[Path] = []
    if args.images:
        files = [path for path, _ in find(args.images).files if isinstance(path, Path)]
        if not files:
            raise UsageError("addresses of images are given; name files of this machine")
        step = max(1, len(files) / args.most)
        images = [files[int(k * step)] for k in range(min(args.most, len(files)))]
    written = args.out
    if args.format == "page":
        from dotcount.web.page import write_page

        parity, written = write_page(args.run, args.out, images, replace=args.overwrite), args.out / "index.html"
    else:
        parity = export(args.run, args.out, format=args.format, images=images)
    print(f"{parity.described()}: {written} ({written.stat().st_size / 1e6:.1f} MB)")
    return 0
