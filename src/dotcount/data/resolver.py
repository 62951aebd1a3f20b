"""From the name of an image, as an annotation file writes it, to the image.

Tools write names in many ways: as a path from the file's own folder or from the root of the data, with the slashes of
Windows, as a URL, with the accents of another system, with the prefix of an upload. All are tried, from the literal to
the loose. Where several images fit equally well nothing is guessed: the error lists them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from dotcount.data.images import unreadable_kind
from dotcount.data.layout import split_named
from dotcount.errors import DataError
from dotcount.registry import did_you_mean

_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio puts this before the names of uploaded files
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")
_ALIKE = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}
_WORDS = re.compile(r"[^\W_]+")
_HINTS = 20  # names for which the nearest is looked up; more would take long and help nobody
_SHOWN = 4
OME = ".ome"  # of names such as a.ome.tif, which tools mean by a


class Resolver:
    r"""Finds the images that names mean.

    Parameters
    ----------
    images
        The images, relative to the root of the data.

    Examples
    --------
    >>> resolver = Resolver([Path("images/IMG 1.JPG"), Path("images/b.png")])
    >>> resolver.find("https://example.org/x/img%201.jpg").as_posix()
    'images/IMG 1.JPG'
    >>> resolver.find("C:\\photos\\b.png", Path("annotations/b.json")).as_posix()
    'images/b.png'
    """

    def __init__(self, images: Iterable[Path]) -> None:
        self._exact: dict[str, Path] = {}
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._uploaded: dict[str, list[Path]] = defaultdict(list)
        self._folders: set[str] = set()
        for image in images:
            self._exact[image.as_posix()] = image
            name = fold(image.name)
            self._by_name[name].append(image)
            stem = fold(image.stem)
            for key in {stem, stem.removesuffix(OME)}:
                self._by_stem[key].append(image)
            self._uploaded[_as_uploaded(name)].append(image)
            self._folders.update(map(fold, image.parts[:-1]))
        self._hints = _HINTS

    def find(self, name: str, table: Path = Path("table"), split: str | None = None) -> Path:
        """Return the image that a name means.

        Parameters
        ----------
        name
            As the annotation file writes it.
        table
            The annotation file, relative to the root.
        split
            What the file says about the image, which a folder may be called by.

        Returns
        -------
        Path
            The image, relative to the root.

        Raises
        ------
        DataError
            If there is none, or several fit equally well; the message says what was looked for and has the remedy.
        """
        spelled = [tuple(p for p in s.split("/") if p not in ("", ".")) for s in dict.fromkeys(_spellings(name))]
        spelled = [parts for parts in spelled if parts]
        for parts in spelled:
            image = self._literal(parts, table)
            if image is not None:
                return image
        for look in (self._named, self._alike):
            for parts in spelled:
                found = self._nearest(look(parts), parts, table, split)
                if len(found) == 1:
                    return found[0]
                if found:
                    listed = ", ".join(i.as_posix() for i in found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
                    raise DataError(f"image {name!r}, which may be {listed}; write its path in full")
        kind = unreadable_kind(name)
        if kind is not None:
            raise DataError(f"image {name!r}, which is {kind}")
        raise DataError(f"image {name!r}, which is not there{self._hint(spelled)}; restore it or correct the name")

    def _literal(self, parts: Sequence[str], table: Path) -> Path | None:
        """Look where the path leads from the table's folder, then, if it has folders, from the root."""
        starts = [table.parent.parts] if len(parts) == 1 else [table.parent.parts, ()]
        for start in starts:
            image = self._exact.get("/".join(_walked((*start, *parts)) or ()))
            if image is not None:
                return image
        return None

    def _named(self, parts: Sequence[str]) -> list[Path]:
        return self._by_name.get(fold(parts[-1]), [])

    def _alike(self, parts: Sequence[str]) -> list[Path]:
        """Return images whose name is another spelling, or that are named without their suffix."""
        name = fold(parts[-1])
        found = self._by_stem.get(name, [])
        suffix = Path(name).suffix
        if not found and suffix in (*_ALIKE, *_ALIKE.values()):
            kind = _ALIKE.get(suffix, suffix)
            same = self._by_stem.get(name.removesuffix(suffix), [])
            found = [i for i in same if _ALIKE.get(i.suffix.lower(), i.suffix.lower()) == kind]
        return found or self._uploaded.get(_as_uploaded(name), [])

    def _nearest(self, candidates: Sequence[Path], parts: Sequence[str], table: Path, split: str | None) -> list[Path]:
        """Return those of the candidates that fit best; more than one if nothing tells them apart."""
        if len(parts) > 1 and (folder := fold(parts[-2])) in self._folders:
            candidates = [c for c in candidates if folder in map(fold, c.parts[:-1])]
        words = _tags(_WORDS.findall(fold(table.stem)))
        own = _tags([fold(split)]) if split else set()
        tests = (
            lambda c: _common(map(fold, reversed(c.parts)), map(fold, reversed(parts))),
            lambda c: len(own & _tags(map(fold, c.parts[:-1]))),
            lambda c: c.name == parts[-1],
            lambda c: _common(c.parts[:-1], table.parts[:-1]),
            lambda c: len(words & _tags(map(fold, c.parts[:-1]))),
        )
        found = list(candidates)
        for test in tests:
            if len(found) > 1:
                marks = [int(test(c)) for c in found]
                found = [c for c, mark in zip(found, marks) if mark == max(marks)]
        return found

    def _hint(self, spelled: Sequence[Sequence[str]]) -> str:
        if not spelled or self._hints <= 0:
            return ""
        self._hints -= 1
        stem = self._by_stem.get(fold(Path(spelled[-1][-1]).stem), [])
        if stem:
            return f" ({stem[0].as_posix()} is)"
        known = {fold(i.name): i.name for i in self._exact.values()}
        near = did_you_mean(spelled[-1][-1], known)
        return f" (did you mean {known[near.split(chr(39))[1]]}?)" if near.count("'") == 2 else ""


