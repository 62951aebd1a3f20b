"""From what a user names (files, folders, patterns, lists, URLs) to the files to count, in natural order."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from dotcount.data.cache import SampledImages
from dotcount.data.images import PixelArray, read_pixels
from dotcount.data.listing import HIDDEN
from dotcount.data.pairing import group, marks_a_part, pair, split_masks
from dotcount.data.region_files import RegionSet
from dotcount.data.survey import SAMPLE, survey
from dotcount.errors import DataError, UsageError
from dotcount.files import is_output, nearest, output_of
from dotcount.intensity import IntensityRule
from dotcount.prediction.frame import Frame, printable
from dotcount.prediction.sources.base import SOURCES, Source, source_of
from dotcount.prediction.sources.manifests import SUFFIXES as LISTS
from dotcount.prediction.sources.manifests import local_path, names_at, names_in
from dotcount.prediction.sources.regions import add_regions, unused
from dotcount.prediction.sources.unreadable import unreadable
from dotcount.prediction.sources.urls import frames_of, here
from dotcount.prediction.video import EACH_SECOND, VideoSampling
from dotcount.remote import UNLESS_TOLD, DownloadLimits, Url, is_url, require_remote
from dotcount.selection import ImageSelection

OWN = "folder of results that dotcount wrote"
"""The kind of what is left out because it is no input; unlike the others it is nothing that lacks in the results."""


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that was met on the way and is not counted: what it is, and the way out."""

    name: str
    kind: str
    remedy: str


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
                    frame.after.append(partial(add_regions, self.regions))
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
        return "; ".join(
            f"{number:,} {kind} ({remedy})"
            for (kind, remedy), number in Counter((item.kind, item.remedy) for item in self.left_out).items()
        )


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which ``img_2`` comes before ``img_10``; letter case doesn't matter."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


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
    search = _Search(downloads)
    for source in given:
        search.add(source)
    if not search.files:
        raise DataError("no image given; name image files, folders or patterns such as 'photos/*.jpg'")
    names = _unique(_names_of(list(search.files), Path(given[0]) if len(given) == 1 else None))
    left_out = {item.name: item for item in search.left_out}
    files = tuple(zip(search.files, names))
    return SourceFiles(files, tuple(left_out.values()), selection, downloads=downloads)


def _masks_among(images: Sequence[Path], folder: Path) -> set[Path]:
    """Return the pictures that by their names or folders are masks of others: ``a_cp_masks.tif`` beside ``a.tif``."""
    pictures, masks = split_masks([path.relative_to(folder) for path in images])
    found = {*pair(pictures, masks).values(), *filter(marks_a_part, masks)}
    found.update(mask for several in group(pictures, masks).values() for mask in several)
    return {folder / mask for mask in found}


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


