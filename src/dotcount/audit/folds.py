"""Cross-fitting: images are dealt to folds, so that each is judged by a model that has not seen its dots."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.config import RunConfig
from dotcount.data import Collection, Record, ResizeRule, convert
from dotcount.data.splits import group_records
from dotcount.errors import DataError, UsageError
from dotcount.files import write_text

FOLDS = "folds.json"


@dataclass(frozen=True)
class Fold:
    """A part of a collection, and the rest, from which the model that judges it learns.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("data", train=5, val=0, test=0, size=64))
    >>> [(len(fold.rest), len(fold.judged)) for fold in deal(collection, 2)]
    [(2, 3), (3, 2)]
    """

    number: int
    judged: Collection
    rest: Collection

    def write(self, folder: Path) -> Path:
        """Write the rest as data to train on: links to the images, their dots as csv, no splits.

        A folder that is there already is taken as it is: see :func:`record_folds`.
        """
        if folder.exists():
            return folder
        records = [
            replace(record, name=f"{place:05d}_{record.name.replace('/', '__')}", split=None)
            for place, record in enumerate(self.rest.records)
        ]
        return convert(self.rest.where(records), folder, "csv", images="link", created_by="dotcount audit")

    def settings(self, config: RunConfig, data: Path) -> RunConfig:
        """Return a configuration for what :meth:`write` wrote to ``data``.

        Model, loss, training and augmentation stay; the path, layout, classes and number of images of the data that the
        configuration was made for do not. The collection's rule for the size of images holds where the configuration
        has none.
        """
        rule = ResizeRule.of(config.data).or_else(self.rest.resize)
        own: dict[str, Any] = {"path": str(data), "format": "csv", "classes": None, "train_images": None}
        return replace(config, data=replace(config.data, **own | rule.to_dict()))


def deal(collection: Collection, folds: int, *, by: str = "image", seed: int = 0) -> list[Fold]:
    """Deal the annotated images to folds of about equal size and alike in their counts.

    Groups of images are sorted by their number of dots; of each run of ``folds`` neighbours every fold gets one, which
    one is drawn from the names and the seed. The splits of the collection play no part: errors in test images matter.

    Parameters
    ----------
    folds
        At least 2, at most the number of groups.
    by
        What stays together, see :func:`dotcount.data.assign_splits`: photos of one scene help to judge each other.
    seed
        Of the draw.

    Raises
    ------
    UsageError
        If ``folds`` is below 2.
    DataError
        If there are fewer groups than folds, or so few images that a fold has nothing to validate on.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("data", train=6, val=0, test=0, size=64))
    >>> [len(fold.judged) for fold in deal(collection, 3)]
    [2, 2, 2]
    """
    if folds < 2:
        raise UsageError(f"`folds` is {folds}; it must be at least 2")
    usable = collection.annotated()
    records = {record.name: record for record in usable.records}
    groups = group_records(usable.records, by)
    if len(groups) < folds or len(records) < folds + 1:
        raise DataError(
            f"{collection.root} has {len(records)} annotated images in {len(groups)} groups; {folds} folds need more, "
            "choose fewer `folds`"
        )

    def key(group: str) -> str:
        return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()

    dots = {group: sum(records[name].count or 0 for name in names) for group, names in groups.items()}
    ordered = sorted(groups, key=lambda group: (dots[group], key(group)))
    place: dict[str, int] = {}
    for start in range(0, len(ordered), folds):
        for fold, group in enumerate(sorted(ordered[start : start + folds], key=key)):
            place |= dict.fromkeys(groups[group], fold)
    parts = []
    for fold in range(folds):
        judged = [r for r in usable.records if place[r.name] == fold]
        rest = [r for r in usable.records if place[r.name] != fold]
        parts.append(Fold(fold + 1, usable.where(judged), usable.where(rest)))
    return parts


def record_folds(folds: Sequence[Fold], folder: Path) -> None:
    """Write down which image is in which fold; what the folds were begun with has to be what they go on with.

    Raises
    ------
    DataError
        If ``folder`` holds folds of other images, dots or draws.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> collection = open_collection(write_dataset("data", train=4, val=0, test=0, size=64))
    >>> record_folds(deal(collection, 2), Path("."))
    >>> record_folds(deal(collection, 2, seed=3), Path("."))
    Traceback (most recent call last):
    ...
    dotcount.errors.DataError: folds.json was begun with other images, dots or `folds`; choose another `out`
    """
    told = {
        "folds": len(folds),
        "images": {r.name: {"fold": f.number, "dots": _digest(r)} for f in folds for r in f.judged.records},
    }
    path = folder / FOLDS
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != told:
            raise DataError(f"{path} was begun with other images, dots or `folds`; choose another `out`")
        return
    write_text(path, json.dumps(told, indent=1) + "\n")


def _digest(record: Record) -> str:
    xy = np.zeros((0, 2)) if record.points is None else record.points.xy
    return hashlib.sha256(np.ascontiguousarray(xy).tobytes()).hexdigest()[:12]
