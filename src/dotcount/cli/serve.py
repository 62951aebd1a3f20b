"""Count photos on a page in the browser.

Starts a server and prints its address. The page takes photos, folders and shots of a phone's camera, shows count,
interval, located points and density on a picture to zoom, counts in regions that are drawn, and gives tables, pictures
and GeoJSON. No request leaves this machine, and the photos are removed when the server ends (Ctrl+C).

By default the page is reached from this machine alone. With --host 0.0.0.0 it is reached from the network, by who has
the token that is part of the printed address; the connection is not encrypted, so do that in a network you trust.
"""

from __future__ import annotations

import argparse
import dataclasses

from dotcount.cli.common import add_address, add_device, add_run, add_seed, add_tile, positive_number, require_model

EXAMPLES = """\
examples:
  dotcount serve runs/cells
  dotcount serve trees --port 9000 --open
  dotcount serve runs/cells --host 0.0.0.0     to count on a phone in the same network
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    add_address(parser, port=8321)
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-mb", type=positive_number, metavar="MB", help="size of one file (default: 500)")
    limits.add_argument(
        "--max-megapixels", type=positive_number, metavar="MP", help="size of one image, million pixels (default: 100)"
    )
    limits.add_argument(
        "--max-seconds", type=positive_number, metavar="S", help="time for counting one image (default: 300)"
    )
    add_tile(parser)
    add_device(parser)
    add_seed(parser, "accepted for uniformity; counting draws nothing at random")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from dotcount import web

    web.require()
    require_model(args.run)
    from dotcount.web.access import Access
    from dotcount.web.count_page import count_app
    from dotcount.web.limits import ServerLimits
    from dotcount.web.server import address_of, listen, serve

    access = Access.of(args.host, args.token)
    given = {
        "upload_bytes": None if args.max_mb is None else round(args.max_mb * 1e6),
        "pixels": None if args.max_megapixels is None else round(args.max_megapixels * 1e6),
        "seconds": args.max_seconds,
    }
    limits = dataclasses.replace(ServerLimits(), **{name: value for name, value in given.items() if value is not None})
    opened = listen(args.host, args.port)
    address = address_of(opened, args.host) + (f"/?token={access.token}" if access.token else "/")
    print(f"counting with {args.run} at {address}")
    print("Ctrl+C ends the server and removes the photos", flush=True)
    if args.open:
        import webbrowser

        webbrowser.open(address)
    serve(count_app(args.run, access, limits, device=args.device, tile=args.tile), opened, limits)
    return 0
