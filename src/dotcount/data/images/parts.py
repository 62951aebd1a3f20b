"""Files of many planes along named axes, such as those of microscopes: which plane a page is."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.images.opening import check_size
from dotcount.data.images.stack import Stack
from dotcount.data.images.values import PixelArray, chosen_channels, plain_type, three_channels
from dotcount.errors import ImageReadError
from dotcount.selection import ImageSelection

WORDS = {
    "T": "time", "Z": "z", "P": "position", "S": "scene", "M": "tile", "R": "rotation", "V": "view", "H": "phase",
    "I": "illumination", "B": "block", "C": "channel", "A": "angle", "F": "frame",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One image of a file: planes of one size along axes.

    Attributes
    ----------
    name
        What the file calls it; empty where there is only one.
    width, height
        Of a plane, px.
    dtype
        Type of the values.
    axes
        Sizes of the axes that pages run over, by their letters, slowest first.
    channels
        Number of channels, each a plane of its own; 1 where a plane holds colours.
    colours
        Whether a plane holds red, green and blue.
    pixel_size
        Side of a pixel, m.
    """

    name: str
    width: int
    height: int
    dtype: np.dtype[Any]
    axes: Mapping[str, int] = field(default_factory=dict)
    channels: int = 1
    colours: bool = False
    pixel_size: float | None = None

    @property
    def pages(self) -> int:
        """Number of pages."""
        return math.prod(self.axes.values())

    @property
    def described(self) -> str:
        """The axes in words."""
        longer = [f"{n} {WORDS.get(axis, axis)}" for axis, n in self.axes.items() if n > 1]
        return " x ".join(longer) if len(longer) > 1 else "".join(longer).partition(" ")[2]


class PartStack(Stack):
    """An open file of one or more parts; pages run over the planes of all, those of the first part first.

    Parameters
    ----------
    parts
        What the file holds.
    part_word
        What it calls a part.
    """

    page_word = "plane"

    def __init__(self, parts: Sequence[Part], part_word: str = "image") -> None:
        super().__init__()
        if not parts:
            raise ValueError("it holds no image")
        self.parts, self.part_word = list(parts), part_word
        self.pages = sum(part.pages for part in parts)
        self.axes = f"{len(parts)} {part_word}s" if len(parts) > 1 else self.parts[0].described
        if self.axes == self.page_word:
            self.axes = ""
        self._adopt(self.parts[0])

    @abstractmethod
    def plane(self, part: int, index: Mapping[str, int], channel: int) -> PixelArray:
        """Return (H, W) or (H, W, 3) stored values of one plane, of which a file may have further ones along axes.

        Parameters
        ----------
        part
            Number of the part, from 0.
        index
            Where along each axis of the part, from 0.
        channel
            Number of the channel, from 0; of a plane of colours always 0.
        """

    def choose(self, selection: ImageSelection) -> None:
        """State size, channels and scale of the part that holds the page."""
        if selection.page <= self.pages:
            self._adopt(self.parts[self._place(selection.page - 1)[0]])

    def check(self, selection: ImageSelection, name: object) -> None:
        """See :meth:`Stack.check`; besides, there is no maximum over pictures of different places."""
        self.choose(selection)
        super().check(selection, name)
        if selection.projection != "none" and len(self.parts) > 1:
            raise ImageReadError(
                f"image {name} holds {len(self.parts)} {self.part_word}s, over which there is no maximum; choose a page"
            )

    def messages(self, selection: ImageSelection, *, every_page: bool = False) -> list[str]:
        """See :meth:`Stack.messages`; besides, where the page lies."""
        messages = super().messages(selection, every_page=every_page)
        if self.pages > 1 and selection.projection == "none" and selection.page <= self.pages:
            number, index = self._place(selection.page - 1)
            part = self.parts[number]
            places = [f"{WORDS.get(axis, axis)} {k + 1}" for axis, k in index.items() if part.axes[axis] > 1]
            if len(self.parts) > 1:
                places.insert(0, f"{self.part_word} {part.name or number + 1}")
            if len(places) > 1 or len(self.parts) > 1:
                messages.append(f"{self.page_word} {selection.page} is {', '.join(places)}")
        return messages

    def read(self, page: int, channels: tuple[int, ...] | None) -> PixelArray:
        """Return a page; see :meth:`Stack.read`."""
        number, index = self._place(page)
        part = self.parts[number]
        check_size(part.width, part.height, (3 if part.colours else 1) * part.dtype.itemsize)
        if part.colours:
            pixels = plain_type(self._whole(number, index, 0))
            return three_channels(pixels) if channels is None else chosen_channels(pixels, channels)
        planes = [plain_type(self._whole(number, index, c - 1)) for c in channels or (1,)]
        return chosen_channels(np.concatenate(planes, axis=-1), tuple(range(1, len(planes) + 1)))

    def _whole(self, number: int, index: Mapping[str, int], channel: int) -> PixelArray:
        """Return (H, W, bands) of a plane, of the size that was stated."""
        part, bands = self.parts[number], 3 if self.parts[number].colours else 1
        plane = np.asarray(self.plane(number, index, channel))
        if plane.size != part.height * part.width * bands:
            raise ValueError(f"a plane has the shape {plane.shape}, where {part.height} x {part.width} was stated")
        return plane.reshape(part.height, part.width, bands)

    def _place(self, page: int) -> tuple[int, dict[str, int]]:
        """Return the part that holds a page, and where in it the page lies."""
        for number, part in enumerate(self.parts):
            if page < part.pages:
                places = np.unravel_index(page, tuple(part.axes.values()) or (1,))
                return number, {axis: int(k) for axis, k in zip(part.axes, places)}
            page -= part.pages
        raise IndexError(page)

    def _adopt(self, part: Part) -> None:
        self.width, self.height, self.dtype, self.pixel_size = part.width, part.height, part.dtype, part.pixel_size
        self.channels, self.channel_word = (3, "band") if part.colours else (part.channels, "channel")
        self.default_channels = (1, 2, 3) if part.colours else (1,)


def missing_extra(path: Path, kind: str, extra: str, error: ImportError) -> ImageReadError:
    """Return the error for a file whose reader is not installed."""
    return ImageReadError(
        f"image {path} is {kind}, which needs the extra {extra}; install it with: pip install 'dotcount[{extra}]' "
        f"({error.name or error} is missing)"
    )
