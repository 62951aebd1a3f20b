"""From the library's words to those of the command line: parameters become options, unknown options get suggestions."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from dotcount.errors import UsageError
from dotcount.registry import did_you_mean


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours: one line that suggests what may have been meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as usual; an unknown option is reported before anything that lacks, for it may be what was meant."""
        known = {option for inner in parsers(self) for option in options_of(inner)}
        words = [str(word) for word in args or ()]
        for word in words[: words.index("--")] if "--" in words else words:
            name = word.split("=")[0]
            if re.match(r"--\w", name) and not any(option.startswith(name) for option in known):
                self.error(f"unknown option {name}.{did_you_mean(name, known)}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise a :class:`UsageError` instead of printing the usage and leaving."""
        choice = re.match(r"argument (.*): invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice:
            choices = [word.strip("' ") for word in choice[3].split(",")]
            hint = did_you_mean(choice[2], choices)
            message = f"unknown {choice[1]} {choice[2]!r}.{hint} There are: {', '.join(choices)}."
        end = "" if message.endswith((".", "?")) else "."
        raise UsageError(f"{message}{end} Help: {self.prog} --help")


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the long options of a parser."""
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))


def with_options(text: str, parser: argparse.ArgumentParser | None) -> str:
    """Return a message of the library in which parameters are called as on the command line.

    The library names its parameters between backticks. One that the parser has an option for becomes that option, one
    that it takes as an argument that argument's name; other words between backticks stay as they are.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("--tile")
    >>> with_options("choose a smaller `tile`; `dotcount train` wrote it", parser)
    'choose a smaller --tile; `dotcount train` wrote it'
    """
    if parser is None:
        return text
    names: dict[str, str] = {}
    for action in (action for inner in parsers(parser) for action in inner._actions):
        long = [option for option in action.option_strings if option.startswith("--")]
        word = long[0] if long else action.metavar
        if isinstance(word, str):
            names.setdefault(action.dest, word)
    return re.sub(r"`(\w+)`", lambda match: names.get(match[1], match[0]), text)


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)
