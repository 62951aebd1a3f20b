"""What the verbs share: common options, progress on a terminal, lines of output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dotcount.errors import ModelError, OutputError, UsageError


def add_out(parser: argparse.ArgumentParser, text: str, metavar: str = "DIR") -> None:
    """Add the required ``--out``."""
    parser.add_argument("--out", required=True, type=Path, metavar=metavar, help=text)


def add_run(parser: argparse.ArgumentParser, *, exported: bool = True) -> None:
    """Add the positional ``RUN``; ``exported``: it may be an exported file."""
    file = " an exported .onnx file," if exported else ""
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help=f"what `dotcount train --out` wrote, its model folder,{file} or cells or trees, models that come with "
        "dotcount",
    )


def add_tile(parser: argparse.ArgumentParser) -> None:
    """Add ``--tile``."""
    parser.add_argument(
        "--tile",
        type=whole_number(0),
        metavar="PX",
        help="tile size for large images (default: by size; 0: never); the result is the same",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or mps (default: auto, a GPU where there is one)"
    )


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add ``--runtime``."""
    from dotcount.inference.locate import RUNTIMES

    parser.add_argument(
        "--runtime",
        default="auto",
        choices=RUNTIMES,
        help="what runs the network (default: auto, ONNX Runtime on a CPU and PyTorch on a GPU); counts agree to 1e-4",
    )


def add_address(parser: argparse.ArgumentParser, port: int) -> None:
    """Add ``--host``, ``--port``, ``--token`` and ``--open``, for verbs that serve a page."""
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1, this machine)"
    )
    parser.add_argument(
        "--port", type=whole_number(0), default=port, metavar="N", help=f"default: {port}; 0: any free one"
    )
    parser.add_argument(
        "--token", metavar="TEXT", help="what visitors must show (default: made anew beyond this machine, else none)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser of this machine")


def add_seed(parser: argparse.ArgumentParser, text: str, default: int | None = 0) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=int, default=default, metavar="N", help=text)


def add_data_format(parser: argparse.ArgumentParser) -> None:
    """Add ``--format`` for data that is not recognised rightly."""
    parser.add_argument(
        "--format", default="auto", metavar="NAME", help="layout of DATA (default: auto, recognised and said)"
    )


def add_classes(parser: argparse.ArgumentParser) -> None:
    """Add ``--class`` for data whose dots have classes."""
    parser.add_argument(
        "--class", action="append", metavar="NAME", dest="classes", help="keep this class of dots only; may be repeated"
    )


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Add ``--strict``."""
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail if a file of DATA is left out or can't be read, rather than say so",
    )


def whole_number(least: int) -> Callable[[str], int]:
    """Return an argparse type for integers of at least ``least``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least {least}")
        return value

    return parse


def positive_number(text: str) -> float:
    """Return a positive float, as an argparse type."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive number")
    return value


def require_output_folder(path: Path) -> None:
    """Raise an :class:`OutputError` before any work if ``path`` can't become a folder to write to."""
    from dotcount.files import require_writable

    if path.is_file():
        raise OutputError(f"--out {path} is a file; name a folder")
    require_writable(path)


def require_model(run: Path, others: Iterable[str | Path] = ()) -> None:
    """Raise an error if ``run`` holds no model; where one of the other arguments does, they seem to be swapped."""
    from dotcount.inference import find_model

    try:
        find_model(run)
    except ModelError as error:
        for other in others:
            with suppress(ModelError):
                find_model(Path(other))
                raise UsageError(
                    f"{run} holds no trained model, but {other} does; are the two swapped? The model comes first"
                ) from error
        raise


@contextmanager
def progress(task: str) -> Iterator[Callable[[float, int], None]]:
    """Yield a function of (done, total) that draws a bar; silent when stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task(task, total=None)
        yield lambda done, total: bar.update(line, completed=done, total=total)


def quoted(path: Path | str) -> str:
    """Return a path as one shell word, for commands that are shown to be copied."""
    import shlex

    return shlex.quote(str(path))
