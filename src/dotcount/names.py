"""Texts that come from data, before they are written: cells of tables, and names of files."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from dotcount.errors import DataError

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def cell(text: str) -> str:
    """Return the text for a csv cell: what a spreadsheet would run as a formula gets an apostrophe in front.

    :func:`plain_cell` takes it off again. Numbers stay as they are.

    Examples
    --------
    >>> cell("=1+1"), cell("-3.5"), cell("a.png"), plain_cell(cell("=1+1"))
    ("'=1+1", '-3.5', 'a.png', '=1+1')
    """
    if not _FORMULA.match(text):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def plain_cell(text: str) -> str:
    """Return the text that :func:`cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


_LONGEST_NAME, _LONGEST_PATH = 255, 3000


def below(root: Path, name: str, what: str = "name") -> Path:
    """Return the path that ``name``, which comes from data, has below ``root``, where it may be written.

    Parameters
    ----------
    root
        The folder that nothing may be written outside of.
    name
        Relative path with ``/``.
    what
        What the name is of, for the message ("image", "split").

    Raises
    ------
    DataError
        If the name is empty, absolute, too long, leads out of the folder by ``..``, a drive letter or a link, holds
        control characters, or is that of a device.

    Examples
    --------
    >>> below(Path("out"), "train/a.png").as_posix()
    'out/train/a.png'
    >>> below(Path("out"), "../a.png")
    Traceback (most recent call last):
    ...
    dotcount.errors.DataError: name '../a.png' can't be written: it leads out of its folder; rename it
    """
    parts = re.split(r"[/\\]", name)
    reason = None
    if not name or any(ord(c) < 32 or ord(c) == 127 for c in name):
        reason = "it is empty" if not name else "it holds control characters"
    elif PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or PureWindowsPath(name).drive:
        reason = "it is an absolute path"
    elif ".." in parts:
        reason = "it leads out of its folder"
    elif any(part in ("", ".") for part in parts):
        reason = "it is no plain path"
    elif any(PureWindowsPath(part).is_reserved() for part in parts):
        reason = "it is the name of a device"
    elif max(len(os.fsencode(part)) for part in parts) > _LONGEST_NAME or len(os.fsencode(name)) > _LONGEST_PATH:
        reason = "it is too long"
    path = root / name
    if reason is None and not path.parent.resolve().is_relative_to(root.resolve()):
        reason = "a link leads out of its folder"
    if reason is not None:
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        raise DataError(f"{what} {shown!r} can't be written: {reason}; rename it")
    return path
