"""The files of a data set that dots are written to: a table for many images, or a file for each."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from dotcount.data.discover import read_file
from dotcount.data.editing.journal import FOLDER
from dotcount.data.editing.keeping import what_is_lost
from dotcount.data.editing.marks import ImageMarks, Mark
from dotcount.data.editing.own_csv import OwnCsv
from dotcount.data.formats.base import Format, Listed, Sidecar, Table, read_rows, require_size
from dotcount.data.formats.csv import CsvSidecar, CsvTable, is_manifest, read_manifest
from dotcount.data.layout import Dots
from dotcount.data.mentions import MANIFEST
from dotcount.data.records import Record
from dotcount.data.resolver import Resolver
from dotcount.errors import AnnotationError, DataError, OutputError
from dotcount.files import make_folder, reason, replacing, write_text
from dotcount.names import below, cell
from dotcount.points import Points

BEFORE = "before"
"""Folder in the hidden folder that keeps files of the data set as they were before the first change."""


@dataclass(frozen=True)
class Stated:
    """What a file says of an image: its dots, or why they can't be changed; ``dots`` of ``None``: nothing."""

    dots: Dots | None = None
    trouble: str = ""


class Container(ABC):
    """A file that holds the dots of one image or of many.

    Parameters
    ----------
    root
        The folder of the data set.
    path
        The file, which need not exist yet.
    format
        Reads and writes it.
    images
        Names of the images, relative to ``root``, in the order in which they are written.
    """

    def __init__(self, root: Path, path: Path, format: Format, images: list[str]) -> None:
        self.root, self.path, self.format, self.images = root, path, format, images
        self.trouble = ""
        self.state = self.identity()

    def identity(self) -> tuple[int, int, int] | None:
        """Return what changes whenever the file does; ``None`` where there is none."""
        try:
            state = self.path.stat()
        except OSError:
            return None
        return state.st_ino, state.st_mtime_ns, state.st_size

    @abstractmethod
    def read(self, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Stated]:
        """Return what the file says of each image of a known size (width, height) px; AnnotationError if unreadable."""

    @abstractmethod
    def write(self, states: Mapping[str, ImageMarks]) -> None:
        """Write the dots of all images of the file; those that are not annotated are left out."""

    def check(self, states: Mapping[str, ImageMarks]) -> None:
        """Set ``trouble`` where writing the file anew would lose what it holds beside dots."""
        if self.identity() is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, self.path.name)
            self.write_to(copy, states)
            lost = what_is_lost(self.format, self.path, copy)
        if lost:
            self.trouble = (
                f"annotation {self.path} holds more than dots ({', '.join(lost)}), which would be lost; "
                "`dotcount data convert` writes a copy with the dots alone, which can be changed"
            )

    @abstractmethod
    def write_to(self, path: Path, states: Mapping[str, ImageMarks]) -> None:
        """Write the dots to another place."""

    def keep(self) -> None:
        """Keep the file as it was before the first change."""
        kept = self.root / FOLDER / BEFORE / self.path.relative_to(self.root)
        if self.path.exists() and not kept.exists():
            make_folder(kept.parent)
            with replacing(kept) as temporary:
                shutil.copyfile(self.path, temporary)

    @contextmanager
    def replaced(self) -> Iterator[Path]:
        """Yield a temporary name that becomes the file."""
        self.keep()
        with replacing(self.path, durable=True) as temporary:
            yield temporary
        self.state = self.identity()


def record_of(root: Path, name: str, marks: ImageMarks, written: str = "", listed: Listed | None = None) -> Record:
    """Return the record of an annotated image; ``written``: the name that a table has for it."""
    dots = marks.dots
    points = Points(np.array([(mark.x, mark.y) for mark in dots]), marks.width, marks.height)
    classes = tuple(mark.label for mark in dots) if any(mark.label for mark in dots) else ()
    split, labels = (None, {}) if listed is None else (listed.split, dict(listed.labels))
    return Record(root / name, written or name, points, split, labels, classes)


def marks_of(found: Stated, width: int, height: int, negatives: Sequence[Mark] = ()) -> ImageMarks:
    """Return the marks of an image."""
    if found.dots is None:
        return ImageMarks(width, height, negatives)
    labels = found.dots.classes or ("",) * len(found.dots.xy)
    marks = [Mark(float(x), float(y), label) for (x, y), label in zip(found.dots.xy, labels)]
    return ImageMarks(width, height, [*marks, *negatives], empty=not marks)


