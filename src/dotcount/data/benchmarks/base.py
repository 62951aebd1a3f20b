"""What a benchmark is: a layout as distributed, its splits, resize rule, published totals, citation and licence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import read_text
from dotcount.data.layout import Entry, Layout
from dotcount.data.resizing import ResizeRule
from dotcount.errors import AnnotationError, DataError
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
        For people and for ``benchmark:PATH``.
    resize
        The published protocol's.
    totals
        Published totals by split, ``all`` for the whole; a split may have several releases.
    protocol
        How published numbers are made, in a sentence, where the rest does not say it.
    """

    name: str
    title: str
    citation: str
    license: str
    resize: ResizeRule = ResizeRule()
    totals: Mapping[str, tuple[Totals, ...]] = {}
    protocol: str = ""

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

    def layout(self, entries: Sequence[Entry], unmatched: Sequence[str] = (), **more: Any) -> Layout:
        """Return a layout with this benchmark's name, licence, citation and resize rule."""
        if not entries:
            raise DataError(f"the layout of {self.title} was recognised, but it holds no images; extract it again")
        return Layout(
            self.name,
            entries,
            unmatched,
            license=self.license,
            citation=self.citation,
            resize=self.resize,
            **more,
        )

    def release(self, split: str, images: int, dots: int) -> str | None:
        """Return the release whose published totals of a split (or ``all``) these are, or ``None``."""
        known = self.totals.get(split, ())
        return next((t.release for t in known if (t.images, t.dots) == (images, dots)), None)

    def foreign(self, root: Path, expected: str) -> DataError:
        """Return the error for a folder of something else."""
        return DataError(f"{root} is not laid out like {self.title}: expected {expected}")


BENCHMARKS: Registry[Benchmark] = Registry("benchmark")


def orphans(files: Iterable[Path], used: Container[Path]) -> list[str]:
    """Return a message for each annotation file that no image uses."""
    remedy = "restore the image or remove the annotation"
    return [f"annotation {path} has no image; {remedy}" for path in sorted(files) if path not in used]


def listed(path: Path) -> list[list[str]]:
    """Return the words of each line of a list of images; the first is the name of an image without its suffix.

    Raises
    ------
    AnnotationError
        If the file is not text, or a name is not that of a file in one folder.
    """
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    for name, *_ in lines:
        if len(name) > _LONGEST or not name.isprintable() or name in (".", "..") or set(name) & set("/\\"):
            raise AnnotationError(f"list {path}: {name[:40]!r} is not the name of an image; correct the list")
    return lines


_LONGEST = 200


def has(root: Path, *parts: str) -> bool:
    """Return whether ``root`` has something at each of the given relative paths."""
    return all((root / part).exists() for part in parts)
