"""Opening a data set: from a path to a :class:`~dotcount.data.records.Collection`."""

from __future__ import annotations

from collections.abc import Collection as Sized
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dotcount.data.benchmarks import BENCHMARKS
from dotcount.data.discover import discover, file_layout, image_entries
from dotcount.data.editing.journal import FOLDER, JOURNAL, pending
from dotcount.data.explain import described
from dotcount.data.formats import FORMATS
from dotcount.data.formats.base import Table, tables
from dotcount.data.images import ImageHeader, orientation, read_header
from dotcount.data.layout import Dots, Entry, Layout
from dotcount.data.records import Collection, LeftOut, Problem, Record, describe_left_out
from dotcount.data.splits import with_listed_splits
from dotcount.data.units import suspicious_units
from dotcount.errors import AnnotationError, DataError, ImageReadError, UnknownNameError
from dotcount.points import FloatArray, Points
from dotcount.registry import did_you_mean
from dotcount.selection import ImageSelection

_SHOWN = 20
_FIRST = ImageSelection()
_IGNORED = frozenset(  # QuPath, VisDrone, KITTI and others
    ("ignore", "ignore*", "ignored", "ignored region", "ignored regions", "ignore region", "dontcare", "don't care")
)
_OF_DOTS = ("unreadable_annotation", "other_page", "not_finite", "outside", "units")


def open_collection(
    path: str | Path,
    format: str = "auto",
    *,
    images_only: bool = False,
    strict: bool = True,
    classes: Sized[str] | None = None,
    complete: bool = False,
    selection: ImageSelection | None = _FIRST,
) -> Collection:
    """Read which images there are and where their dots lie; decodes no pixels.

    Parameters
    ----------
    path
        A folder, an annotation file that names its images, one image, or ``benchmark:PATH`` for a benchmark.
    format
        Name of an annotation format or benchmark; ``auto`` recognises it.
    images_only
        Take images without looking for dots.
    strict
        Raise on the first thing wrong with the dots. Otherwise everything wrong is listed in
        ``Collection.problems`` and the record concerned carries the error. Either way an unreadable image is one
        record with an error.
    classes
        Keep only the dots of these classes; images without any then count as zero.
    complete
        Raise as well if any file is left out or an image can't be read.
    selection
        What will be read of files with several pages: dots that are stated to be of another page are an error.
        ``None``: not known yet, so that they are told.

    Returns
    -------
    Collection
        ``left_out`` tells what was seen and not used: images of kinds that can't be read, results of this package,
        annotations of another format than the one that was recognised, what is no object in an annotation.

    Raises
    ------
    DataError
        If the path is missing, holds no images, or no dots are found; with ``strict`` also for dots without image,
        images without dots, dots that are not finite or lie outside their image, and unreadable annotations; with
        ``complete`` for anything left out.
    UnknownNameError
        If the format or recipe does not exist, or no dot is of one of the classes.

    Examples
    --------
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("cells", train=2, val=1, test=0, size=64))
    >>> collection.format, len(collection), collection.splits
    ('csv', 3, ('train', 'val'))
    """
    recipe, root = _parse(path)
    if not root.exists():
        raise DataError(f"{root} does not exist; check the path")
    layout = _images(root) if images_only else _layout(root, recipe, format)
    place = layout.root or (root if root.is_dir() else root.parent)
    collection = with_listed_splits(_assemble(place, layout, classes, selection))
    waiting = pending(collection.root)
    if waiting:
        told = f"{waiting} changes of an annotator that was stopped; `dotcount annotate` carries them out"
        collection = replace(collection, left_out=(*collection.left_out, LeftOut(f"{FOLDER}/{JOURNAL}", told)))
    wrong = [p for p in collection.problems if complete or p.kind != "unreadable_image"]
    if (strict or complete) and wrong:
        others = f"{len(wrong) - 1} more problem{'s' if len(wrong) > 2 else ''}"
        more = f" (and {others}; `dotcount data check` lists them)" if len(wrong) > 1 else ""
        error = AnnotationError if wrong[0].kind in _OF_DOTS else DataError
        raise error(wrong[0].message + more)
    if complete and collection.left_out:
        raise DataError(f"{root} is not complete; {describe_left_out(collection.left_out)}; move it away, or mend it")
    checked = not strict and any(r.points is not None for r in collection.records)  # the check explains their errors
    if not checked and not any(r.error is None for r in collection.records):
        first = collection.records[0].error if collection.records else "it holds none"
        raise DataError(f"{root}: no image can be used: {first}")
    return collection


