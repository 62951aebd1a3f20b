"""One look at the headers of a set of images: which are deeper than 8 bit, which hold more than is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dotcount.data.images import PixelArray, read_header, read_pixels
from dotcount.errors import DataError, ImageReadError
from dotcount.intensity import IntensityRule
from dotcount.selection import ImageSelection

Read = Callable[[Path, ImageSelection], PixelArray]

SAMPLE = 100
"""Number of images, evenly spaced in the set, on which a range is fitted."""

_FIRST = ImageSelection()
_PLAIN = (".jpg", ".jpeg", ".jpe", ".jfif")  # one picture of 8 bits


@dataclass(frozen=True)
class HeaderSurvey:
    """What the headers of a set of images say.

    Attributes
    ----------
    shallow, integers, floats
        Files of 8 bits, of deeper integers and of floats, in the order given.
    notes
        File and note of each that holds more than is read.
    selection
        What is read of files that hold more than one picture.
    every_page
        Whether each page is an image of its own.
    """

    shallow: tuple[Path, ...]
    integers: tuple[Path, ...]
    floats: tuple[Path, ...]
    notes: tuple[tuple[Path, str], ...]
    selection: ImageSelection = _FIRST
    every_page: bool = False

    def intensity(self, *, strict: bool = False, read: Read = read_pixels) -> IntensityRule:
        """Return the rule of the set, fitted on up to :data:`SAMPLE` deep images; the 8-bit rule without any.

        Images that turn out to be unreadable are left out: who reads them next tells it.

        Parameters
        ----------
        strict
            Raise an error where deep integers and floats are mixed, which have no range in common. Else the rule is
            that of the more frequent ones.
        read
            Decodes an image of the sample.

        Raises
        ------
        DataError
            If they are mixed and ``strict``; the message names one file of each.
        """
        if strict and self.integers and self.floats:
            raise DataError(
                f"image {self.integers[0]} holds integers of more than 8 bits and image {self.floats[0]} floats, which "
                f"have no range in common ({len(self.integers):,} and {len(self.floats):,} images); convert them to "
                "one type"
            )
        floats = len(self.floats) > len(self.integers)
        deep = self.floats if floats else self.integers
        return IntensityRule.fit(
            pixels
            for pixels in self._sample(deep, read)
            if pixels.dtype != np.uint8 and (pixels.dtype.kind == "f") == floats
        )

    def measured(self, rule: IntensityRule) -> IntensityRule:
        """Return the rule with how dark and bright the images are under it; up to :data:`SAMPLE` are read."""
        every = self.shallow + self.integers + self.floats
        return rule.measured(pixels for pixels in self._sample(every) if rule.covers(pixels.dtype))

    def messages(self) -> list[str]:
        """Return in words what a person should know of the set: mixed depths, and what is not read."""
        messages = []
        deep = self.integers + self.floats
        if deep and self.shallow:
            messages.append(
                f"{_images(len(deep), 'holds', 'hold')} more than 8 bits (such as {deep[0].name}) and "
                f"{_images(len(self.shallow), 'holds', 'hold')} 8 (such as {self.shallow[0].name}): the same object "
                "may differ in brightness; save all in one depth"
            )
        for note in dict.fromkeys(note for _, note in self.notes):
            files = [path for path, text in self.notes if text == note]
            messages.append(f"{note}: {_images(len(files))} (such as {files[0].name})")
        return messages

    def _sample(self, paths: Sequence[Path], read: Read = read_pixels) -> Iterator[PixelArray]:
        number = min(SAMPLE, len(paths))
        for place in _spread(number, len(paths)):
            try:
                for selection in self._selections(paths[place], SAMPLE // number):
                    yield read(paths[place], selection)
            except ImageReadError:
                continue

    def _selections(self, path: Path, most: int) -> list[ImageSelection]:
        """Return what is sampled of one file: what is chosen, or pages evenly spaced."""
        if not self.every_page:
            return [self.selection]
        pages = read_header(path).pages
        return [replace(self.selection, page=int(page) + 1) for page in _spread(min(most, pages), pages)]


def survey(paths: Sequence[Path], selection: ImageSelection = _FIRST, *, every_page: bool = False) -> HeaderSurvey:
    """Look at the headers of image files; those that can't be read are left out."""
    found: dict[str, list[Path]] = {"": [], "integer": [], "float": []}
    notes = []
    for path in paths:
        if path.suffix.lower() in _PLAIN:
            found[""].append(path)
            continue
        try:
            header = read_header(path, selection)
        except ImageReadError:
            continue
        found[header.deep].append(path)
        notes += [(path, note) for note in header.notes]
    return HeaderSurvey(
        tuple(found[""]), tuple(found["integer"]), tuple(found["float"]), tuple(notes), selection, every_page
    )


def _spread(number: int, among: int) -> npt.NDArray[np.int64]:
    """Return ``number`` places evenly spaced among so many."""
    places: npt.NDArray[np.int64] = np.linspace(0, among - 1, number).round().astype(np.int64)
    return places


def _images(number: int, one: str = "", many: str = "") -> str:
    return f"1 image {one}".rstrip() if number == 1 else f"{number:,} images {many}".rstrip()
