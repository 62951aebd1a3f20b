"""From what a user names (files, folders, globs) to a list of images in natural order."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dotcount.data.images import SUFFIXES, is_image
from dotcount.errors import DataError


@dataclass(frozen=True)
class Source:
    """One image to predict: where it is and the unique name that results carry (posix path, relative)."""

    path: Path
    name: str


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which ``img_2`` comes before ``img_10``; letter case doesn't matter."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def expand(sources: Iterable[str | Path]) -> list[Source]:
    """List the images that the given files, folders and glob patterns stand for, without duplicates.

    Folders are searched with their sub-folders, in natural order; hidden files are left out. Names are relative to the
    one folder that was given, else to the deepest folder that holds all images.

    Raises
    ------
    DataError
        If a source doesn't exist, matches nothing, or is a folder without images.
    """
    given = [str(source) for source in sources]
    found: dict[Path, None] = {}
    for source in given:
        for path in _images_of(source):
            found.setdefault(path)
    if not found:
        raise DataError("no image given; name image files, folders or patterns such as 'photos/*.jpg'")
    root = Path(given[0]) if len(given) == 1 and Path(given[0]).is_dir() else _common_folder(found)
    return [Source(path, Path(os.path.relpath(path, root)).as_posix()) for path in found]


def _common_folder(paths: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([path.absolute().parent for path in paths]))


def _images_of(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        images = sorted(
            (p for p in path.rglob("*") if is_image(p) and p.is_file() and not _hidden(p, path)),
            key=lambda p: natural_key(p.relative_to(path).as_posix()),
        )
        if not images:
            raise DataError(f"folder {source} holds no image ({', '.join(sorted(SUFFIXES))}); check the path")
        return images
    if path.exists():
        return [path]
    if glob.has_magic(source):
        # Path.glob takes no absolute patterns.
        matches = map(Path, glob.glob(source, recursive=True))  # noqa: PTH207
        files = sorted((p for p in matches if p.is_file()), key=lambda p: natural_key(p.as_posix()))
        if not files:
            raise DataError(f"pattern {source!r} matches no file; check it, and quote it if your shell expands it")
        return files
    raise DataError(f"image or folder {source} does not exist; check the path")


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
