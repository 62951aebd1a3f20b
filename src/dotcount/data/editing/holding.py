"""Which images are held out of training while a data set grows: once held out, always held out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dotcount.data.editing.journal import FOLDER
from dotcount.data.records import Collection, Record, hold_out
from dotcount.errors import AnnotationError, DataError
from dotcount.files import read_bytes, write_text

HELD_OUT, ASSISTED, LEARNT = "held_out.json", "assisted.json", "learnt.json"
SHARE, LEAST_SHARE = 0.2, 0.1
"""Share of the annotated images that is held out, and the share below which more are added."""


def with_held_out(collection: Collection) -> Collection:
    """Return the annotated images of a collection in the splits train and val, and test where the data has one.

    Where the data itself has a split ``val``, that is it. Otherwise a fifth of the images, at least two of four or
    more, is drawn by :func:`dotcount.data.hold_out` and written down in the hidden folder of the data set. They stay
    held out in every later training. More are drawn only where they have become less than a tenth. Images whose dots
    were accepted from a model's suggestions are not drawn, while there are others: a model would be judged by its own
    word.

    Raises
    ------
    DataError
        If fewer than two images are annotated.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("cells", train=10, val=0, test=0, size=64))
    >>> first = with_held_out(collection.where(collection.records[:5]))
    >>> later = with_held_out(collection)
    >>> [r.name for r in first.split("val").records] == [r.name for r in later.split("val").records]
    True
    """
    collection = collection.annotated()
    if "val" in collection.splits:
        return collection
    pool = [record for record in collection.records if record.split in (None, "train")]
    if len(pool) < 2:
        raise DataError(
            f"{collection.root} has {len(pool)} annotated images to train on; annotate at least 2, "
            "one of which is held out to measure the error"
        )
    path = collection.root / FOLDER / HELD_OUT
    names = read_names(path)
    held = [record.name for record in pool if record.name in names]
    if len(held) < max(1, LEAST_SHARE * len(pool)):
        held += _drawn(collection, pool, held)
        write_names(path, {*names, *held})
    learnt = collection.root / FOLDER / LEARNT
    write_names(learnt, {*read_names(learnt), *(record.name for record in pool if record.name not in held)})
    splits = {record.name: "val" if record.name in held else "train" for record in pool}
    return collection.where([replace(r, split=splits.get(r.name, r.split)) for r in collection.records])


def _drawn(collection: Collection, pool: Sequence[Record], held: Sequence[str]) -> list[str]:
    wanted = max(2 if len(pool) >= 4 else 1, round(SHARE * len(pool))) - len(held)
    free = [record for record in pool if record.name not in held]
    for name in (ASSISTED, LEARNT):
        worse = read_names(collection.root / FOLDER / name)
        better = [record for record in free if record.name not in worse]
        free = better if len(better) >= wanted else free
    if wanted < 1 or len(pool) - len(held) < 2:
        return []
    if len(free) <= wanted:
        return [record.name for record in free][: len(pool) - len(held) - 1]
    _, chosen = hold_out(collection.where(free), min(1.0, wanted / len(free)), seed=0)
    return [record.name for record in chosen.records]


def read_names(path: Path) -> set[str]:
    """Return the names in a list; empty where there is none."""
    if not path.exists():
        return set()
    try:
        content = json.loads(read_bytes(path, 1 << 26))
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"list {path} is not readable; mend it, or remove it") from error
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise AnnotationError(f"list {path} is not a list of names of images; mend it, or remove it")
    return set(content)


def write_names(path: Path, names: Iterable[str]) -> None:
    """Write a list of names."""
    write_text(path, json.dumps(sorted(names), ensure_ascii=False, indent=0) + "\n", durable=True)
