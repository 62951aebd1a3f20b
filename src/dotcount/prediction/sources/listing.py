"""From what a user names (files, folders, patterns, lists, URLs) to the files to count, in natural order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from dotcount.data.cache import SampledImages
from dotcount.data.images import PixelArray, read_pixels
from dotcount.data.region_files import RegionSet
from dotcount.data.survey import SAMPLE, survey
from dotcount.errors import DataError, UsageError
from dotcount.intensity import IntensityRule
from dotcount.prediction.frame import Frame, printable
from dotcount.prediction.sources.base import source_of
from dotcount.prediction.sources.regions import add_regions, unused
from dotcount.prediction.sources.search import Search, SkippedFile, in_words
from dotcount.prediction.sources.urls import frames_of, here
from dotcount.prediction.video import EACH_SECOND, VideoSampling
from dotcount.remote import UNLESS_TOLD, DownloadLimits, Url
from dotcount.selection import ImageSelection


@dataclass(frozen=True)
class SourceFiles:
    """The files to count, each with the unique name that results carry, and what was left out.

    Iterating gives frames, whose pixels are read when asked for.

    Attributes
    ----------
    files, left_out
        See above.
    selection
        What is read of files that hold more than one picture; ``None``: what the model was trained on.
    every_page
        Whether each page, plane or frame is counted as an image of its own, called ``stack.tif#1`` and so on.
    regions
        Areas of the images whose objects are counted one by one.
    scale
        What a person says of the scale of the images.
    streams
        Whether images that are large for the memory are read in windows.
    after
        What else is done with each frame when its pixels have been read.
    shard
        (i, n): the i-th of n parts, of which each is counted by a run of its own; (1, 1): all. What images share, such
        as their brightness, is that of all parts together.
    video
        Which frames of videos are counted.
    downloads
        What the download of one URL may cost.

    Examples
    --------
    >>> from PIL import Image
    >>> from dotcount.data.synthetic import generate
    >>> Image.fromarray(generate("cells", size=96)[0]).save("a.png")
    >>> listing = find("a.png")
    >>> len(listing), [frame.name for frame in listing]
    (1, ['a.png'])
    """

    files: tuple[tuple[Path | Url, str], ...]
    left_out: tuple[SkippedFile, ...] = ()
    selection: ImageSelection | None = None
    every_page: bool = False
    regions: RegionSet | None = None
    scale: object = None
    streams: bool = False
    after: tuple[Callable[[Frame], None], ...] = ()
    shard: tuple[int, int] = (1, 1)
    video: VideoSampling = EACH_SECOND
    downloads: DownloadLimits = UNLESS_TOLD

    def __len__(self) -> int:
        return len(self.part)

    @property
    def part(self) -> tuple[tuple[Path | Url, str], ...]:
        """The files of the shard: one after the other, so that shards behind each other give the order of all."""
        index, number = self.shard
        start, end = ((k * len(self.files)) // number for k in (index - 1, index))
        return self.files[start:end]

    def sharded(self, index: int, number: int) -> SourceFiles:
        """Return the ``index``-th of ``number`` parts of the files, from 1.

        Raises
        ------
        UsageError
            If there is no such part.
        """
        if not 1 <= index <= number:
            raise UsageError(f"there is no shard {index} of {number}; shards are counted from 1 to their number")
        return replace(self, shard=(index, number))

    def __iter__(self) -> Iterator[Frame]:
        shared = {} if self.regions is None else self.regions.shared(name for _, name in self.files)
        for path, name in self.part:
            selection = self.selection or ImageSelection()
            source = source_of(path, selection, self.every_page, self._sampled, self.video)
            source.streams = self.streams
            if isinstance(path, Url):
                source.sampled = None
                frames = frames_of(path, name, source, self.downloads)
            else:
                frames = source.frames(path, name)
            for frame in frames:
                frame.of_set = lambda: self.intensity
                frame.after.extend(self.after)
                if self.regions is not None:
                    frame.after.append(partial(add_regions, self.regions, shared))
                yield frame

    @cached_property
    def intensity(self) -> IntensityRule:
        """The rule of brightness that all images of more than 8 bits share, so that equal values look alike.

        Fitted when it is first asked for, on up to 100 images of the listing, whichever of them are still to be
        counted. They are kept until they are counted, up to 256 MB in all, so that they need not be decoded again. Of
        images that lie elsewhere as many are downloaded for it.
        """
        paths = [path for path, _ in self.files if isinstance(path, Path)]
        urls = [url for url, _ in self.files if isinstance(url, Url) and url.suffix not in (".jpg", ".jpeg")]
        with here(urls[:: -(-len(urls) // SAMPLE) or 1], self.downloads) as copies:

            def read(path: Path, selection: ImageSelection) -> PixelArray:
                return read_pixels(path, selection) if path in copies else self._sampled.sample(path, selection)

            found = survey([*paths, *copies], self.selection or ImageSelection(), every_page=self.every_page)
            return found.intensity(read=read)

    @cached_property
    def _sampled(self) -> SampledImages:
        return SampledImages(every_page=self.every_page)

    @property
    def without_use(self) -> list[tuple[str, str, str]]:
        """Name, kind and way out of what no result comes of, such as a file that is not counted."""
        found = [(item.name, item.kind, item.remedy) for item in self.left_out]
        return found + ([] if self.regions is None else unused(self.regions, [name for _, name in self.files]))

    @property
    def note(self) -> str:
        """What was left out, by kind, in one line for people; empty if nothing was."""
        return in_words(self.left_out)


def find(
    sources: str | Path | Iterable[str | Path],
    selection: ImageSelection | None = None,
    *,
    downloads: DownloadLimits = UNLESS_TOLD,
) -> SourceFiles:
    """List the files that the given files, folders, patterns, lists and URLs stand for, without duplicates.

    Folders are searched with their sub-folders, in natural order. Hidden files are passed over; results of this package
    and files that no source reads are left out and listed as such. Names are relative to the one folder that was given,
    else to the deepest folder that holds all files; those of files that lie elsewhere begin with what differs in their
    URLs.

    Raises
    ------
    DataError
        If a source doesn't exist, matches nothing, or is a folder without anything to count.

    Examples
    --------
    >>> from PIL import Image
    >>> from dotcount.data.synthetic import generate
    >>> Image.fromarray(generate("cells", size=96)[0]).save("a.png")
    >>> [name for path, name in find(["a.png", "*.png"]).files]
    ['a.png']
    """
    given = [str(source) for source in ([sources] if isinstance(sources, (str, Path)) else sources)]
    search = Search(downloads)
    for source in given:
        search.add(source)
    if not search.files:
        raise DataError("no image given; name image files, folders or patterns such as 'photos/*.jpg'")
    names = _unique(_names_of(list(search.files), Path(given[0]) if len(given) == 1 else None))
    left_out = {item.name: item for item in search.left_out}
    files = tuple(zip(search.files, names))
    return SourceFiles(files, tuple(left_out.values()), selection, downloads=downloads)


def _names_of(files: Sequence[Path | Url], folder: Path | None) -> Iterator[str]:
    """Yield the names of files: what differs in where they lie."""
    paths = [path for path in files if isinstance(path, Path)]
    folders = [url.parts[:-1] for url in files if isinstance(url, Url)]
    common = 0 if paths or not folders else _shared(folders)
    root = folder if folder is not None and folder.is_dir() else None
    if root is None and paths:
        root = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    for each in files:
        yield "/".join(each.parts[common:]) if isinstance(each, Url) else Path(os.path.relpath(each, root)).as_posix()


def _unique(names: Iterable[str]) -> list[str]:
    """Return the names as text; two that look alike as text get different ones."""
    taken: dict[str, None] = {}
    for name in map(printable, names):
        text, k = name, 2
        while text in taken:
            text, k = f"{name}~{k}", k + 1
        taken[text] = None
    return list(taken)


def _shared(folders: Sequence[tuple[str, ...]]) -> int:
    """Return how many parts all begin with."""
    differing = (k for k, parts in enumerate(zip(*folders)) if len(set(parts)) > 1)
    return next(differing, min(map(len, folders)))
