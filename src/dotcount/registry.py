"""A name -> factory table with did-you-mean, shared by losses, models, formats and benchmarks."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from dotcount.errors import UnknownNameError, UsageError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string when none is near."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


class Registry(Generic[T]):
    """Named factories of one kind.

    Parameters
    ----------
    kind
        What the entries are, in the singular, for messages ("loss", "model").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Return a decorator that stores a factory under ``name``; a name can be taken once."""

        def store(factory: Callable[..., T]) -> Callable[..., T]:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = factory
            return factory

        return store

    def get(self, name: str) -> Callable[..., T]:
        """Return the factory called ``name``.

        Raises
        ------
        UnknownNameError
            If there is none; the message lists the known names and suggests the nearest.
        """
        if name not in self._entries:
            known = ", ".join(sorted(self._entries))
            raise UnknownNameError(f"unknown {self.kind} {name!r}.{did_you_mean(name, self._entries)} Known: {known}.")
        return self._entries[name]

    def create(self, name: str, **options: object) -> T:
        """Build the entry called ``name`` with ``options``; unknown options are a usage error."""
        factory = self.get(name)
        parameters = inspect.signature(factory).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            for option in options:
                if option not in parameters:
                    raise UsageError(
                        f"{self.kind} {name!r} has no option {option!r}.{did_you_mean(option, parameters)} "
                        f"Options: {', '.join(parameters) or 'none'}."
                    )
        return factory(**options)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries
