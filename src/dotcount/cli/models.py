"""List the models and weights there are, or push a trained model to a hub.

Without a word: models that come with dotcount and ImageNet weights to start from, with where they come from, licence
and measured results, and the names of all networks. `push` uploads a run's model with its settings and card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

EXAMPLES = """\
examples:
  dotcount models
  dotcount models list --json
  dotcount models push runs/herons someone/herons --private
  dotcount predict hf-hub:someone/herons photos/ --out counts
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="what there is (default)")
    listing.add_argument("--json", action="store_true", help="the index of weights as JSON")
    push = actions.add_parser("push", help="upload a model to a Hugging Face hub")
    push.add_argument("run", type=Path, metavar="RUN", help="what `dotcount train --out` wrote, or its model folder")
    push.add_argument("name", metavar="OWNER/NAME", help="repository; made if it is not there")
    push.add_argument("--private", action="store_true", help="make the repository private")


def run(args: argparse.Namespace) -> int:
    """List or push."""
    if args.action == "push":
        from dotcount.inference import model_folder
        from dotcount.weights import hub

        address = hub.push(model_folder(args.run), args.name, private=args.private)
        print(f"{address}\nnext: dotcount predict {hub.PREFIX}{args.name} IMAGES --out counts")
        return 0
    from dotcount.weights.index import index

    if getattr(args, "json", False):
        from dataclasses import asdict

        print(json.dumps([asdict(entry) for entry in index()], indent=1))
        return 0
    print("\n".join(table()))
    return 0


def table() -> list[str]:
    """Return the lines of the listing."""
    from dotcount.models import available
    from dotcount.weights.index import index

    lines = []
    for kind, title in (("model", "trained models (RUN)"), ("encoder", "ImageNet weights (model.pretrained=true)")):
        lines += [title]
        entries = [entry for entry in index() if entry.kind == kind]
        for entry in entries:
            lines.append(f"  {entry.name:<8} {entry.license:<14} {entry.where}")
            results = ", ".join(f"{name} {value:g}" for name, value in entry.results.items())
            lines.append(f"  {'':<8} sha256 {entry.sha256[:16]}  {results or entry.card}")
    lines += ["networks (model.name)"]
    row = "  "
    for name in available():
        if len(row) + len(name) > 100:
            lines.append(row.rstrip())
            row = "  "
        row += f"{name} "
    return [*lines, row.rstrip()]
