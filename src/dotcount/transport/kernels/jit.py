"""How the loops are compiled, and how machine code on disk is kept from outliving its sources.

numba looks at the file of a cached function only, not at those of the functions that it calls. So only the entry points
are cached, under names that carry a digest of all code of ``dotcount.transport``, without comments and docstrings:
after any edit of code there, machine code of before is not found, and is deleted.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numba
import numpy as np

Array: TypeAlias = np.ndarray
SUMS = {"reassoc", "contract", "nsz"}
"""What the compiler may do with sums; infinities keep their meaning."""


DIGITS = 16
"""Length of a digest."""


def code_of(source: str) -> str:
    """Return Python source in a form in which comments, docstrings and the layout of lines do not show."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # strings that stand for themselves do nothing
            node.body = [  # type: ignore[attr-defined]
                one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
            ]
    return ast.dump(tree)


@functools.cache
def source_digest() -> str:
    """Return the digest of all code that machine code can depend on."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0{code_of(path.read_text(encoding='utf-8'))}\0".encode())
    return digest.hexdigest()[:DIGITS]


def delete_stale(folder: Path) -> None:
    """Delete machine code that was compiled from sources of another digest, unless there is some of this one."""
    current = f"_{source_digest()}-"
    if any(folder.glob(f"*{current}*")):  # nothing is compiled anew
        return
    for path in folder.glob(f"*_{'[0-9a-f]' * DIGITS}-*.nb[ic]"):
        path.unlink(missing_ok=True)


def jit(fastmath: bool | set[str] = False) -> Callable[[Callable], Any]:
    """Return numba's decorator for a function that is called by compiled ones only.

    Its code becomes part of what calls it. A call that stays one finds, in the process that compiles, the function as
    it was optimised by itself, and later the copy that was optimised and stored with its caller: these round in
    different ways, so that the first run on a machine would not be repeated by the next.
    """
    return numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, forceinline=True)


def entry_point(fastmath: bool | set[str] = False) -> Callable[[Callable], Any]:
    """Return numba's decorator for a function that Python calls, with a cache on disk where there is room for it."""

    def decorate(function: Callable) -> Any:
        settings: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
        function.__qualname__ = f"{function.__name__}_{source_digest()}"  # numba names its files after this
        try:
            compiled = numba.njit(cache=True, **settings)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written to
            return numba.njit(**settings)(function)
        with contextlib.suppress(OSError):  # another process may have been faster, or the folder is read-only
            delete_stale(Path(compiled.stats.cache_path))
        return compiled

    return decorate
