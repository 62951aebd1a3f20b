"""What a benchmark is: a layout as distributed, its splits, resize rule, published totals, citation and licence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotcount.data.layout import Layout
from dotcount.registry import Registry


@dataclass(frozen=True)
class Totals:
    """Published number of images and dots of one split in one release of the annotation."""

    images: int
    dots: int
    release: str


class Benchmark(ABC):
    """A public data set.

    Attributes
    ----------
    name, title, citation, license
        For people and for ``recipe:PATH``.
    resize
        (min_side, max_side) of the published protocol; ``None`` leaves a side free.
    totals
        Published totals by split; a split may have several releases.
    """

    name: str
    title: str
    citation: str
    license: str
    resize: tuple[int | None, int | None] = (None, None)
    totals: Mapping[str, tuple[Totals, ...]] = {}

    @abstractmethod
    def recognises(self, root: Path) -> bool:
        """Return whether the folder is laid out like this benchmark; cheap, never raises."""

    @abstractmethod
    def read(self, root: Path) -> Layout:
        """Return the images with their splits and dots.

        Raises
        ------
        DataError
            If the folder is not laid out like this benchmark; the message says what is missing.
        """


BENCHMARKS: Registry[Benchmark] = Registry("recipe")


def has(root: Path, *parts: str) -> bool:
    """Return whether ``root`` has something at each of the given relative paths."""
    return all((root / part).exists() for part in parts)
