"""Looking for files: in folders, by patterns, in lists, at addresses; what no source reads is left out and told."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotcount.data.listing import HIDDEN
from dotcount.data.pairing import group, marks_a_part, pair, split_masks
from dotcount.errors import DataError
from dotcount.files import is_output, nearest, output_of
from dotcount.prediction.frame import printable
from dotcount.prediction.sources.base import SOURCES, Source
from dotcount.prediction.sources.manifests import SUFFIXES as LISTS
from dotcount.prediction.sources.manifests import local_path, names_at, names_in
from dotcount.prediction.sources.unreadable import unreadable
from dotcount.remote import UNLESS_TOLD, DownloadLimits, Url, is_url, require_remote

OWN = "folder of results that dotcount wrote"
"""The kind of what is left out because it is no input; unlike the others it is nothing that lacks in the results."""


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that was met on the way and is not counted: what it is, and the way out."""

    name: str
    kind: str
    remedy: str


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which ``img_2`` comes before ``img_10``; letter case doesn't matter."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def in_words(left_out: Sequence[SkippedFile]) -> str:
    """Return what was left out, by kind, in one line; empty if nothing was."""
    numbers = Counter((item.kind, item.remedy) for item in left_out)
    return "; ".join(f"{number:,} {kind} ({remedy})" for (kind, remedy), number in numbers.items())


