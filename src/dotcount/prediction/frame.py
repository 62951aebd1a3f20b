"""What is counted: one picture, wherever it comes from, whose pixels are read once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dotcount.data.images import PixelArray, to_bytes
from dotcount.data.windows import TiffWindows
from dotcount.errors import DotcountError, ImageReadError
from dotcount.geo import Georeference
from dotcount.intensity import IntensityRule, rule_for
from dotcount.regions import Region

Read = Callable[[], tuple[PixelArray | TiffWindows, Sequence[str]]]
"""Returns (H, W, 3) pixels in the depth of the file, and what a person should know about how they were read.

Of an image that is too large for the memory it returns its windows.
"""

SHOWN = 2048
"""Longer side, px, to which an image that is too large for the memory is reduced for pictures."""


@dataclass(frozen=True)
class FrameMeta:
    """Where a frame comes from; what does not apply is absent.

    Attributes
    ----------
    path
        The file.
    page
        Number of the page in a file of many, from 0.
    time
        Seconds from the beginning of a recording.
    window
        (left, top, width, height) px of the part of a larger picture that the frame shows.
    place
        Where on the earth it lies.
    pixel_size
        Side of a pixel, m, as the file states it.
    regions
        Areas of the picture, px, whose objects are counted one by one.

    Examples
    --------
    >>> from pathlib import Path
    >>> FrameMeta(Path("slide.tif"), page=3).page
    3
    """

    path: Path | None = None
    page: int | None = None
    time: float | None = None
    window: tuple[int, int, int, int] | None = None
    place: Georeference | None = None
    pixel_size: float | None = None
    regions: tuple[Region, ...] = ()


class Frame:
    """One picture to count, or the reason why there is none.

    Parameters
    ----------
    name
        What results call it: unique in a run, relative, with ``/``.
    read
        Reads the pixels; called at most once, when they are first asked for.
    meta
        Where the frame comes from.
    error
        Why there is nothing to read. Such a frame makes a row with its error.
    of_set
        Returns the rule of brightness of the images that are counted together; asked for where values have more than 8
        bits and the model has not met such ones.

    Attributes
    ----------
    error
        Why the frame could not be counted, one line; ``None`` while all is well.
    warnings
        What a person should know about this frame, one line each.
    intensity
        The rule from stored values to brightness by which the frame is counted and shown, once it is known.
    magnify
        How many times as large it is made before it is counted, so that its scale is that of the training images.
    windows
        The pixels of an image that is too large for the memory, decoded where they are sliced; it has no ``pixels``.
    after
        What is done when the pixels have been read, such as finding out where the picture lies.

    Examples
    --------
    >>> import numpy as np
    >>> frame = Frame("a.png", lambda: (np.zeros((8, 6, 3), np.uint8), ["page 1 of 30"]))
    >>> frame.load().pixels.shape, frame.warnings, frame.error
    ((8, 6, 3), ['page 1 of 30'], None)
    """

    def __init__(
        self,
        name: str,
        read: Read | None = None,
        meta: FrameMeta = FrameMeta(),
        *,
        error: str | None = None,
        of_set: Callable[[], IntensityRule] | None = None,
    ) -> None:
        if (read is None) == (error is None):
            raise ValueError("a frame has either pixels to read or an error")
        self.name = name
        self.meta = meta
        self.error = error
        self.of_set = of_set
        self.warnings: list[str] = []
        self.intensity: IntensityRule | None = None
        self.magnify = 1.0
        self.after: list[Callable[[Frame], None]] = []
        self._read = read
        self._pixels: PixelArray | None = None
        self.windows: TiffWindows | None = None

    def __repr__(self) -> str:
        return f"Frame({self.name!r}{'' if self.error is None else f', error={self.error!r}'})"

    @property
    def status(self) -> str:
        """``ok`` or ``error``."""
        return "ok" if self.error is None else "error"

    @property
    def pixels(self) -> PixelArray:
        """(H, W, 3) values in the depth of the file, read on first use.

        Raises
        ------
        ImageReadError
            If they can't be read, or are asked for after the run has gone on to the next frame.
        """
        self.load()
        if self.windows is not None:
            raise ImageReadError(f"{self.name} is too large to be read as a whole; its `windows` can be read")
        if self._pixels is None:
            raise ImageReadError(self.error or f"the pixels of {self.name} are gone: the run is at a later frame")
        return self._pixels

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        height, width = self.shape[:2]
        return width, height

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3)."""
        self.load()
        return self.pixels.shape if self.windows is None else self.windows.shape

    @property
    def display(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) 8 bit, for pictures; one with windows is reduced to :data:`SHOWN` px."""
        return to_bytes(self.pixels if self.windows is None else self.windows.reduced(SHOWN), self.intensity)

    def choose_intensity(self, trained: IntensityRule) -> IntensityRule:
        """Settle how stored values become brightness for a model trained with a rule, and warn where that is a choice.

        The model's own rule holds for the depths that it has met; others are mapped by the rule of the set, or where
        there is none by one fitted on this frame.
        """
        pixels = self.pixels if self.windows is None else self.windows.sample()
        of_set = self.of_set() if self.of_set is not None and not trained.covers(pixels.dtype) else None
        self.intensity, note = rule_for(pixels, trained, of_set)
        if note is not None:
            self.warn(note)
        return self.intensity

    def load(self) -> Frame:
        """Read the pixels if that has not happened yet; whatever goes wrong becomes the frame's error."""
        read, self._read = self._read, None
        if read is not None:
            try:
                found, notes = read()
                if isinstance(found, TiffWindows):
                    self.windows = found
                else:
                    self._pixels = found
                self.warnings.extend(notes)
                for each in self.after:
                    each(self)
            except Exception as error:  # a decoder may raise anything: one odd file must not end the run
                self.fail(error)
        return self

    def fail(self, error: Exception) -> None:
        """Give up on this frame: state why in one line, and let go of its pixels."""
        self.release()
        self.error = error_text(error)

    def warn(self, text: str) -> None:
        """Add something that a person should know about this frame."""
        if text not in self.warnings:
            self.warnings.append(text)

    def copy(self) -> Frame:
        """Return a frame of its own with the same state."""
        twin = copy.copy(self)
        twin.warnings, twin.after = list(self.warnings), list(self.after)
        return twin

    def release(self) -> None:
        """Let go of the pixels."""
        self._pixels = self._read = self.windows = None


def error_text(error: Exception) -> str:
    """Return what went wrong with one picture as one line that can be written as UTF-8."""
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error)):
        # torch reports exhausted memory as a RuntimeError
        text = "not enough memory for this image; choose a smaller `tile` or cut it into parts"
    elif isinstance(error, DotcountError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = f"can't be read ({error.strerror}); check the file"
    else:
        text = f"can't be counted ({type(error).__name__}: {str(error)[:200]}); replace the file"
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    r"""Return the text with what UTF-8 can't hold, such as bytes of foreign file names, as ``\x..``."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
