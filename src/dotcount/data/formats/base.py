"""The two shapes an annotation format can have, and the registry of formats."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from dotcount.data.layout import Dots, ReadDots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError, UsageError
from dotcount.files import read_bytes
from dotcount.names import plain_cell
from dotcount.registry import Registry

MOST_BYTES = 1 << 30  # of one annotation file


class Format(ABC):
    """An annotation format: how its files are recognised, read and written.

    Attributes
    ----------
    name, title
        For ``--format`` and for people.
    suffixes
        Endings of its files, lower case; the first is what is written.
    writable
        Whether dots can be written in it; :meth:`write` is then to be given.
    absent
        What an image without annotation file, or one that the table does not list, means.
    pictures
        Whether its files are images themselves.
    priority
        Formats are tried from the highest to the lowest, those of one priority by name: what states clearly what it is
        comes before what many files could be. Tables below zero are tried after all formats with a file an image.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    writable: bool = True
    absent: Literal["error", "zero", "unlabelled"] = "error"
    pictures: bool = False
    priority: int = 50

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Return whether the content of the file is of this format; never raises on foreign or damaged files."""

    def objection(self, path: Path) -> str | None:  # noqa: ARG002 - for formats that say something
        """Return why the file is not of this format, as it is reported to people; ``None``: it is, or is quite another.

        A format says something here about files that come near: of its tool but another export, of its columns but in
        another unit. Never raises.
        """
        return None

    def _refusal(self) -> UsageError:
        return UsageError(f"format {self.name!r} can only be read; write csv, for example")


class Sidecar(Format):
    """One annotation file for each image.

    ``folder`` is where the format's own tools look for the file of an image in ``images/``; ``None``: beside the image.
    ``ending`` is what a written file's name has in place of the image's suffix. ``summary`` tells people what
    :meth:`over` decided and why. ``helpers`` are names of files that belong to the format and hold no dots.
    """

    folder: str | None = None
    ending: str = ""
    summary: str = ""
    helpers: tuple[str, ...] = ()

    def place(self, image: PurePosixPath) -> PurePosixPath:
        """Return where the annotation of an image is written, relative to the same root."""
        path = image.with_name(image.stem + (self.ending or self.suffixes[0]))
        if self.folder is not None and "images" in path.parts[:-1]:
            last = len(path.parts) - 1 - path.parts[::-1].index("images")
            path = PurePosixPath(*path.parts[:last], self.folder, *path.parts[last + 1 :])
        return path

    def prepare(self, root: Path, records: Sequence[Record]) -> None:
        """Write what all files share, such as a list of classes; most formats share nothing."""

    def image_of(self, path: Path) -> str | None:  # noqa: ARG002 - for formats that say it
        """Return the name of the image as the file states it, or ``None``; never raises."""
        return None

    def among(self, paths: Sequence[Path]) -> list[Path]:
        """Return those of the files that are of this format; AnnotationError where the set can be read in two ways.

        Most formats look at each file alone. What a mask means shows only in all masks of a folder.
        """
        return [path for path in paths if self.recognises(path)]

    def over(self, paths: Sequence[Path]) -> Sidecar:  # noqa: ARG002 - for formats that decide
        """Return the format as it reads this set of files; most formats read each file alone."""
        return self

    @abstractmethod
    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of the image of this size; AnnotationError if the file can't be read."""

    def write(self, path: Path, record: Record) -> None:  # noqa: ARG002 - for formats that are writable
        """Write the dots of one record; UsageError where the format can only be read."""
        raise self._refusal()


@dataclass(frozen=True)
class Listed:
    """One mention of an image in a file that covers many.

    Parameters
    ----------
    read
        Its dots, given the size of the image.
    split, labels
        What the file says about the whole image.
    size
        The (width, height) px that the file states; it has to be the image's.
    relative
        Whether the coordinates are shares of the image, so that a copy of another size but of the same shape will do.
    """

    read: ReadDots
    split: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    relative: bool = False


Rows = Sequence[tuple[str, Listed]]


class Table(Format):
    """One annotation file for many images, which it names.

    An image that it lists without dots was looked at and holds none; an image that it does not list was not.
    ``filename`` is what a written table is called. ``summary``, once read, tells people what was found, if that needs
    words.
    """

    filename: str
    summary: str = ""

    @abstractmethod
    def read(self, path: Path) -> Rows:
        """Return (image name as written, its dots) for every mention of an image, in the order of the file.

        An image that is mentioned twice is returned twice: what that means is decided in one place, for all formats.
        AnnotationError if the file can't be read, or holds what this format doesn't understand.
        """

    def write(self, path: Path, records: Sequence[Record]) -> None:  # noqa: ARG002 - for formats that are writable
        """Write the dots of all records; UsageError where the format can only be read."""
        raise self._refusal()


