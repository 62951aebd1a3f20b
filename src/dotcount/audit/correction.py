"""A corrected copy of a data set: what was accepted is done, and all of it told; the original stays as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dotcount.audit.suspicions import Suspicion
from dotcount.data import Collection, Record, convert
from dotcount.data.formats import FORMATS
from dotcount.errors import DataError
from dotcount.points import Points

CHANGES = "changes.txt"
_SAME = 0.02  # px: what writing a place with few digits may move it


def own_format(collection: Collection) -> str:
    """Return the annotation format that a copy of the data is written in: its own or, where none can write it, csv.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> own_format(open_collection(write_dataset("data", train=1, val=0, test=0, size=64)))
    'csv'
    """
    name = collection.format
    return name if name in FORMATS and FORMATS.create(name).writable else "csv"


def write_corrected(
    collection: Collection, accepted: Iterable[Suspicion], out: str | Path, format: str | None = None
) -> list[str]:
    """Write a copy in which the accepted suspicions are put right; return what was changed, one line a change.

    Images without usable dots are left out, which is told as well. ``changes.txt`` holds the same lines.

    Parameters
    ----------
    accepted
        At most one for each dot; see :attr:`dotcount.audit.Suspicion.correction`.
    out
        New folder; it appears when complete.
    format
        Annotation format; the data's own (see :func:`own_format`) if absent.

    Raises
    ------
    DataError
        If a suspicion is about an image or a dot that is not there, or two are about one dot; and as
        :func:`dotcount.data.convert`.
    OutputError
        If ``out`` exists and is not empty.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("data", train=1, val=0, test=0, size=64))
    >>> name = collection.records[0].name
    >>> write_corrected(collection, [Suspicion(name, "missing", 0.9, place=(12.0, 40.5))], "corrected")
    ['train/images/0000.png: add a dot at (12.0, 40.5)']
    >>> open_collection("corrected").n_dots - collection.n_dots
    1
    """
    by_image: dict[str, list[Suspicion]] = defaultdict(list)
    for suspicion in accepted:
        by_image[suspicion.image].append(suspicion)
    records = {record.name: record for record in collection.records}
    for name in by_image:
        if name not in records or records[name].points is None or records[name].error is not None:
            raise DataError(f"{collection.root} holds no image {name!r} with dots; give the data that was audited")
    classes = sorted({name for record in collection.records for name in record.classes})
    changes: list[str] = []
    corrected = []
    for record in collection.records:
        if record.points is None or record.error is not None:
            changes.append(f"{record.name}: left out ({record.error or 'no annotation'})")
            continue
        corrected.append(_corrected(record, by_image[record.name], records, classes, changes))
    notes = {CHANGES: "".join(f"{line}\n" for line in changes)}
    copy = replace(collection, records=tuple(corrected), problems=())
    convert(copy, out, format or own_format(collection), notes=notes, created_by="dotcount audit")
    return changes


def _corrected(
    record: Record, accepted: list[Suspicion], records: dict[str, Record], classes: list[str], changes: list[str]
) -> Record:
    """Return the record with its dots put right."""
    exchange = next((s for s in accepted if s.kind == "exchanged"), None)
    if exchange is not None:
        if len(accepted) > 1:
            raise DataError(f"image {record.name} gets the dots of {exchange.other}; accept nothing else about it")
        changes.append(f"{record.name}: {exchange.correction}")
        return _with_dots_of(record, records.get(exchange.other or ""), exchange)
    points = record.points
    assert points is not None
    xy, named, keep = points.xy.copy(), list(record.classes), np.ones(len(points), dtype=bool)
    touched: set[int] = set()
    added = []
    for suspicion in accepted:
        line = f"{record.name}: {suspicion.correction}"
        if suspicion.kind == "missing":
            if named and len(classes) > 1:
                line += " - not done: its class is not known; add it in your annotation tool"
            else:
                added.append(suspicion.place)
            changes.append(line)
            continue
        dot = _dot(record.name, xy, suspicion)
        if dot in touched:
            raise DataError(f"two corrections of dot {dot + 1} of image {record.name} were accepted; keep one")
        touched.add(dot)
        if suspicion.kind == "misplaced":
            xy[dot] = suspicion.target
        else:
            keep[dot] = False
        changes.append(line)
    xy = np.concatenate([xy[keep], np.array(added, dtype=np.float64).reshape(-1, 2)])
    xy = np.clip(xy, 0, np.nextafter((points.width, points.height), 0.0))
    names = [name for name, kept in zip(named, keep) if kept] + (classes[:1] * len(added) if named else [])
    return replace(record, points=Points(xy, points.width, points.height), classes=tuple(names))


def _dot(image: str, xy: np.ndarray, suspicion: Suspicion) -> int:
    """Return the number of the dot that a suspicion is about, which has to be where it was."""
    dot = suspicion.dot
    if dot is None or not 0 <= dot < len(xy) or not np.allclose(xy[dot], suspicion.place or (), rtol=0, atol=_SAME):
        number = "?" if dot is None else dot + 1
        raise DataError(f"dot {number} of image {image} is not where the audit saw it; audit the data as it is now")
    return dot


def _with_dots_of(record: Record, other: Record | None, exchange: Suspicion) -> Record:
    if other is None or other.points is None or record.points is None:
        raise DataError(f"there is no image {exchange.other!r} with dots; give the data that was audited")
    points = Points(other.points.xy, record.points.width, record.points.height)
    if not points.inside().all():
        raise DataError(f"the dots of {exchange.other} don't lie inside image {record.name}; correct them by hand")
    return replace(record, points=points, classes=other.classes)
