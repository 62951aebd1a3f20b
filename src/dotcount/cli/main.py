"""Entry point of ``dotcount``: finds the verb, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dotcount.errors import DotcountError, UsageError
from dotcount.process import keep_freed_memory, let_threads_sleep
from dotcount.registry import did_you_mean

VERBS = {
    "demo": "the whole path on made-up images: train, evaluate, predict, report (under 5 minutes)",
    "train": "learn to count from images with one dot per object",
    "evaluate": "score a trained model on annotated images, with a report",
    "predict": "count and locate objects in images",
    "explain": "draw what a model sees in an image, and which dot explains which part of it",
    "compare": "put runs side by side on the same images: spread over seeds, intervals, paired tests",
    "data": "check, inspect, convert, split or make data",
}
"""Verb -> what it does; each is a module of this package with ``configure(parser)`` and ``run(args)``."""

EXAMPLES = """\
examples:
  dotcount demo --out demo-out
  dotcount train cells/ --out runs/cells --max-minutes 20
  dotcount evaluate runs/cells cells/ --split test --out runs/cells/test
  dotcount predict runs/cells photos/ --out counts
  dotcount train --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 success, 1 a failed run, 2 a usage error, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except DotcountError as error:
        print(f"dotcount: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a usage error it has already explained
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        hint = "; run the same command with --resume to continue" if words[:1] == ["train"] else ""
        print(f"\ndotcount: interrupted{hint}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        return 1
    except Exception as error:
        if os.environ.get("DOTCOUNT_DEBUG"):
            raise
        text = " ".join(str(error).split())[:300]
        kind = type(error).__name__
        advice = "this may be a defect: run again with DOTCOUNT_DEBUG=1 and report the trace"
        print(f"dotcount: error: {kind}: {text}; {advice}", file=sys.stderr)
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        return _top(words)
    verb = words[0]
    if verb not in VERBS:
        known = ", ".join(VERBS)
        raise UsageError(f"unknown command {verb!r}.{did_you_mean(verb, VERBS)} Commands: {known}.")
    module = import_module(f"dotcount.cli.{verb}")
    parser = argparse.ArgumentParser(
        prog=f"dotcount {verb}",
        description=module.__doc__,
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    args = parser.parse_args(words[1:])
    keep_freed_memory()
    let_threads_sleep()
    code: int = module.run(args)
    return code


def _top(words: list[str]) -> int:
    width = max(map(len, VERBS)) + 2
    verbs = "\n".join(f"  {verb:<{width}}{text}" for verb, text in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="dotcount",
        usage="dotcount [--help] [--version] COMMAND ...",
        description="Learn to count and locate objects in images from one dot per object.",
        epilog=f"commands:\n{verbs}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    if parser.parse_args(words).version:
        from importlib.metadata import version

        print(f"dotcount {version('dotcount')}")
        return 0
    parser.print_help()
    # Nothing was asked for: show the help, but let scripts notice.
    return 2


if __name__ == "__main__":
    sys.exit(main())