FORMATS: Registry[Format] = Registry("annotation format", "dotcount.formats", Format)


def _in_order() -> list[Format]:
    return sorted(map(FORMATS.create, FORMATS), key=lambda f: (-f.priority, f.name))


def sidecars() -> Iterable[Sidecar]:
    """Return the formats with one file for each image, in the order in which they are tried: pictures last."""
    return sorted((f for f in _in_order() if isinstance(f, Sidecar)), key=lambda f: f.pictures)


def tables() -> Iterable[Table]:
    """Return the formats with one file for many images, in the order in which they are tried."""
    return [f for f in _in_order() if isinstance(f, Table)]


def require_size(path: Path, stated: tuple[int, int] | None, size: tuple[int, int], relative: bool = False) -> None:
    """Compare the size of the image as an annotation file states it with that of the image.

    Parameters
    ----------
    path
        The annotation file, for the message.
    stated
        (width, height) px as stated; ``None``, or with a zero: not known.
    size
        (width, height) px of the image as it is shown.
    relative
        Whether the coordinates are shares of the image, so that only its shape matters.

    Raises
    ------
    AnnotationError
        If they differ; the message names both and, where it shows, how they come to differ.
    """
    if stated is None or not all(stated) or tuple(stated) == tuple(size):
        return
    (a, b), (width, height) = stated, size
    alike = abs(a * height - b * width) <= max(a, b, width, height)  # of one shape, up to a pixel
    if relative and alike:
        return
    if (b, a) == (width, height):
        why = "the annotation is of the picture before it was turned; turn its dots, or annotate the upright picture"
    elif alike:
        why = f"the annotation is of a copy at {a / width:.4g} of its size; annotate the image itself, or use that copy"
    else:
        why = "they are not the same picture; restore the one that was annotated"
    raise AnnotationError(f"annotation {path} states {a} x {b} px, the image has {width} x {height} px: {why}")


def read_text(path: Path, fallback: str | None = None) -> str:
    """Return the text of an annotation file (UTF-8 or UTF-16, with or without mark).

    Parameters
    ----------
    path
        The file.
    fallback
        Encoding of text that is not UTF-8; ``None``: such text is an error.

    Raises
    ------
    AnnotationError
        If the file is missing, no regular file, larger than 1 GiB or not text.
    """
    data = annotation_bytes(path)
    encoding = _encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if fallback is not None and encoding == "utf-8-sig" and b"\x00" not in data:
            return data.decode(fallback, errors="replace")
        raise AnnotationError(f"annotation {path} is not UTF-8 text; save it as UTF-8") from error


def annotation_bytes(path: Path) -> bytes:
    """Return the content of an annotation file.

    Raises
    ------
    AnnotationError
        If the file is missing, no regular file, or larger than 1 GiB.
    """
    try:
        return read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise AnnotationError(f"annotation {path}: {error.strerror or error}; check the file") from error


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a comma-separated file with a header; cells that a row lacks are empty.

    Raises
    ------
    AnnotationError
        If the file is missing, no text or no csv.
    """
    try:
        rows = csv.DictReader(io.StringIO(read_text(path), newline=""), restval="")
        return [{key: plain_cell(value) for key, value in row.items() if key is not None} for row in rows]
    except csv.Error as error:
        raise AnnotationError(f"{path} is not valid csv ({error}); write it anew") from error


def head(path: Path, size: int = 4096) -> str:
    """Return the beginning of a file as text, with what can't be decoded left out; empty if unreadable."""
    try:
        if not path.is_file():  # a pipe or a device would never end
            return ""
        with path.open("rb") as file:
            data = file.read(size)
    except OSError:
        return ""
    encoding = _encoding(data)
    return "" if encoding == "utf-8-sig" and b"\x00" in data else data.decode(encoding, errors="ignore")


def _encoding(data: bytes) -> str:
    """Return the encoding of text by its mark, or, for UTF-16 without one, by every other byte being 0."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    start = data[:200]
    for encoding, zeros, others in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if len(zeros) > 4 and not any(zeros) and all(others):
            return encoding
    return "utf-8-sig"