class Search:
    """Collects files in the order in which they are met."""

    def __init__(self, downloads: DownloadLimits = UNLESS_TOLD) -> None:
        self._downloads = downloads
        self.files: dict[Path | Url, None] = {}
        self.left_out: list[SkippedFile] = []
        self._seen: set[str] = set()
        self._sources = {ending: one for one in map(SOURCES.create, SOURCES) for ending in one.suffixes}

    def add(self, source: str) -> None:
        """Add what a path, a pattern or an address stands for; a :class:`DataError` if that is nothing."""
        if is_url(source):
            self._add_url(source)
            return
        path = Path(source)
        if path.is_dir():
            self._add_folder(path)
        elif path.suffix.lower() in LISTS and path.is_file():
            for name in names_in(path):
                if is_url(name):
                    self._add_url(name)
                else:
                    self._add_file(path.parent / name)
        elif path.exists():
            self._add_file(path)
        elif glob.has_magic(source):
            self._add_pattern(source)
        else:
            raise DataError(f"image or folder {printable(source)} does not exist; check the path.{nearest(path)}")

    def _add_url(self, text: str) -> None:
        """Add what an address stands for: files of this machine, a list, or an image."""
        path = local_path(text)
        if path is not None:
            self.add(str(path))
            return
        url = Url(text)
        require_remote(url)
        if "*" in url.name:
            raise DataError(f"{url.shown} is a pattern; addresses are not searched, name images or a list of them")
        for each in names_at(url, self._downloads) if url.suffix in LISTS else [url]:
            if each.text not in self._seen:
                self._seen.add(each.text)
                self.files[each] = None

    def _add_file(self, path: Path) -> None:
        key = os.path.abspath(path)  # noqa: PTH100 -- `a/../b.png` is `b.png`, links stay what they are
        if key not in self._seen:
            self._seen.add(key)
            self.files[path] = None

    def _add_folder(self, folder: Path) -> None:
        if (is_output(folder) and not _names(folder)) or _inside_output(folder):
            raise DataError(f"{folder} holds results that dotcount wrote, nothing to count; name the folder of images")
        before, left_before = len(self._seen), len(self.left_out)
        met = sorted(self._below(folder), key=lambda path: natural_key(path.relative_to(folder).as_posix()))
        known = {path: source for path in met if (source := self._source(path)) is not None}
        images = any(source.beside_images for source in known.values())
        masks = _masks_among([path for path, source in known.items() if source.beside_images], folder)
        for path in met:
            if path not in known:
                self._leave_out(path)
            elif path in masks:
                self._put(path, "pictures that look like masks", "beside their images; name them to count them")
            elif images and not known[path].beside_images:
                self._put(path, f"{path.suffix.lower()} files", "beside images; name them to count their frames")
            else:
                self._add_file(path)
        if not known and len(self._seen) == before:
            beside = in_words(self.left_out[left_before:])
            also = f"; left out: {beside}" if beside else ""
            endings = ", ".join(sorted(self._sources))
            raise DataError(f"folder {printable(str(folder))} holds no image ({endings}); check the path{also}")

    def _source(self, path: Path) -> Source | None:
        """Return the source that reads a file of a folder, by its ending; ``None``: none does, or it is hidden."""
        source = None if path.name.startswith(".") else self._sources.get(path.suffix.lower())
        return source if source is not None and path.is_file() else None

    def _below(self, folder: Path) -> Iterator[Path]:
        """Yield all files below a folder, links to folders included, without results of ours and hidden folders."""
        walked: set[str] = set()
        for place, folders, files in os.walk(folder, followlinks=True):
            here = Path(place)
            real = os.path.realpath(here)
            if real in walked:  # a link that leads back
                folders.clear()
                continue
            walked.add(real)
            names = _names(here) if is_output(here) else None
            if names == ():
                self._own(here)
                folders.clear()
                continue
            own = {name.split("/")[0] for name in names or ()}
            if own.intersection((*folders, *files)):
                self._own(here)
            folders[:] = [name for name in folders if name not in own and not name.startswith(HIDDEN)]
            yield from (here / name for name in files if name not in own)

    def _add_pattern(self, pattern: str) -> None:
        # Path.glob takes no absolute patterns.
        matches = sorted(
            (Path(match) for match in glob.glob(pattern, recursive=True)),  # noqa: PTH207
            key=lambda path: natural_key(path.as_posix()),
        )
        files = [path for path in matches if path.is_file()]
        mine = [path for path in files if _inside_output(path, _fixed_part(pattern))]
        for path in files:
            if path in mine:
                self._own(path.parent)
            else:
                self._add_file(path)
        if len(mine) == len(files):
            what = "matches only results that dotcount wrote" if mine else "matches no file"
            raise DataError(f"pattern {pattern!r} {what}; check it, and quote it if your shell expands it")

    def _own(self, path: Path) -> None:
        self._put(path, OWN, "nothing to count")

    def _leave_out(self, path: Path) -> None:
        what = unreadable(path)
        if what is not None:
            self._put(path, *what)

    def _put(self, path: Path, kind: str, remedy: str) -> None:
        self.left_out.append(SkippedFile(printable(path.as_posix()), kind, remedy))


def _masks_among(images: Sequence[Path], folder: Path) -> set[Path]:
    """Return the pictures that by their names or folders are masks of others: ``a_cp_masks.tif`` beside ``a.tif``."""
    pictures, masks = split_masks([path.relative_to(folder) for path in images])
    found = {*pair(pictures, masks).values(), *filter(marks_a_part, masks)}
    found.update(mask for several in group(pictures, masks).values() for mask in several)
    return {folder / mask for mask in found}


def _names(folder: Path) -> tuple[str, ...]:
    """Return which names in a folder are results of ours; none: all of them."""
    found = output_of(folder)
    return () if found is None else found.names


def _fixed_part(pattern: str) -> Path:
    """Return the folder that a pattern starts from."""
    parts = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _inside_output(path: Path, root: Path | None = None) -> bool:
    """Return whether a file or folder is a result of ours.

    A marker that names its results speaks for them wherever the search began; one that stands for a whole folder only
    where the search comes through that folder, from ``root`` on.
    """
    path = path.absolute()
    top = None if root is None else root.absolute()
    for folder in path.parents:
        if not is_output(folder):
            continue
        names = _names(folder)
        if path.relative_to(folder).parts[0] in {name.split("/")[0] for name in names}:
            return True
        if not names and top is not None and folder.is_relative_to(top):
            return True
    return False
