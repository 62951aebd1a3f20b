"""Negative dots, which no format has a place for: JSON lines in the hidden folder of a data set, which readers skip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dotcount.data.editing.journal import FOLDER
from dotcount.data.editing.marks import Mark
from dotcount.data.formats.jsonl import JsonLines
from dotcount.data.records import Record
from dotcount.files import replacing
from dotcount.points import Points

NEGATIVES = "negatives.jsonl"


def read_negatives(root: Path) -> dict[str, list[Mark]]:
    """Return the negative dots of each image that has some; AnnotationError if the file can't be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> read_negatives(Path("."))
    {}
    """
    path = root / FOLDER / NEGATIVES
    if not path.exists():
        return {}
    found = {name: listed.read(*(listed.size or (1, 1))).xy for name, listed in JsonLines().read(path)}
    return {name: [Mark(float(x), float(y), "", True) for x, y in xy] for name, xy in found.items()}


def write_negatives(root: Path, negatives: Mapping[str, Sequence[Mark]], sizes: Mapping[str, tuple[int, int]]) -> None:
    """Write the negative dots of all images that have some."""
    records = [
        Record(root / name, name, Points(np.array([(mark.x, mark.y) for mark in marks]), *sizes[name]))
        for name, marks in negatives.items()
        if marks
    ]
    path = root / FOLDER / NEGATIVES
    if records or path.exists():
        with replacing(path, durable=True) as temporary:
            JsonLines().write(temporary, records)