def _parse(path: str | Path) -> tuple[str | None, Path]:
    recipe, colon, rest = str(path).partition(":")
    if colon and not Path(path).exists():
        if recipe in BENCHMARKS:
            return recipe, Path(rest).expanduser()
        if recipe.isidentifier() and len(recipe) > 1:
            BENCHMARKS.get(recipe)  # raises, with a suggestion
    return None, Path(path).expanduser()


def _layout(root: Path, recipe: str | None, format: str) -> Layout:
    name = recipe or format
    if name in BENCHMARKS:
        return BENCHMARKS.create(name).read(root)
    if name != "auto" and name not in FORMATS:
        known = [*FORMATS, *BENCHMARKS]
        raise UnknownNameError(f"unknown format {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    if root.is_file():
        return _file_layout(root, name)
    if name == "auto":
        for benchmark in map(BENCHMARKS.create, BENCHMARKS):
            if benchmark.recognises(root):
                return benchmark.read(root)
    return discover(root, name)


def _file_layout(path: Path, format: str) -> Layout:
    """Read one annotation file that names its images."""
    chosen = [FORMATS.create(format)] if format != "auto" else [t for t in tables() if t.recognises(path)]
    if chosen and isinstance(chosen[0], Table):
        return file_layout(path, chosen[0])
    objections = [text for table in tables() if (text := table.objection(path))]
    known = next(iter(objections), None) or described(path, path)
    nearly = f" ({known})" if known else ""
    raise DataError(f"{path} is not a known list of images and dots{nearly}; give the folder that holds the images")


def _images(root: Path) -> Layout:
    if root.is_file():
        return Layout("images", [Entry(root, root.name)], absent="unlabelled")
    entries, left_out = image_entries(root)
    return Layout("images", entries, absent="unlabelled", left_out=left_out)


def _assemble(root: Path, layout: Layout, classes: Sized[str] | None, selection: ImageSelection | None) -> Collection:
    problems = [Problem("missing_image", "", message) for message in layout.unmatched]
    records = []
    seen = _Seen(list(layout.left_out), selection)
    for entry in layout.entries:
        record, problem = _record(entry, layout, classes, seen)
        records.append(record)
        if problem is not None:
            problems.append(problem)
    unknown = next((name for name in classes or () if name not in seen.classes), None)
    if unknown is not None:
        known = ", ".join(sorted(seen.classes)[:_SHOWN]) or "none"
        raise UnknownNameError(
            f"{root} has no dots of class {unknown!r}.{did_you_mean(unknown, seen.classes)} Classes: {known}."
        )
    if layout.format not in BENCHMARKS:
        problems += suspicious_units([r for r in records if r.name not in seen.px])
    return Collection(
        root,
        root.resolve().name,
        layout.format,
        tuple(records),
        tuple(problems),
        layout.summary,
        layout.license,
        layout.citation,
        layout.resize,
        tuple(seen.left_out),
    )


@dataclass
class _Seen:
    """What reading images brings to light: classes, what was left out, and the images whose dots are stated in px."""

    left_out: list[LeftOut]
    selection: ImageSelection | None
    classes: set[str] = field(default_factory=set)
    px: set[str] = field(default_factory=set)


def _record(entry: Entry, layout: Layout, classes: Sized[str] | None, seen: _Seen) -> tuple[Record, Problem | None]:
    """Read one image; ``seen`` receives what else its annotation says."""

    def failed(kind: str, message: str, points: Points | None = None) -> tuple[Record, Problem]:
        record = Record(entry.image, entry.name, points, entry.split, entry.labels, error=message)
        return record, Problem(kind, entry.name, message)

    if not entry.image.exists():
        return failed("missing_image", f"image {entry.image} is missing; restore it or remove its annotation")
    try:
        header = read_header(entry.image)
    except ImageReadError as error:
        return failed("unreadable_image", str(error))
    width, height = header.width, header.height
    if entry.read is None:
        if layout.absent == "error":
            remedy = "annotate it (an empty annotation means no objects) or move it away"
            return failed("missing_annotation", f"image {entry.image} has no dots; {remedy}")
        points = Points.empty(width, height) if layout.absent == "zero" else None
        return Record(entry.image, entry.name, points, entry.split, entry.labels), None
    try:
        dots = entry.read(width, height)
    except AnnotationError as error:
        return failed("unreadable_annotation", str(error))
    elsewhere = _of_another_page(dots, header, seen.selection or _FIRST)
    if elsewhere and seen.selection is not None:
        chosen = seen.selection.page
        remedy = "choose that page (data.page), or save it as an image of its own"
        message = f"the dots of image {entry.image} are of {elsewhere}, while page {chosen} is read; {remedy}"
        return failed("other_page", message)
    phrases = [*dots.left_out, *([f"its dots are of {elsewhere}, which has to be read"] if elsewhere else [])]
    seen.left_out += [LeftOut(entry.name, phrase) for phrase in phrases]
    if dots.px:
        seen.px.add(entry.name)
    bad = np.flatnonzero(~np.isfinite(dots.xy).all(axis=1))
    if bad.size:
        where = f"dot {bad[0] + 1} of image {entry.image} is not finite: {_show(dots.xy[bad[0]])}"
        return failed("not_finite", f"{where}; correct or remove it")
    xy, named = dots.xy, dots.classes
    seen.classes.update(named)
    if classes is None:
        (xy, named), ignored = _without_ignored(xy, named)
        if ignored and not len(xy):
            message = f"image {entry.image} has nothing but objects of the class {ignored}"
            remedy = "name that class if they count; else give the image an annotation without objects"
            return failed("unreadable_annotation", f"{message}, which may be regions that are not annotated; {remedy}")
        if ignored:
            seen.left_out.append(LeftOut(entry.name, f"objects of the class {ignored}; name the class to count them"))
    else:
        keep = np.array([name in classes for name in named], dtype=bool) if named else np.zeros(len(xy), dtype=bool)
        xy, named = xy[keep], tuple(name for name, kept in zip(named, keep) if kept)
    points = Points(xy, width, height)
    outside = np.flatnonzero(~points.inside())
    if outside.size and layout.outside == "error":
        first = f"the first at {_show(points.xy[outside[0]])}"
        message = f"{outside.size} of {len(points)} dots of image {entry.image} ({width} x {height} px) lie outside it"
        remedy = "correct them, or check that x and y are not swapped"
        if orientation(entry.image) != 1 and bool(((xy >= 0) & (xy < (height, width))).all()):
            remedy = "they fit the picture before its EXIF orientation turns it; turn them, or annotate it upright"
        return failed("outside", f"{message}, {first}; {remedy}", points)
    return Record(entry.image, entry.name, points, entry.split, entry.labels, named), None


def _without_ignored(xy: FloatArray, named: tuple[str, ...]) -> tuple[tuple[FloatArray, tuple[str, ...]], str]:
    """Return dots without those of classes that mean by their name what is to be ignored, and that name."""
    keep = np.array([name.strip().lower() not in _IGNORED for name in named], dtype=bool)
    if keep.all():
        return (xy, named), ""
    first = next(name for name, kept in zip(named, keep) if not kept)
    return (xy[keep], tuple(name for name, kept in zip(named, keep) if kept)), first


def _of_another_page(dots: Dots, header: ImageHeader, selection: ImageSelection) -> str:
    """Return which page dots are of by their annotation, where it is not what is read; else nothing."""
    if not dots.planes or header.pages == 1 or selection.projection != "none" or selection.page - 1 in dots.planes:
        return ""
    named = " or ".join(str(page + 1) for page in dots.planes if 0 <= page < header.pages)
    return f"page {named} of its {header.pages:,} pages" if named else f"another of its {header.pages:,} pages"


def _show(xy: Sequence[float] | np.ndarray) -> str:
    return f"({xy[0]:g}, {xy[1]:g})"
