"""What a data set is to the rest of the package: images with dots, splits and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dotcount.data.resizing import ResizeRule
from dotcount.errors import DataError
from dotcount.points import Points
from dotcount.registry import did_you_mean


@dataclass(frozen=True)
class Record:
    """One image and what is known about it.

    Parameters
    ----------
    image
        Path of the file.
    name
        Path relative to the root of the collection, with ``/``; unique in the collection.
    points
        Dots with the size of the image after EXIF orientation; ``None``: the image carries no annotation (an image
        that was looked at and holds nothing has :meth:`Points.empty`).
    split
        Name of the part of the data set the image belongs to, where the layout says so.
    labels
        Attributes of the whole image, such as ``{"weather": "rain"}``, for metrics by subset.
    classes
        Class of each dot, in the order of ``points``; empty where the annotation knows no classes.
    error
        Why the image or its dots can't be used. Such a record makes a row with an error, not a crash.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dotcount.points import Points
    >>> record = Record(Path("a.png"), "a.png", Points([[3.0, 4.0]], width=64, height=48))
    >>> record.count, Record(Path("b.png"), "b.png").count
    (1, None)
    """

    image: Path
    name: str
    points: Points | None = None
    split: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def count(self) -> int | None:
        """Number of dots; ``None`` without annotation."""
        return None if self.points is None else len(self.points)


@dataclass(frozen=True)
class Problem:
    """Something wrong with the files: ``kind`` for programs, ``message`` (one line, with the remedy) for people.

    Examples
    --------
    >>> Problem("outside", "a.png", "a dot of a.png lies outside the image; correct it").kind
    'outside'
    """

    kind: str
    name: str
    message: str


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that was seen and not used, relative to the root, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """Records read from one place, with what was recognised there.

    ``note`` is a sentence for people: the layout, the number of images and of dots, and what was left out.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("cells", train=3, val=1, test=0, size=64))
    >>> collection.splits, len(collection.split("train"))
    (('train', 'val'), 3)
    >>> collection.n_dots == sum(record.count for record in collection.records)
    True
    """

    root: Path
    name: str
    format: str
    records: tuple[Record, ...]
    problems: tuple[Problem, ...] = ()
    summary: str = ""
    license: str | None = None
    citation: str | None = None
    resize: ResizeRule = field(default_factory=ResizeRule)
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in the order of first appearance."""
        return tuple(dict.fromkeys(r.split for r in self.records if r.split is not None))

    @property
    def n_dots(self) -> int:
        """Number of dots over all annotated images."""
        return sum(len(r.points) for r in self.records if r.points is not None)

    @property
    def note(self) -> str:
        """What was recognised and what was left out, for people."""
        return f"{self.recognised}; {describe_left_out(self.left_out)}" if self.left_out else self.recognised

    @property
    def recognised(self) -> str:
        """What was recognised, for people."""
        annotated = len(self.annotated().records)
        dots = f", {self.n_dots:,} dots" if annotated else ", no dots"
        parts = [f"{len([r for r in self.records if r.split == s]):,} {s}" for s in self.splits]
        split = f" ({', '.join(parts)})" if parts else ""
        bad = len(self.errors())
        broken = f"; {bad} can't be used, the first: {self.errors()[0].error}" if bad else ""
        summary = f"; {self.summary}" if self.summary else ""
        return f"{self.format}: {len(self.records):,} images{split}{dots}{summary}{broken}"

    def split(self, name: str) -> Collection:
        """Return the records of one split.

        Raises
        ------
        DataError
            If there is no such split; the message lists those that exist.
        """
        if name not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise DataError(f"{self.root} has no split {name!r}.{did_you_mean(name, self.splits)} Splits: {known}.")
        return self.where([r for r in self.records if r.split == name])

    def annotated(self) -> Collection:
        """Return the records that have dots (or are known to be empty) and can be used."""
        return self.where([r for r in self.records if r.points is not None and r.error is None])

    def errors(self) -> tuple[Record, ...]:
        """Return the records that can't be used."""
        return tuple(r for r in self.records if r.error is not None)

    def where(self, records: Sequence[Record]) -> Collection:
        """Return the same collection with these records only."""
        return replace(self, records=tuple(records))


def describe_left_out(left_out: Sequence[LeftOut]) -> str:
    """Return what was left out, for people: each reason with the number of files and one of them.

    Examples
    --------
    >>> describe_left_out([LeftOut("a.oib", "an Olympus image"), LeftOut("b.oib", "an Olympus image")])
    'left out: 2 files, such as a.oib (an Olympus image)'
    """
    by_reason: dict[str, list[str]] = {}
    for each in left_out:
        by_reason.setdefault(each.reason, []).append(each.path)
    parts = [
        f"{paths[0]} ({reason})" if len(paths) == 1 else f"{len(paths)} files, such as {paths[0]} ({reason})"
        for reason, paths in by_reason.items()
    ]
    return f"left out: {'; '.join(parts)}"


def hold_out(collection: Collection, fraction: float, seed: int) -> tuple[Collection, Collection]:
    """Split off a share of the annotated records, stratified by count: ``(rest, held out)``.

    Records are sorted by count and cut into as many runs of neighbours as records are to be held out; one of each run
    is drawn. The draw depends on the names and the seed alone, not on where the data lies or in which order it was
    listed.

    Raises
    ------
    DataError
        If there are fewer than two annotated images, of which one could be held out.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("cells", train=5, val=0, test=0, size=64))
    >>> rest, held_out = hold_out(collection, fraction=0.2, seed=0)
    >>> len(rest), len(held_out)
    (4, 1)
    """
    records = list(collection.annotated().records)
    if len(records) < 2:
        raise DataError(
            f"{collection.root} has {len(records)} annotated images to train on; at least 2 are needed, "
            "one of which is held out for validation"
        )
    chosen = min(max(1, round(fraction * len(records))), len(records) - 1)

    def key(record: Record) -> str:
        return hashlib.sha256(f"{seed}:{record.name}".encode()).hexdigest()

    ordered = sorted(records, key=lambda r: (r.count or 0, key(r)))
    runs = np.array_split(np.arange(len(ordered)), chosen)
    held = {min((ordered[i] for i in run), key=key).name for run in runs}
    rest = [r for r in records if r.name not in held]
    return collection.where(rest), collection.where([r for r in records if r.name in held])
