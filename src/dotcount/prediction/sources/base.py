"""What a source is: it turns one file into frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from dotcount.data.cache import SampledImages
from dotcount.prediction.frame import Frame
from dotcount.prediction.video import EACH_SECOND, VideoSampling
from dotcount.registry import Registry
from dotcount.remote import Url
from dotcount.selection import ImageSelection


class Source(ABC):
    """Turns a file into one frame or many; knows no model.

    Attributes
    ----------
    suffixes
        Endings of the files it reads, lower case.
    beside_images
        Whether such files are counted where a folder holds images, too; if not, they are only counted where they are
        named or where they are all that the folder holds.
    selection
        What is read of files that hold more than one picture.
    every_page
        Whether each page, plane or frame is a picture of its own.
    streams
        Whether images that are large for the memory are read in windows, see :attr:`Frame.windows`.
    sampled
        Images that are decoded already.
    video
        Which frames of a video are counted.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> class Arrays(Source):
    ...     suffixes = frozenset({".npy"})
    ...     def frames(self, path, name):
    ...         yield Frame(name, lambda: (np.load(path), []))
    >>> np.save("a.npy", np.zeros((8, 6, 3), np.uint8))
    >>> [frame.load().pixels.shape for frame in Arrays().frames(Path("a.npy"), "a.npy")]
    [(8, 6, 3)]
    """

    suffixes: frozenset[str]
    beside_images: bool = True
    selection: ImageSelection = ImageSelection()
    every_page: bool = False
    streams: bool = False
    sampled: SampledImages | None = None
    video: VideoSampling = EACH_SECOND

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


def source_of(
    path: Path | Url,
    selection: ImageSelection = Source.selection,
    every_page: bool = False,
    sampled: SampledImages | None = None,
    video: VideoSampling = EACH_SECOND,
) -> Source:
    """Return the source for a file by its ending; any other file is tried as an image."""
    made = (SOURCES.create(name) for name in SOURCES)
    source = next((one for one in made if path.suffix.lower() in one.suffixes), None) or SOURCES.create("images")
    source.selection, source.every_page, source.sampled, source.video = selection, every_page, sampled, video
    return source
