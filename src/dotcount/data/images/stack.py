"""What an image file holds: one picture or many, and what of it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from dotcount.data.images.values import PixelArray
from dotcount.errors import ImageReadError
from dotcount.selection import ImageSelection


class Stack(ABC):
    """An open image file.

    Attributes
    ----------
    width, height
        Size as displayed, px.
    orientation, dtype
        EXIF orientation, 1 to 8, and the type of the values.
    pages
        Number of pages, planes, time points or frames.
    page_word, axes
        What the file calls a page, and what they run over if it says so.
    channels
        Number of channels or bands.
    channel_word, default_channels
        What they are; those that are read unless others are chosen.
    declared
        The value that the file states for missing data.
    pixel_size
        Side of a pixel of what is shown, m, where the file states it.
    """

    width: int
    height: int
    orientation: int = 1
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    pages: int = 1
    page_word: str = "page"
    axes: str = ""
    channels: int = 1
    channel_word: str = "band"
    default_channels: tuple[int, ...] = (1,)
    declared: float | None = None
    pixel_size: float | None = None

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def read(self, page: int, channels: tuple[int, ...] | None) -> PixelArray:
        """Return (H, W, 3) stored values of a page, counted from 0, upright; ``None``: the channels by default."""

    def choose(self, selection: ImageSelection) -> None:  # noqa: B027 -- most files hold pictures of one size
        """State the size of what is chosen, in a file whose pages differ."""

    def check(self, selection: ImageSelection, name: object) -> None:
        """Raise an :class:`ImageReadError` if the file does not hold what is chosen."""
        if selection.page > self.pages:
            held = _several(self.page_word, self.pages)
            raise ImageReadError(f"image {name} has {held}; page {selection.page} does not exist, choose another")
        if selection.channels is not None and max(selection.channels) > self.channels:
            held = _several(self.channel_word, self.channels)
            raise ImageReadError(
                f"image {name} has {held}; channel {max(selection.channels)} does not exist, choose others"
            )

    def messages(self, selection: ImageSelection, *, every_page: bool = False) -> list[str]:
        """Return in words what of the file is read, where it is not all; ``every_page``: the other pages are, too."""
        messages = list(self.notes)
        if self.pages > 1 and not every_page:
            of = f"{self.page_word}s{f' ({self.axes})' if self.axes else ''}"
            if selection.projection == "max":
                messages.append(f"the maximum over {self.pages:,} {of} was taken")
            else:
                rest = _rest(self.pages - 1)
                messages.append(f"{self.page_word} {selection.page} of {self.pages:,} {of} was read, {rest}")
        used = selection.channels or self.default_channels
        if len(set(used)) < self.channels:
            names = f"{self.channel_word}{'s' if len(used) > 1 else ''} {', '.join(map(str, used))}"
            was = "were" if len(used) > 1 else "was"
            messages.append(f"{names} of {self.channels:,} {was} read, {_rest(self.channels - len(set(used)))}")
        return messages

    def pixels(self, selection: ImageSelection) -> PixelArray:
        """Return (H, W, 3) stored values of what is chosen."""
        if selection.projection == "none":
            return self.read(selection.page - 1, selection.channels)
        highest = self.read(0, selection.channels)
        for page in range(1, self.pages):
            # fmax: what is missing on one page may be known on another.
            highest = np.fmax(highest, self.read(page, selection.channels))
        return highest


def _several(word: str, number: int) -> str:
    return f"one {word}" if number == 1 else f"{number:,} {word}s"


def _rest(number: int) -> str:
    return "the other one was not" if number == 1 else f"the other {number:,} were not"
