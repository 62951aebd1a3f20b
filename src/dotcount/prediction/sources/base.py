"""What a source is: it turns one file into frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from dotcount.prediction.frame import Frame
from dotcount.registry import Registry


class Source(ABC):
    """Turns a file into one frame or many; knows no model.

    Attributes
    ----------
    suffixes
        Endings of the files it reads, lower case.
    """

    suffixes: frozenset[str]

    @abstractmethod
    def frames(self, path: Path, name: str) -> Iterator[Frame]:
        """Yield the frames of a file without reading pixels yet.

        Parameters
        ----------
        path
            The file.
        name
            What results call it; a source of many frames adds what tells them apart.
        """


SOURCES: Registry[Source] = Registry("source", "dotcount.sources", Source)


def source_of(path: Path) -> Source:
    """Return the source for a file by its ending; any other file is tried as an image."""
    for name in SOURCES:
        source = SOURCES.create(name)
        if path.suffix.lower() in source.suffixes:
            return source
    return SOURCES.create("images")
