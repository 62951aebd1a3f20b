"""Scenes by kind, seed and index, and whole data sets of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dotcount.data.convert import write_folder
from dotcount.data.formats.csv import CsvTable, write_manifest
from dotcount.data.records import Record
from dotcount.data.synthetic.cells import cells
from dotcount.data.synthetic.crowd import crowd
from dotcount.errors import InputError, UnknownNameError
from dotcount.files import mark_output
from dotcount.points import Points
from dotcount.registry import did_you_mean

Drawer = Callable[[int, int, tuple[int, int], np.random.Generator], tuple[npt.NDArray[np.uint8], Points]]


@dataclass(frozen=True)
class Kind:
    """A way to draw scenes, with its usual number of objects in 256 x 256 px."""

    draw: Drawer
    count: tuple[int, int]
    stream: int  # keeps the random numbers of the kinds apart


KINDS: Mapping[str, Kind] = {"cells": Kind(cells, (20, 80), 1), "crowd": Kind(crowd, (5, 90), 2)}


def generate(
    kind: str = "cells",
    seed: int = 0,
    index: int = 0,
    size: int | tuple[int, int] = 256,
    count: tuple[int, int] | None = None,
) -> tuple[npt.NDArray[np.uint8], Points]:
    """Draw scene ``index`` of the series ``seed``; the same arguments give the same scene.

    Parameters
    ----------
    kind
        ``cells`` (fluorescence microscopy) or ``crowd`` (a street in perspective).
    seed, index
        Series and number within it, both not negative.
    size
        Side of a square image, or (width, height), px; at least 32.
    count
        Range of the number of objects wanted in an area of 256 x 256 px.

    Returns
    -------
    image, points
        (H, W, 3) uint8 and the exact dots, all inside.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    InputError
        If the size or the count makes no sense.

    Examples
    --------
    >>> image, points = generate("cells", seed=0, index=0, size=64)
    >>> image.shape, bool(points.inside().all())
    ((64, 64, 3), True)
    """
    if kind not in KINDS:
        raise UnknownNameError(f"unknown scene {kind!r}.{did_you_mean(kind, KINDS)} Known: {', '.join(KINDS)}.")
    width, height = (size, size) if isinstance(size, int) else size
    low, high = count if count is not None else KINDS[kind].count
    if min(width, height) < 32:
        raise InputError(f"size {width} x {height} px is too small for a scene; use at least 32")
    if not 0 <= low <= high:
        raise InputError(f"count ({low}, {high}) must be a range of numbers from 0 up")
    if min(seed, index) < 0:
        raise InputError(f"seed {seed} and index {index} must not be negative")
    rng = np.random.default_rng((KINDS[kind].stream, seed, index))
    return KINDS[kind].draw(width, height, (low, high), rng)


def write_dataset(
    out: str | Path,
    kind: str = "cells",
    *,
    train: int = 80,
    val: int = 20,
    test: int = 20,
    seed: int = 0,
    size: int | tuple[int, int] = 256,
    count: tuple[int, int] | None = None,
) -> Path:
    """Write a data set of scenes in the csv layout and return its folder.

    ``out/{train,val,test}/images/NNNN.png`` with ``dots.csv`` (``image,x,y``) and ``images.csv``
    (``image,width,height,count``, which lists empty scenes too) in each part. Scenes are numbered through, so that no
    two parts share one. Written beside ``out`` under a temporary name and renamed when complete.

    Raises
    ------
    OutputError
        If ``out`` exists and is not an empty folder, or can't be written.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> folder = write_dataset("cells", train=2, val=1, test=1, size=64)
    >>> open_collection(folder).splits
    ('test', 'train', 'val')
    """
    if min(train, val, test) < 0 or train + val + test == 0:
        raise InputError(f"train={train}, val={val}, test={test}: give numbers from 0 up, not all 0")
    generate(kind, seed, 0, size, count)  # wrong arguments fail here, before anything is written

    def fill(folder: Path) -> None:
        first = 0
        for split, number in (("train", train), ("val", val), ("test", test)):
            if number:
                _write_split(folder / split, range(first, first + number), kind, seed, size, count)
            first += number
        mark_output(folder, "data", "dotcount data synth")

    return write_folder(out, fill)


def _write_split(
    folder: Path,
    indices: range,
    kind: str,
    seed: int,
    size: int | tuple[int, int],
    count: tuple[int, int] | None,
) -> None:
    (folder / "images").mkdir(parents=True)
    records = []
    for index in indices:
        image, points = generate(kind, seed, index, size, count)
        path = folder / "images" / f"{index:04d}.png"
        Image.fromarray(image).save(path)
        records.append(Record(path, f"images/{path.name}", points))
    CsvTable().write(folder / "dots.csv", records)
    write_manifest(folder / "images.csv", records)
