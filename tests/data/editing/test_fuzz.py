"""Files as other programs write them are changed without loss, or refused: annotations that chance has changed."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from dotcount.data import open_collection
from dotcount.data.editing import Edit, open_annotations
from dotcount.data.formats import FORMATS
from dotcount.errors import DotcountError

from ..semantic import change, written
from .test_store import EDITABLE

TRIES = 6


def readable(folder: Path, format: str) -> dict[str, np.ndarray] | None:
    """Return the dots of every annotated image; ``None`` where the folder can't be read."""
    try:
        records = open_collection(folder, format, strict=False).annotated().records
    except DotcountError:
        return None
    return {r.name: ordered(r.points.xy) for r in records}


def ordered(xy: np.ndarray) -> np.ndarray:
    return xy[np.lexsort(np.round(xy, 1).T)]


def attempt(format: str, folder: Path, seed: int) -> str | None:
    """Write, change, add a dot; return what went wrong, None if nothing did."""
    rng = random.Random(f"edit {format} {seed}")
    source = written(format, folder, rng)
    images = {record.image for record in source.records}
    files = [p for p in sorted(source.root.rglob("*")) if p.is_file() and p not in images and p.name != "images.csv"]
    files = [p for p in files if p.suffix in FORMATS.create(format).suffixes and p.stat().st_size]
    done = change(format, rng.choice(files), rng)
    before = readable(source.root, format)
    texts = {path: path.read_bytes() for path in files}
    try:
        with open_annotations(source.root, format) as annotations:
            name = rng.choice(list(annotations.images))
            marks = annotations.marks(name)
            annotations.edit(name, marks.version, [Edit("add", 10_000, 1.25, 1.75)])
    except DotcountError:
        return None if {path: path.read_bytes() for path in files} == texts else f"{done}: refused, and yet changed"
    after = readable(source.root, format)
    if before is None or after is None:
        return f"{done}: {'not readable before' if before is None else 'not readable any more'}"
    before[name] = ordered(np.concatenate([before.get(name, np.zeros((0, 2))), [[1.25, 1.75]]]))
    if before.keys() != after.keys():
        return f"{done}: other images are annotated: {sorted(before.keys() ^ after.keys())}"
    for image, xy in before.items():
        if xy.shape != after[image].shape or not np.allclose(xy, after[image], atol=0.02):
            return f"{done}: {image} had {len(xy)} dots, has {len(after[image])}"
    lost = [word for word in (b'"zz"', b"blob") if any(word in text for text in texts.values())]
    kept = b"".join(path.read_bytes() for path in files if path.exists())
    missing = [word for word in lost if word not in kept and not trifling(texts, word)]
    return f"{done}: lost {missing}" if missing else None


def trifling(texts: dict[Path, bytes], word: bytes) -> bool:
    """Return whether a key holds nothing wherever it stands."""
    rest = [text.split(word, 1)[1].lstrip(b": ")[:4] for text in texts.values() if word in text]
    return all(each.startswith((b"null", b"[]", b"{}", b'""')) for each in rest)


@pytest.mark.parametrize("format", EDITABLE)
def test_changed_without_loss_or_refused(format, tmp_path):
    for seed in range(TRIES):
        (tmp_path / str(seed)).mkdir()
        assert attempt(format, tmp_path / str(seed), seed) is None, f"seed {seed}"
