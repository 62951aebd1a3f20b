"""Splits that do not leak, and the manifest that keeps them: ``splits.csv`` beside the data.

``splits.csv`` has the columns ``image,split`` and, as written here, ``group,count,sha256``. Where it is found at the
root of a data set it decides the splits. Lists ``train.txt``, ``val.txt`` and ``test.txt`` at the root, one image a
line, decide them where the layout itself says nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dotcount.data.formats.base import read_rows, read_text
from dotcount.data.images import open_raster
from dotcount.data.layout import SPLIT_WORDS
from dotcount.data.records import Collection, Problem, Record
from dotcount.data.resolver import Resolver
from dotcount.errors import DataError, ImageReadError, InputError, OutputError
from dotcount.files import write_text
from dotcount.names import cell

MANIFEST = "splits.csv"
_LISTS = ("train.txt", "val.txt", "test.txt")
_TAKEN, _TAKEN_ORIGINAL, _EXIF_PART = 0x0132, 0x9003, 0x8769


def assign_splits(
    collection: Collection,
    fractions: Mapping[str, float] | None = None,
    *,
    by: str = "image",
    seed: int = 0,
) -> Collection:
    """Deal the annotated images to splits.

    Parameters
    ----------
    fractions
        Share of each split; train 0.7, val 0.15, test 0.15 when not given.
    by
        What stays together, so that neighbours do not end up on both sides: ``image`` (nothing does), ``folder``,
        ``time`` (consecutive runs in the order in which the pictures were taken, by EXIF), ``order`` (consecutive runs
        in the order of the names, numbers as numbers), or a regular expression whose first group, or whole match,
        names the group in the record's name.
    seed
        Seed of the draw; the draw depends on it and on the names alone.

    Raises
    ------
    DataError
        If a record has no group or no time, or there are fewer groups than splits.
    InputError
        If the fractions make no sense.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64))
    >>> split = assign_splits(collection, {"train": 0.75, "test": 0.25}, seed=1)
    >>> len(split.split("train")), len(split.split("test"))
    (3, 1)
    """
    shares = dict(fractions or {"train": 0.7, "val": 0.15, "test": 0.15})
    if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"fractions {shares} must be positive and add up to 1")
    records = list(collection.annotated().records)
    groups = group_records(records, by)
    if len(groups) < len(shares):
        raise DataError(
            f"{collection.root}: {len(groups)} groups by {by!r} can't fill {len(shares)} splits; group more finely"
        )
    names = _in_runs(groups, shares) if by in ("time", "order") else _drawn(groups, shares, seed)
    return collection.where([replace(r, split=names[r.name]) for r in records])


def group_records(records: Sequence[Record], by: str) -> dict[str, list[str]]:
    """Return the names of the records by group; in order of time or name where that is asked for."""
    groups: dict[str, list[str]] = defaultdict(list)
    if by in ("time", "order"):
        keys = {r.name: _time_taken(r) if by == "time" else _natural(r.name) for r in records}
        for record in sorted(records, key=lambda r: (keys[r.name], r.name)):
            groups[record.name].append(record.name)
        return groups
    for record in records:
        groups[_group(record, by)].append(record.name)
    return groups


def _group(record: Record, by: str) -> str:
    if by == "image":
        return record.name
    if by == "folder":
        return str(Path(record.name).parent.as_posix())
    try:
        found = re.search(by, record.name)
    except re.error as error:
        known = "image, folder, time, order or a regular expression"
        raise InputError(f"by {by!r} must be {known} ({error})") from error
    if found is None:
        raise DataError(f"image {record.name} has no group: {by!r} matches nothing in its name; widen the expression")
    return found[1] if found.groups() else found[0]


def _time_taken(record: Record) -> str:
    try:
        with open_raster(record.image) as image:
            exif = image.getexif()
            taken = exif.get_ifd(_EXIF_PART).get(_TAKEN_ORIGINAL) or exif.get(_TAKEN)
    except Exception as error:  # decoders raise anything on damaged files
        raise ImageReadError(f"image {record.image} can't be read ({error}); replace it") from error
    if not taken:
        raise DataError(f"image {record.image} does not tell when it was taken; split by order or folder instead")
    return str(taken)


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name))


def _in_runs(groups: Mapping[str, Sequence[str]], shares: Mapping[str, float]) -> dict[str, str]:
    ordered = [name for names in groups.values() for name in names]
    result, start, total = {}, 0, 0.0
    for split, share in shares.items():
        total += share
        stop = round(total * len(ordered))
        result.update(dict.fromkeys(ordered[start:stop], split))
        start = stop
    return result


def _drawn(groups: Mapping[str, Sequence[str]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Give each group, in an order drawn by hash, to the split that lacks most images relative to its share.

    The last groups go to splits that are still empty, if there are as many of these.
    """
    order = sorted(groups, key=lambda g: hashlib.sha256(f"{seed}:{g}".encode()).hexdigest())
    filled = dict.fromkeys(shares, 0)
    result = {}
    for left, group in zip(range(len(order), 0, -1), order):
        empty = [s for s in shares if not filled[s]]
        open_splits = empty if len(empty) == left else list(shares)
        split = min(open_splits, key=lambda s: (filled[s] + len(groups[group]) / 2) / shares[s])
        filled[split] += len(groups[group])
        result.update(dict.fromkeys(groups[group], split))
    return result


