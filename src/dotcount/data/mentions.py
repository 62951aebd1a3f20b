"""Tables of dots: from every mention of an image to one entry an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from dotcount.data.formats.base import Listed, Table, require_size
from dotcount.data.formats.csv import is_manifest, read_manifest
from dotcount.data.layout import Dots, Entry, Layout, no_dots, split_named, split_of
from dotcount.data.resolver import Resolver
from dotcount.errors import AnnotationError, DataError

MANIFEST = "images.csv"
_NO_SPLIT = "default"  # what CVAT and Datumaro call the part of images that belong to none


@dataclass(frozen=True)
class Mention:
    """What one file says about one image."""

    table: Path
    listed: Listed


@dataclass
class Mentions:
    """What all files say, by image, relative to the root; ``problems``: names that lead to no image.

    ``counts``: how many dots a file ``images.csv`` states for an image; ``summaries``: what formats say in words.
    """

    root: Path
    by_image: dict[Path, list[Mention]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    counts: dict[Path, int] = field(default_factory=dict)
    summaries: list[str] = field(default_factory=list)


def find_mentions(root: Path, images: Sequence[Path], lists: Sequence[Path], format: Table) -> Mentions:
    """Return what tables say about images.

    Parameters
    ----------
    root
        What the paths are relative to.
    images, lists
        The images, and the tables of one format.
    format
        Reads the tables.

    Raises
    ------
    AnnotationError
        If a table can't be read.
    """
    found = Mentions(root)
    resolver = Resolver(images)
    for table in lists:
        rows = list(format.read(root / table))
        found.summaries += [format.summary] if format.summary else []
        lost: dict[str, str] = {}
        for name, listed in rows:
            try:
                image = resolver.find(name, table, listed.split)
            except DataError as error:
                lost.setdefault(name, str(error))
            else:
                found.by_image.setdefault(image, []).append(Mention(root / table, listed))
        names = {name for name, _ in rows}
        if len(lost) > 1 and len(lost) == len(names):
            first = next(iter(lost.values()))
            found.problems.append(
                f"annotation {root / table} names {len(lost)} images, none of which is there: {first}"
            )
        else:
            found.problems += [f"annotation {root / table} names {reason}" for reason in lost.values()]
    for manifest in sorted({table.parent / MANIFEST for table in lists}):
        if is_manifest(root / manifest):
            _add_empty(found, resolver, manifest)
    return found


def _add_empty(found: Mentions, resolver: Resolver, manifest: Path) -> None:
    """Add images that ``images.csv`` lists with count 0, and no table: they were looked at, and hold nothing."""
    for name, count in read_manifest(found.root / manifest).items():
        try:
            image = resolver.find(name, manifest)
        except DataError as error:
            found.problems.append(f"manifest {found.root / manifest} names {error}")
            continue
        if count:
            found.counts[image] = count
        elif image not in found.by_image:
            found.by_image[image] = [Mention(found.root / manifest, Listed(no_dots))]


def table_layout(root: Path, images: Sequence[Path], lists: Sequence[Path], format: Table) -> Layout:
    """Return the layout of images whose dots stand in one or more tables."""
    found = find_mentions(root, images, lists, format)
    return replace(as_layout(found, images, format.name), absent=format.absent)


def as_layout(found: Mentions, images: Sequence[Path], format: str) -> Layout:
    """Return the layout of images with what is said about them."""
    entries = []
    for image in images:
        mentions = found.by_image.get(image, [])
        stated = [m.listed.split for m in mentions if m.listed.split and m.listed.split.lower() != _NO_SPLIT]
        split = (split_named(stated[0]) or stated[0]) if stated else split_of(image)
        labels: Mapping[str, str] = mentions[0].listed.labels if mentions else {}
        read = partial(agreed, image.as_posix(), mentions, found.counts.get(image)) if mentions else None
        entries.append(Entry(found.root / image, image.as_posix(), read, split, labels))
    return Layout(format, entries, found.problems, summary="; ".join(found.summaries))


def agreed(image: str, mentions: Sequence[Mention], counted: int | None, width: int, height: int) -> Dots:
    """Return the dots that all mentions of an image agree on; ``counted``: how many ``images.csv`` states.

    Raises
    ------
    AnnotationError
        If they differ, or one is of an image of another size.
    """
    dots: Dots | None = None
    for mention in mentions:
        require_size(mention.table, mention.listed.size, (width, height), mention.listed.relative)
        more = mention.listed.read(width, height)
        if dots is not None and not _same(dots, more):
            tables = " and ".join(dict.fromkeys(str(m.table) for m in mentions))
            raise AnnotationError(
                f"annotation {tables}: image {image} is listed {len(mentions)} times, with {len(dots.xy)} dots and "
                f"with {len(more.xy)} others; keep one, or put them together"
            )
        dots = more
    assert dots is not None
    splits = {m.listed.split for m in mentions}
    if len(splits) > 1:
        names = ", ".join(sorted(map(str, splits)))
        raise AnnotationError(
            f"annotation {mentions[0].table}: image {image} is listed in the splits {names}; keep one"
        )
    if counted is not None and counted != len(dots.xy):
        dots = replace(dots, left_out=(*dots.left_out, f"another number of dots is stated in {MANIFEST}"))
    return dots


def _same(one: Dots, other: Dots) -> bool:
    if one.xy.shape != other.xy.shape or sorted(one.classes) != sorted(other.classes):
        return False
    order = [np.lexsort(d.xy.T) for d in (one, other)]
    return bool(np.array_equal(one.xy[order[0]], other.xy[order[1]], equal_nan=True))