class TableContainer(Container):
    """A table, with ``images.csv`` beside it where the format is csv: the list of images that were looked at."""

    format: Table

    def __init__(self, root: Path, path: Path, format: Table, images: list[str]) -> None:
        super().__init__(root, path, format, images)
        self._written: dict[str, str] = {}
        self._listed: dict[str, Listed] = {}
        self._own: OwnCsv | None = None

    def read(self, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Stated]:
        """Return what the table says; images it does not name are not annotated."""
        table = self.path.relative_to(self.root)
        resolver = Resolver(map(Path, sizes))
        found: dict[str, Stated] = {}
        self._written, self._listed = {}, {}
        self._own = OwnCsv.of(self.path) if isinstance(self.format, CsvTable) else None
        for name, listed in self.format.read(self.path) if self.path.exists() else ():
            try:
                image = resolver.find(name, table, listed.split).as_posix()
            except DataError as error:
                raise AnnotationError(f"annotation {self.path} names {error}") from error
            if image in found:
                raise AnnotationError(f"annotation {self.path} lists image {image} more than once; put them together")
            self._written[image], self._listed[image] = name, listed
            found[image] = _read_listed(self.path, listed, sizes[image])
        if isinstance(self.format, CsvTable):
            for name in self._looked_at():
                image = resolver.find(name, table.with_name(MANIFEST)).as_posix()
                found.setdefault(image, Stated(Dots(np.zeros((0, 2)))))
        self.images += [image for image in found if image not in self.images]
        return found

    def write(self, states: Mapping[str, ImageMarks]) -> None:
        """Write the table; the list of images goes first, so that a crash between the two does no harm."""
        if isinstance(self.format, CsvTable):
            self._write_manifest(states)
        with self.replaced() as temporary:
            self.write_to(temporary, states)

    def write_to(self, path: Path, states: Mapping[str, ImageMarks]) -> None:
        """Write the table alone."""
        annotated = [name for name in self.images if name in states and states[name].annotated]
        records = [
            record_of(self.root, name, states[name], self._name(name), self._listed.get(name)) for name in annotated
        ]
        if self._own is not None:
            self._own.write(path, records, of_many=True)
        else:
            self.format.write(path, records)

    def _name(self, image: str) -> str:
        """Return what the table calls an image: as before, else its path from the folder of the table, or the root."""
        folder = self.path.parent.relative_to(self.root)
        plain = PurePosixPath(image)
        inside = plain.is_relative_to(folder.as_posix())
        return self._written.setdefault(image, plain.relative_to(folder.as_posix()).as_posix() if inside else image)

    def _looked_at(self) -> list[str]:
        manifest = self.path.with_name(MANIFEST)
        return [name for name, count in read_manifest(manifest).items() if not count] if is_manifest(manifest) else []

    def _write_manifest(self, states: Mapping[str, ImageMarks]) -> None:
        """Bring ``images.csv`` up to date, with the columns that others have given it."""
        path = self.path.with_name(MANIFEST)
        known = is_manifest(path)
        if not known and (path.exists() or not any(marks.empty for marks in states.values())):
            if path.exists() and any(marks.empty for marks in states.values()):
                raise OutputError(f"{path} is no list of images that were looked at; rename it")
            return
        rows = {row["image"]: row for row in read_rows(path)} if known else {}
        columns = list(next(iter(rows.values()), {"image": "", "width": "", "height": "", "count": ""}))
        columns += [name for name in ("count",) if name not in columns]
        for image, marks in states.items():
            name = self._name(image)
            if not marks.annotated:
                rows.pop(name, None)
                continue
            row = rows.setdefault(name, dict.fromkeys(columns, "") | {"image": name})
            row["count"] = str(len(marks.dots))
            row |= {k: str(v) for k, v in (("width", marks.width), ("height", marks.height)) if k in columns}
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(row[column]) for column in columns] for row in rows.values())
        write_text(path, buffer.getvalue(), durable=True)


def _read_listed(path: Path, listed: Listed, size: tuple[int, int]) -> Stated:
    try:
        require_size(path, listed.size, size, listed.relative)
        dots = listed.read(*size)
    except AnnotationError as error:
        return Stated(trouble=str(error))
    return _stated(path, dots)


def _stated(path: Path, dots: Dots) -> Stated:
    bad = np.flatnonzero(~np.isfinite(dots.xy).all(axis=1))
    if bad.size:
        return Stated(trouble=f"annotation {path}: dot {bad[0] + 1} of an image is not finite; correct or remove it")
    if not dots.left_out:
        return Stated(dots)
    return Stated(
        dots,
        f"annotation {path} holds {', '.join(dots.left_out)} beside its dots, which would be lost; "
        "`dotcount data convert` writes a copy with the dots alone, which can be changed",
    )


class SidecarContainer(Container):
    """The file of one image; there is none while it is not annotated."""

    format: Sidecar

    def __init__(self, root: Path, path: Path, format: Format, images: list[str]) -> None:
        super().__init__(root, path, format, images)
        self._own: OwnCsv | None = None

    def read(self, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Stated]:
        """Return what the file says."""
        (name,) = self.images
        width, height = sizes[name]
        self._own = OwnCsv.of(self.path) if isinstance(self.format, CsvSidecar) else None
        if not self.path.exists():
            return {name: Stated()}
        try:
            dots = read_file(self.format, self.path, Path(name), (), width, height)
        except AnnotationError as error:
            return {name: Stated(trouble=str(error))}
        return {name: _stated(self.path, dots)}

    def write(self, states: Mapping[str, ImageMarks]) -> None:
        """Write the file, or remove it where the image is not annotated any more."""
        (name,) = self.images
        if states[name].annotated:
            below(self.root, self.path.relative_to(self.root).as_posix(), "annotation")
            with self.replaced() as temporary:
                self.write_to(temporary, states)
        elif self.path.exists():
            self.keep()
            try:
                self.path.unlink()
            except OSError as error:
                raise OutputError(f"can't remove {self.path}: {reason(error)}; remove it by hand") from error
            self.state = None

    def write_to(self, path: Path, states: Mapping[str, ImageMarks]) -> None:
        """Write the dots of the image."""
        (name,) = self.images
        record = record_of(self.root, name, states[name])
        if self._own is not None:
            self._own.write(path, [record], of_many=False)
        else:
            self.format.write(path, record)