def write_splits(collection: Collection, path: Path, by: str = "image") -> None:
    """Write the manifest of a collection with splits: ``image,split,group,count,sha256``.

    Raises
    ------
    OutputError
        If the file exists already or can't be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64))
    >>> write_splits(assign_splits(collection, {"train": 0.75, "test": 0.25}), Path("splits.csv"))
    >>> Path("splits.csv").read_text().splitlines()[0]
    'image,split,group,count,sha256'
    """
    if path.exists():
        raise OutputError(f"{path} exists already; remove it to split anew, or give another name")
    groups = {name: group for group, names in group_records(collection.records, by).items() for name in names}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", "split", "group", "count", "sha256"])
    for record in collection.records:
        with record.image.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        texts = [cell(str(text)) for text in (record.name, record.split, groups[record.name])]
        writer.writerow([*texts, record.count, digest])
    write_text(path, buffer.getvalue())


def with_listed_splits(collection: Collection) -> Collection:
    """Apply ``splits.csv``, or split lists where the records have no splits; report what does not fit."""
    if (collection.root / MANIFEST).is_file():
        listed, problems = _read_manifest(collection)
        summary = f"splits from {MANIFEST}"
    elif collection.splits or not any((collection.root / name).is_file() for name in _LISTS):
        return collection
    else:
        listed, problems = _read_lists(collection)
        summary = "splits from lists"
    if not listed:
        return replace(collection, problems=collection.problems + tuple(problems))
    records = tuple(replace(r, split=listed.get(r.name)) for r in collection.records)
    parts = [part for part in (collection.summary, summary) if part]
    return replace(
        collection, records=records, problems=collection.problems + tuple(problems), summary="; ".join(parts)
    )


def _read_manifest(collection: Collection) -> tuple[dict[str, str], list[Problem]]:
    path = collection.root / MANIFEST
    rows = read_rows(path)
    if any(not row.get("image") or not row.get("split") for row in rows):
        raise DataError(f"{path} needs the columns image and split, filled in every row; write it anew")
    return _resolve(collection, path, [(row["image"], row["split"]) for row in rows])


def listed_digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of each image when ``splits.csv`` was written; empty without one."""
    path = root / MANIFEST
    if not path.is_file():
        return {}
    rows = read_rows(path)
    return {row["image"]: row["sha256"] for row in rows if row.get("image") and row.get("sha256")}


def _read_lists(collection: Collection) -> tuple[dict[str, str], list[Problem]]:
    rows: list[tuple[str, str]] = []
    for name in _LISTS:
        path = collection.root / name
        if path.is_file():
            lines = [line.strip() for line in read_text(path).splitlines()]
            rows += [(line, SPLIT_WORDS[Path(name).stem]) for line in lines if line]
    resolver = _resolver(collection)
    if sum(_found(resolver, line) for line, _ in rows) * 2 < len(rows):
        return {}, []  # some other text that happens to be called train.txt
    return _resolve(collection, collection.root, rows)


def _resolver(collection: Collection) -> Resolver:
    return Resolver(Path(record.name) for record in collection.records)


def _found(resolver: Resolver, name: str) -> bool:
    try:
        resolver.find(name)
    except DataError:
        return False
    return True


def _resolve(
    collection: Collection, source: Path, rows: Sequence[tuple[str, str]]
) -> tuple[dict[str, str], list[Problem]]:
    resolver = _resolver(collection)
    listed: dict[str, str] = {}
    problems = []
    for name, split in rows:
        try:
            image = resolver.find(name).as_posix()
        except DataError as error:
            problems.append(Problem("split_list", name, f"{source} lists {error}"))
            continue
        if listed.setdefault(image, split) != split:
            message = f"{source} lists image {name!r} as {listed[image]} and as {split}; keep one"
            problems.append(Problem("split_list", image, message))
    missing = [r.name for r in collection.records if r.name not in listed]
    if missing and listed:
        message = f"{source} lists no split for {len(missing)} images, the first {missing[0]}; add them"
        problems.append(Problem("split_list", missing[0], message))
    return listed, problems
