"""Entry point of ``dotcount``: finds the verb, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dotcount.cli.streams import tolerant_streams
from dotcount.cli.words import Parser, with_options
from dotcount.errors import DotcountError, UsageError
from dotcount.process import keep_freed_memory, let_threads_sleep
from dotcount.registry import did_you_mean

VERBS = {
    "demo": "the whole path on made-up images: train, evaluate, predict, report (under 5 minutes)",
    "train": "learn to count from images with one dot per object",
    "evaluate": "score a trained model on annotated images, with a report",
    "predict": "count and locate objects in images",
    "calibrate": "fit a trained model to a new kind of image by about 20 dotted ones, without training",
    "serve": "count photos on a page in the browser",
    "annotate": "make dots in the browser, helped by a model that learns from them",
    "export": "write a trained model as an ONNX file, for other programs and for machines without torch",
    "merge": "join the results of all shards of a prediction job",
    "explain": "draw what a model sees in an image, and which dot explains which part of it",
    "audit": "look at annotations twice: rank dots that may be wrong, with pictures to decide by",
    "models": "list models and weights, or push a trained model to a hub",
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
    with tolerant_streams():
        return _guarded(words)


def _guarded(words: list[str]) -> int:
    parsers: list[argparse.ArgumentParser] = []
    try:
        code = _dispatch(words, parsers)
        sys.stdout.flush()
        return code
    except DotcountError as error:
        _complain(f"error: {with_options(str(error), parsers[0] if parsers else None)}")
        return error.exit_code
    except SystemExit as stop:  # argparse: 0 after --help
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        hint = {
            "train": "run the same command with --resume to continue",
            "predict": "the same command continues",
            "audit": "the same command continues",
        }
        _complain("; ".join(["interrupted", *(hint[word] for word in words[:1] if word in hint)]))
        return 130
    except Exception as error:
        if os.environ.get("DOTCOUNT_DEBUG"):
            raise
        _complain(f"error: {_unforeseen(error)}")
        return 1


def _complain(text: str) -> None:
    print(f"dotcount: {' '.join(text.split())}", file=sys.stderr)


_SYSTEM = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "allow larger files, or write elsewhere",
    errno.EROFS: "choose another place",
    errno.EACCES: "ask for permission, or choose another place",
    errno.EPERM: "ask for permission, or choose another place",
    errno.EIO: "look after the disk",
    errno.EMFILE: "allow more open files (ulimit -n)",
}
"""What the system refuses for reasons of its own, and what to do about it."""


def _unforeseen(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}; {_SYSTEM[error.errno]}, then run again"
    missing = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing not in ("", "dotcount"):  # an installation that only predicts, or one that lost a package
        return f"this needs {missing}, which is not installed; run `pip install dotcount`"
    if isinstance(error, MemoryError):
        return "not enough memory; close other programs, or choose smaller sizes"
    advice = "this may be a defect: run again with DOTCOUNT_DEBUG=1 and report the trace"
    return f"{type(error).__name__}: {text}; {advice}"


def _dispatch(words: list[str], parsers: list[argparse.ArgumentParser]) -> int:
    """Run a verb; its parser is added to ``parsers``, for messages."""
    if not words or words[0].startswith("-"):
        return _top(words)
    verb = words[0]
    if verb not in VERBS:
        known = ", ".join(VERBS)
        raise UsageError(f"unknown command {verb!r}.{did_you_mean(verb, VERBS)} Commands: {known}.")
    module = import_module(f"dotcount.cli.{verb}")
    parser = Parser(
        prog=f"dotcount {verb}",
        description=module.__doc__,
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    parsers.append(parser)
    args = parser.parse_args(words[1:])
    keep_freed_memory()
    let_threads_sleep()
    code: int = module.run(args)
    return code


def _top(words: list[str]) -> int:
    width = max(map(len, VERBS)) + 2
    verbs = "\n".join(f"  {verb:<{width}}{text}" for verb, text in VERBS.items())
    parser = Parser(
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
