"""Join the results of all shards of a prediction job, as one run would have written them.

Every shard must be finished: what was stopped goes on when its command is given again, and a finished one is not
repeated. The shards stay as they are.
"""

from __future__ import annotations

import argparse

from dotcount.cli.common import add_out, require_output_folder

EXAMPLES = """\
examples:
  for i in 1 2 3 4; do dotcount predict cells photos/ --out job --shard $i/4 --write csv; done
  dotcount merge job --out counts
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shards", nargs="+", metavar="SHARDS", help="folder that holds the shards, or the shards")
    add_out(parser, "folder for the results of the whole job; new or empty")


def run(args: argparse.Namespace) -> int:
    """Merge and sum up."""
    require_output_folder(args.out)
    from dotcount.cli.predict_outcome import summary_lines
    from dotcount.prediction import merge

    summary = merge(args.shards, args.out)
    for line in summary_lines(summary, str(args.out / "counts.csv")):
        print(line)
    return 0
