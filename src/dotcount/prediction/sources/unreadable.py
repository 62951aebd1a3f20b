"""What lies in a folder of images and can't be counted: what it is and the way out."""

from __future__ import annotations

from pathlib import Path

from dotcount.data.images import unreadable_kind

_ARCHIVES = frozenset((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"))


def unreadable(path: Path) -> tuple[str, str] | None:
    """Return (what a file in a folder of images is, the way out), or ``None`` if there is nothing to say about it.

    Examples
    --------
    >>> unreadable(Path("gone.png"))
    ('links to nothing', 'restore what they point to')
    """
    suffix = path.suffix.lower()
    if not path.exists():
        return "links to nothing", "restore what they point to"
    if not path.is_file():
        return "pipes or devices", "they hold no pixels"
    if suffix in _ARCHIVES:
        return f"{suffix} files", "an archive; unpack it"
    remedy = unreadable_kind(path)
    return None if remedy is None else (f"{suffix} files", remedy)
