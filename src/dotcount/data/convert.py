"""Writing a collection in another annotation format, images and all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from dotcount.data.formats import FORMATS
from dotcount.data.formats.base import Sidecar, Table
from dotcount.data.formats.csv import CsvTable, write_manifest
from dotcount.data.layout import split_of
from dotcount.data.records import Collection, Record
from dotcount.errors import DataError, UsageError
from dotcount.folders import writing_folder

Images = Literal["copy", "link", "none"]


def convert(collection: Collection, out: str | Path, format: str = "csv", *, images: Images = "copy") -> Path:
    """Write the annotated images of a collection in a format and return the folder.

    Image names are kept; where a split does not show in the folders, a folder of its name is put before them, so that
    it is recognised again.

    Parameters
    ----------
    out
        New folder. It appears when complete.
    format
        Name of an annotation format that can be written.
    images
        ``copy`` the files, ``link`` to them (symbolic), or write annotations only (``none``).

    Raises
    ------
    UsageError
        If the format does not exist or can only be read.
    DataError
        If no image is annotated, or the format can't hold the dots.
    OutputError
        If ``out`` exists and is not empty, or can't be written.
    """
    if not FORMATS.create(format).writable:
        raise UsageError(f"format {format!r} can only be read; write csv, for example")
    records = _placed(collection.annotated().records)
    if not records:
        raise DataError(f"{collection.root} has no annotated image that could be written")

    def fill(folder: Path) -> None:
        write_images(folder, records, images)
        _write_dots(folder, [record for _, record in records], format)

    return write_folder(out, fill)


def write_folder(out: str | Path, fill: Callable[[Path], None]) -> Path:
    """Create a new folder by way of a temporary one, which ``fill`` writes into; nothing is left if that fails.

    Raises
    ------
    OutputError
        If the folder exists and is not empty, or the file system refuses.
    """
    out = Path(out)
    with writing_folder(out) as folder:
        fill(folder)
    return out


def _placed(records: Iterable[Record]) -> list[tuple[Path, Record]]:
    """Return the source of each image and its record under the name it gets."""
    placed = []
    for record in records:
        name = record.name
        if record.split is not None and split_of(Path(name)) != record.split:
            name = f"{record.split}/{name}"
        placed.append((record.image, replace(record, name=name)))
    return placed


def write_images(folder: Path, records: Iterable[tuple[Path, Record]], images: Images) -> None:
    """Copy or link the image of each record to its name below the folder."""
    for source, record in records:
        target = folder / record.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if images == "copy":
            shutil.copyfile(source, target)
        elif images == "link":
            target.symlink_to(source.resolve())


def _write_dots(folder: Path, records: list[Record], format: str) -> None:
    writer = FORMATS.create(format)
    if isinstance(writer, Table):
        writer.write(folder / writer.filename, records)
        if isinstance(writer, CsvTable):
            write_manifest(folder / "images.csv", records)
    elif isinstance(writer, Sidecar):
        writer.prepare(folder, records)
        taken: dict[PurePosixPath, str] = {}
        for record in records:
            place = writer.place(PurePosixPath(record.name))
            if place in taken:
                raise DataError(
                    f"images {taken[place]} and {record.name} would share the file {place}; rename one, or write csv"
                )
            taken[place] = record.name
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            writer.write(folder / place, record)
