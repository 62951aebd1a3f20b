"""What lies below a folder: the files that data may be made of, and those that are left out, with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dotcount.data.records import LeftOut
from dotcount.errors import DataError
from dotcount.files import MARKER, output_of

HIDDEN = (".", "__MACOSX", "@eaDir", "$RECYCLE.BIN")
"""How the names begin of files and folders that nobody brought."""


@dataclass(frozen=True)
class FileListing:
    """Files below a root, relative to it and sorted, and what was left out."""

    root: Path
    files: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def list_files(root: Path) -> FileListing:
    """Return every file below ``root`` that people may have brought.

    Hidden files and folders are passed over, those that macOS, Windows and Synology's disks keep for themselves among
    them. Results of this package are left out, by the ``dotcount.json`` beside them, as are pipes, devices, broken
    links and folders that are reached a second time through a link.

    Raises
    ------
    DataError
        If the whole root holds results of this package.
    """
    own = output_of(root)
    if own is not None and own.kind != "data" and not own.names:
        raise DataError(f"{root} holds results that `{own.created_by}` wrote, no data; give the folder of the images")
    listing = FileListing(root)
    seen = {_identity(root)}
    waiting = [(root, False)]
    linked: list[tuple[Path, bool]] = []
    while waiting or linked:  # true folders first, so that a folder is found where it lies rather than by a link
        folder, by_link = waiting.pop() if waiting else linked.pop(0)
        if by_link:
            if (identity := _identity(folder)) in seen:
                listing.left_out.append(LeftOut(_name(folder, root), "a link to a folder that is read already"))
                continue
            seen.add(identity)
        for entry, is_folder in _entries(folder, listing):
            if not is_folder:
                listing.files.append(Path(entry.path).relative_to(root))
            elif entry.is_symlink():
                linked.append((Path(entry.path), True))
            else:
                seen.add(_identity(Path(entry.path)))
                waiting.append((Path(entry.path), False))
    listing.files.sort()
    listing.left_out.sort(key=lambda each: each.path)
    return listing


def _entries(folder: Path, listing: FileListing) -> Iterator[tuple[os.DirEntry[str], bool]]:
    """Yield the files and folders in a folder, each with whether it is a folder."""
    root = listing.root
    own = output_of(folder)
    ours = set(own.names) if own is not None and own.kind != "data" else set()
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        listing.left_out.append(LeftOut(_name(folder, root), f"a folder that can't be read: {error.strerror}"))
        return
    for entry in entries:
        if entry.name.startswith((".", "__MACOSX", "@eaDir", "$RECYCLE.BIN")) or (
            own is not None and entry.name == MARKER
        ):
            continue
        path = Path(entry.path)
        name = _name(path, root)
        if own is not None and entry.name in ours:
            listing.left_out.append(LeftOut(name, f"written by `{own.created_by}`"))
        elif _is(entry.is_dir):
            inner = output_of(path)
            if inner is not None and inner.kind != "data" and not inner.names:
                listing.left_out.append(LeftOut(name, f"results of `{inner.created_by}`"))
            elif inner is not None and inner.source is not None and _overlap(inner.source, root):
                listing.left_out.append(LeftOut(name, f"copies of these images, written by `{inner.created_by}`"))
            else:
                yield entry, True
        elif _is(entry.is_file):
            yield entry, False
        else:
            nowhere = entry.is_symlink() and not _is(path.exists)
            reason = "a link that leads nowhere" if nowhere else "not a regular file"
            listing.left_out.append(LeftOut(name, reason))


def _is(kind: Callable[[], bool]) -> bool:
    """Return whether a file is of a kind; links in a circle, and what may not be looked at, are of none."""
    try:
        return kind()
    except OSError:
        return False


def _overlap(source: Path, root: Path) -> bool:
    """Return whether one of two folders is the other, or in it."""
    root = root.resolve()
    return source.is_relative_to(root) or root.is_relative_to(source)


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