class _Search:
    """Collects files in the order in which they are met."""

    def __init__(self, downloads: DownloadLimits = UNLESS_TOLD) -> None:
        self._downloads = downloads
        self.files: dict[Path | Url, None] = {}
        self.left_out: list[SkippedFile] = []
        self._seen: set[str] = set()
        self._sources = {ending: one for one in map(SOURCES.create, SOURCES) for ending in one.suffixes}

    def add(self, source: str) -> None:
        if is_url(source):
            self._add_url(source)
            return
        path = Path(source)
        if path.is_dir():
            self._add_folder(path)
        elif path.suffix.lower() in LISTS and path.is_file():
            for name in names_in(path):
                if is_url(name):
                    self._add_url(name)
                else:
                    self._add_file(path.parent / name)
        elif path.exists():
            self._add_file(path)
        elif glob.has_magic(source):
            self._add_pattern(source)
        else:
            raise DataError(f"image or folder {printable(source)} does not exist; check the path.{nearest(path)}")

    def _add_url(self, text: str) -> None:
        """Add what an address stands for: files of this machine, a list, or an image."""
        path = local_path(text)
        if path is not None:
            self.add(str(path))
            return
        url = Url(text)
        require_remote(url)
        if "*" in url.name:
            raise DataError(f"{url.shown} is a pattern; addresses are not searched, name images or a list of them")
        for each in names_at(url, self._downloads) if url.suffix in LISTS else [url]:
            if each.text not in self._seen:
                self._seen.add(each.text)
                self.files[each] = None

    def _add_file(self, path: Path) -> None:
        key = os.path.abspath(path)  # noqa: PTH100 -- `a/../b.png` is `b.png`, links stay what they are
        if key not in self._seen:
            self._seen.add(key)
            self.files[path] = None

    def _add_folder(self, folder: Path) -> None:
        if (is_output(folder) and not _names(folder)) or _inside_output(folder):
            raise DataError(f"{folder} holds results that dotcount wrote, nothing to count; name the folder of images")
        before, left_before = len(self._seen), len(self.left_out)
        met = sorted(self._below(folder), key=lambda path: natural_key(path.relative_to(folder).as_posix()))
        known = {path: source for path in met if (source := self._source(path)) is not None}
        images = any(source.beside_images for source in known.values())
        masks = _masks_among([path for path, source in known.items() if source.beside_images], folder)
        for path in met:
            if path not in known:
                self._leave_out(path)
            elif path in masks:
                self._put(path, "pictures that look like masks", "beside their images; name them to count them")
            elif images and not known[path].beside_images:
                self._put(path, f"{path.suffix.lower()} files", "beside images; name them to count their frames")
            else:
                self._add_file(path)
        if not known and len(self._seen) == before:
            beside = SourceFiles((), tuple(self.left_out[left_before:])).note
            also = f"; left out: {beside}" if beside else ""
            endings = ", ".join(sorted(self._sources))
            raise DataError(f"folder {printable(str(folder))} holds no image ({endings}); check the path{also}")

    def _source(self, path: Path) -> Source | None:
        """Return the source that reads a file of a folder, by its ending; ``None``: none does, or it is hidden."""
        source = None if path.name.startswith(".") else self._sources.get(path.suffix.lower())
        return source if source is not None and path.is_file() else None

    def _below(self, folder: Path) -> Iterator[Path]:
        """Yield all files below a folder, links to folders included, without results of ours and hidden folders."""
        walked: set[str] = set()
        for place, folders, files in os.walk(folder, followlinks=True):
            here = Path(place)
            real = os.path.realpath(here)
            if real in walked:  # a link that leads back
                folders.clear()
                continue
            walked.add(real)
            names = _names(here) if is_output(here) else None
            if names == ():
                self._own(here)
                folders.clear()
                continue
            own = {name.split("/")[0] for name in names or ()}
            if own.intersection((*folders, *files)):
                self._own(here)
            folders[:] = [name for name in folders if name not in own and not name.startswith(HIDDEN)]
            yield from (here / name for name in files if name not in own)

    def _add_pattern(self, pattern: str) -> None:
        # Path.glob takes no absolute patterns.
        matches = sorted(
            (Path(match) for match in glob.glob(pattern, recursive=True)),  # noqa: PTH207
            key=lambda path: natural_key(path.as_posix()),
        )
        files = [path for path in matches if path.is_file()]
        mine = [path for path in files if _inside_output(path, _fixed_part(pattern))]
        for path in files:
            if path in mine:
                self._own(path.parent)
            else:
                self._add_file(path)
        if len(mine) == len(files):
            what = "matches only results that dotcount wrote" if mine else "matches no file"
            raise DataError(f"pattern {pattern!r} {what}; check it, and quote it if your shell expands it")

    def _own(self, path: Path) -> None:
        self._put(path, OWN, "nothing to count")

    def _leave_out(self, path: Path) -> None:
        what = unreadable(path)
        if what is not None:
            self._put(path, *what)

    def _put(self, path: Path, kind: str, remedy: str) -> None:
        self.left_out.append(SkippedFile(printable(path.as_posix()), kind, remedy))


def _names(folder: Path) -> tuple[str, ...]:
    """Return which names in a folder are results of ours; none: all of them."""
    found = output_of(folder)
    return () if found is None else found.names


def _fixed_part(pattern: str) -> Path:
    """Return the folder that a pattern starts from."""
    parts = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _inside_output(path: Path, root: Path | None = None) -> bool:
    """Return whether a file or folder is a result of ours.

    A marker that names its results speaks for them wherever the search began; one that stands for a whole folder only
    where the search comes through that folder, from ``root`` on.
    """
    path = path.absolute()
    top = None if root is None else root.absolute()
    for folder in path.parents:
        if not is_output(folder):
            continue
        names = _names(folder)
        if path.relative_to(folder).parts[0] in {name.split("/")[0] for name in names}:
            return True
        if not names and top is not None and folder.is_relative_to(top):
            return True
    return False
