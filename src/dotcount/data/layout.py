"""What readers hand to :func:`dotcount.data.open_collection`: images with a way to read their dots.

Dots are read lazily, because some formats need the size of the image (percent, normalised boxes) and because one
unreadable annotation must not take the others with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from dotcount.data.records import LeftOut
from dotcount.data.resizing import ResizeRule
from dotcount.points import FloatArray


@dataclass(frozen=True, eq=False)
class Dots:
    """Dots of one image as read: (n, 2) px in the package's corner convention, and the class of each, if known.

    ``left_out`` tells what the annotation holds beside the dots and was not taken for objects, each as a short phrase.
    ``px``: the annotation states that its numbers are px, so that small ones are no reason for doubt. ``planes``: the
    pages of a stack, from 0, that they may be of by what the annotation says; -1: another than the first.
    """

    xy: FloatArray
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    px: bool = False
    planes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        xy = np.asarray(self.xy, dtype=np.float64)
        object.__setattr__(self, "xy", xy.reshape(-1, 2))


ReadDots = Callable[[int, int], Dots]
"""(width, height) of the image -> its dots; raises AnnotationError."""


def fixed(dots: Dots) -> ReadDots:
    """Return a reader of dots that are known already, whatever the size of the image."""
    return lambda _width, _height: dots


def no_dots(_width: int, _height: int) -> Dots:
    """Return the dots of an image that was looked at and holds nothing."""
    return Dots(np.zeros((0, 2)))


@dataclass(frozen=True)
class Entry:
    """One image of a layout. ``read`` is ``None`` where no annotation was found for it."""

    image: Path
    name: str
    read: ReadDots | None = None
    split: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """Everything a reader found.

    Parameters
    ----------
    format
        Name of what was recognised.
    entries
        The images, in reading order.
    unmatched
        Annotations whose image was not found, each as a one-line message with the remedy.
    absent
        What an image without annotation means: ``zero`` objects, ``unlabelled`` (allowed), or an ``error``.
    outside
        What a dot outside its image means: an ``error``, or ``known`` where the published annotation has such dots and
        its totals include them.
    left_out
        Files that were seen and not used, each with the reason.
    root
        The folder that names are relative to, where it is another than the one that was asked for.
    """

    format: str
    entries: Sequence[Entry]
    unmatched: Sequence[str] = ()
    absent: Literal["zero", "unlabelled", "error"] = "error"
    outside: Literal["error", "known"] = "error"
    summary: str = ""
    license: str | None = None
    citation: str | None = None
    resize: ResizeRule = field(default_factory=ResizeRule)
    left_out: Sequence[LeftOut] = ()
    root: Path | None = None


SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "train_data": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "val_data": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "test_data": "test",
}


def split_named(word: str | None) -> str | None:
    """Return the split that a word names, if any: ``Train``, ``Validation``, ``val2017``, ``test_data``.

    Examples
    --------
    >>> split_named("Validation"), split_named("val2017"), split_named("default")
    ('val', 'val', None)
    """
    if word is None:
        return None
    word = word.strip().lower()
    return SPLIT_WORDS.get(word) or SPLIT_WORDS.get(re.sub(r"[-_ ]?(19|20)\d\d$", "", word))


def split_of(relative: Path) -> str | None:
    """Return the split that a folder on the way to the file names (``train``, ``Valid``, ``test_data``), if any."""
    return next((split for part in relative.parts[:-1] if (split := split_named(part))), None)
