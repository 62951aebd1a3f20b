"""A name -> factory table with did-you-mean, shared by losses, models, formats, sources, sinks and benchmarks.

What belongs to dotcount is a file of its folder with a registering decorator; the folder is searched by
:func:`import_folder`, no list is kept. Another package can add entries: it names them under an entry point group such
as ``dotcount.losses``, in its ``pyproject.toml``::

    [project.entry-points."dotcount.losses"]
    my_loss = "my_package.losses:MyLoss"

They are loaded when the table is first asked for a name. One that can't be loaded is left out with a warning.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from dotcount.errors import UnknownNameError, UsageError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string when none is near.

    Examples
    --------
    >>> did_you_mean("baysian", ["uot", "bayesian"])
    " Did you mean 'bayesian'?"
    """
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def import_folder(package: str) -> None:
    """Import every module of a package's folder, so that each registers what it defines.

    Parameters
    ----------
    package
        Full name of the package, ``__name__`` in its ``__init__.py``.

    Examples
    --------
    >>> import sys
    >>> import_folder("dotcount.losses")
    >>> "dotcount.losses.uot" in sys.modules
    True
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)


class Registry(Generic[T]):
    """Named factories of one kind.

    Parameters
    ----------
    kind
        What the entries are, in the singular, for messages ("loss", "model").
    group
        Entry point group by which other packages add entries; ``None``: they can't.
    base
        What an added entry must be a subclass of, where it is a class.

    Attributes
    ----------
    broken
        Why entries of other packages could not be loaded, by name.

    Examples
    --------
    >>> shapes = Registry("shape")
    >>> @shapes.register("square")
    ... def square(side=1.0):
    ...     return side * side
    >>> shapes.create("square", side=3.0)
    9.0
    >>> shapes.create("sqare")
    Traceback (most recent call last):
    ...
    dotcount.errors.UnknownNameError: unknown shape 'sqare'. Did you mean 'square'? Known: square.
    """

    def __init__(self, kind: str, group: str | None = None, base: type | None = None) -> None:
        self.kind = kind
        self.group = group
        self.base = base
        self.broken: dict[str, str] = {}
        self._entries: dict[str, Callable[..., T]] = {}
        self._complete = group is None

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
        self._load()
        if name not in self._entries:
            known = ", ".join(sorted(self._entries))
            why = f" It could not be loaded: {self.broken[name]}." if name in self.broken else ""
            hint = why or did_you_mean(name, self._entries)
            raise UnknownNameError(f"unknown {self.kind} {name!r}.{hint} Known: {known}.")
        return self._entries[name]

    def check(self, name: str, options: Iterable[str] = ()) -> Callable[..., T]:
        """Return the factory called ``name`` after making sure that it takes ``options``; nothing is built.

        Raises
        ------
        UnknownNameError
            If there is no such entry.
        UsageError
            If it has no such option; the message lists those it has and suggests the nearest.
        """
        factory = self.get(name)
        parameters = inspect.signature(factory).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            for option in options:
                if option not in parameters:
                    raise UsageError(
                        f"{self.kind} {name!r} has no option {option!r}.{did_you_mean(option, parameters)} "
                        f"Options: {', '.join(parameters) or 'none'}."
                    )
        return factory

    def create(self, name: str, **options: object) -> T:
        """Build the entry called ``name`` with ``options``; see :meth:`check` for errors."""
        return self.check(name, options)(**options)

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def _load(self) -> None:
        """Load what other packages add; one that is broken is reported, and takes nothing else with it."""
        if self._complete:
            return
        self._complete = True
        for point in entry_points(group=self.group or ""):
            package = point.dist.name if point.dist is not None else "a package"
            try:
                factory = point.load()
                if not callable(factory):
                    raise TypeError(f"{point.value} is not callable")
                if self.base is not None and isinstance(factory, type) and not issubclass(factory, self.base):
                    raise TypeError(f"{point.value} is no {self.base.__name__}")
                if point.name in self._entries:
                    raise ValueError(f"there is a {self.kind} of this name already")
            except Exception as error:
                self.broken[point.name] = " ".join(f"{type(error).__name__}: {error}".split())
                message = f"{self.kind} {point.name!r} of {package} can't be used ({self.broken[point.name]})"
                warnings.warn(f"{message}; update or remove {package}", stacklevel=3)
            else:
                self._entries[point.name] = factory
