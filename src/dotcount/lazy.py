"""Names of a package whose modules are imported on first use, since torch alone takes seconds to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` (PEP 562) that imports a module when one of its names is first asked for.

    Parameters
    ----------
    package
        Full name of the package: its ``__name__``.
    modules
        Full name of a module, or its name within the package, -> the names that it defines.

    Raises
    ------
    AttributeError
        By the function returned, for a name that no module defines.

    Examples
    --------
    >>> get = lazy_names("dotcount.metrics", {"counting": ("counting_metrics",), "dotcount.points": ("Points",)})
    >>> get("Points").__module__, get("counting_metrics").__module__
    ('dotcount.points', 'dotcount.metrics.counting')
    """
    home = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = home[name]
        return getattr(import_module(module if module.startswith("dotcount.") else f"{package}.{module}"), name)

    return __getattr__
