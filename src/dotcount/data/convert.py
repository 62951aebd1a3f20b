"""Writing a collection in another annotation format, images and all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from dotcount.data.formats import FORMATS
from dotcount.data.formats.base import Sidecar, Table
from dotcount.data.formats.csv import CsvTable, write_manifest
from dotcount.data.layout import split_of
from dotcount.data.records import Collection, Record
from dotcount.errors import DataError, UsageError
from dotcount.files import mark_output, regular_file, write_text
from dotcount.folders import writing_folder
from dotcount.names import below

Images = Literal["copy", "link", "none"]


def convert(
    collection: Collection,
    out: str | Path,
    format: str = "csv",
    *,
    images: Images = "copy",
    notes: Mapping[str, str] | None = None,
    created_by: str = "dotcount data convert",
) -> Path:
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
    notes
        Texts to write as well, by file name.
    created_by
        What ``dotcount.json`` says wrote the folder.

    Raises
    ------
    UsageError
        If the format does not exist or can only be read.
    DataError
        If no image is annotated, the format can't hold the dots, or the name of an image or split can't be written
        (see :func:`dotcount.files.below`); nothing is written then.
    OutputError
        If ``out`` exists and is not empty, or can't be written.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("cells", train=2, val=1, test=0, size=64))
    >>> folder = convert(collection, "as_coco", "coco")
    >>> open_collection(folder).n_dots == collection.n_dots
    True
    """
    if not FORMATS.create(format).writable:
        raise UsageError(f"format {format!r} can only be read; write csv, for example")
    records = _placed(collection.annotated().records)
    if not records:
        raise DataError(f"{collection.root} has no annotated image that could be written")

    def fill(folder: Path) -> None:
        write_images(folder, records, images)
        _write_dots(folder, [record for _, record in records], format)
        for name, text in (notes or {}).items():
            write_text(folder / name, text)
        mark_output(folder, "data", created_by, source=collection.root)

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
    """Return the source of each image and its record under the name it gets, which is safe to write.

    Names of splits and images come from data: from ``splits.csv``, from annotation files, from a downloaded archive.
    """
    placed = []
    taken: dict[str, str] = {}
    for record in records:
        name = record.name
        if record.split is not None and split_of(Path(name)) != record.split:
            if len(below(Path(), record.split, "split").parts) != 1 or "\\" in record.split:
                raise DataError(f"split {record.split!r} can't be written: it is no plain name; rename it")
            name = f"{record.split}/{name}"
        below(Path(), name, "image")
        if name in taken:
            raise DataError(f"images {taken[name]} and {record.name} would both be written as {name}; rename one")
        taken[name] = record.name
        placed.append((record.image, replace(record, name=name)))
    return placed


def write_images(folder: Path, records: Iterable[tuple[Path, Record]], images: Images) -> None:
    """Copy or link the image of each record to its name below the folder."""
    for source, record in records:
        target = below(folder, record.name, "image")
        target.parent.mkdir(parents=True, exist_ok=True)
        if images == "copy":
            regular_file(source)
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
        taken = {PurePosixPath(record.name): record.name for record in records}
        for record in records:
            place = writer.place(PurePosixPath(record.name))
            if place in taken:
                raise DataError(
                    f"images {taken[place]} and {record.name} would share the file {place}; rename one, or write csv"
                )
            taken[place] = record.name
            target = below(folder, place.as_posix(), "annotation")
            target.parent.mkdir(parents=True, exist_ok=True)
            writer.write(target, record)
