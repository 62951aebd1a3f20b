"""Make dots on a page in the browser, and train on them there.

DATA is a folder of images, with dots or without. Every change is written at once, into the data set's own files; a
folder without dots gets dots.csv. What would lose something (boxes, polygons, further columns) is not changed, and
told. With a model, from --run or trained in the page, its points are suggested; they become dots where they are
accepted. Models that are trained in the page are written to --out, and are used by every other command.

By default the page is reached from this machine alone. With --host 0.0.0.0 it is reached from the network, by who has
the token that is part of the printed address; the connection is not encrypted, so do that in a network you trust.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dotcount.cli.common import add_address, add_device, add_seed, require_model

EXAMPLES = """\
examples:
  dotcount annotate photos/ --open
  dotcount annotate photos/ --run cells
  dotcount annotate photos/ --format coco --out runs
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of images, with or without dots")
    parser.add_argument(
        "--run", type=Path, metavar="RUN", help="model whose points are suggested (default: the last one in --out)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for models that are trained in the page (default: DATA-runs)"
    )
    parser.add_argument(
        "--format", default="auto", metavar="NAME", help="format of the dots (default: recognised, or csv for new ones)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="any setting of a training"
    )
    add_address(parser, port=8322)
    add_device(parser)
    add_seed(parser, "seed of trainings (default: 0)", default=None)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from dotcount import web

    web.require()
    if args.run is not None:
        require_model(args.run, [args.data])
    from dotcount.data.editing import open_annotations
    from dotcount.web.access import Access
    from dotcount.web.annotate_page import annotate_app
    from dotcount.web.background_training import BackgroundTraining, require_runs_folder
    from dotcount.web.server import address_of, listen, serve

    access = Access.of(args.host, args.token)
    runs = args.out or args.data.expanduser().resolve().with_name(f"{args.data.expanduser().resolve().name}-runs")
    annotations = open_annotations(args.data, args.format)
    try:
        require_runs_folder(runs)
        seed = [] if args.seed is None else [f"training.seed={args.seed}"]
        training = BackgroundTraining(runs, args.device, (*args.overrides, *seed))
        opened = listen(args.host, args.port)
        app = annotate_app(annotations, training, access, run=args.run, device=args.device)
    except BaseException:
        annotations.close()
        raise
    address = address_of(opened, args.host) + (f"/?token={access.token}" if access.token else "/")
    print(annotations.note)
    print(f"models that are trained in the page are written to {runs}")
    print(f"annotate at {address}")
    print("Ctrl+C ends the server; every dot is written when it is made", flush=True)
    if args.open:
        import webbrowser

        webbrowser.open(address)
    serve(app, opened)
    return 0