def fold(text: str) -> str:
    """Return the form in which names that differ by case or by the encoding of accents are equal."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _spellings(name: str) -> Iterator[str]:
    """Yield the paths, with ``/``, that a name may stand for, the literal one first."""
    yield name
    plain = _DRIVE.sub("", name.strip().replace("\\", "/"))
    yield plain
    bases = [plain]
    if "%" in name or "?" in name or "://" in name:
        bases += [_DRIVE.sub("", unquote(text).lstrip("/")) for text in _paths_of(name.strip().replace("\\", "/"))]
        yield from bases[1:]
    for base in bases:
        folder, slash, last = base.rpartition("/")
        if _UPLOAD.match(last):
            yield folder + slash + _UPLOAD.sub("", last, count=1)


def _paths_of(address: str) -> list[str]:
    """Return the paths in a URL: that of the parameter ``d`` (Label Studio's local files), and its own."""
    try:
        parts = urlsplit(address.replace("#", "%23"))
        return [text for text in (*parse_qs(parts.query).get("d", []), parts.path) if text]
    except ValueError:
        return []


def _tags(words: Iterable[str]) -> set[str]:
    """Return words and the splits that they name."""
    words = set(words)
    return words | {split for word in words if (split := split_named(word))}


def _as_uploaded(name: str) -> str:
    """Return a file name as web frameworks store it: blanks become underscores, other signs vanish."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _walked(parts: Iterable[str]) -> list[str] | None:
    """Return the parts of a path without ``..``; ``None`` if it leads above the root."""
    walked: list[str] = []
    for part in parts:
        if part != "..":
            walked.append(part)
        elif walked:
            walked.pop()
        else:
            return None
    return walked


def _common(first: Iterable[str], second: Iterable[str]) -> int:
    """Return how many leading elements are equal."""
    number = 0
    for a, b in zip(first, second):
        if a != b:
            break
        number += 1
    return number
