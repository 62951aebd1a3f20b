"""Which page, plane and channels of a file make the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dotcount.errors import InputError

PROJECTIONS = ("none", "max")

POINTS = ("auto", "peaks", "count")
"""What points may be asked for; see :meth:`dotcount.metadata.PeakRule.placing`."""


@dataclass(frozen=True)
class ImageSelection:
    """What is read of a file that holds more than one picture.

    Attributes
    ----------
    page
        Page, plane of a stack, time point or frame, counted from 1 in the order of the file.
    projection
        ``"none"``: that page alone; ``"max"``: the largest value over all pages.
    channels
        One to three channels or bands, counted from 1: one is shown grey, three as red, green and blue, two as red and
        green. Absent: of bands of colour the first three; of channels of a microscope the first.

    Examples
    --------
    >>> ImageSelection(page=3, channels=(2,)).described()
    'page 3, channels 2'
    """

    page: int = 1
    projection: str = "none"
    channels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.page, bool) or not isinstance(self.page, int) or self.page < 1:
            raise InputError(f"page must be a whole number from 1; got {self.page!r}")
        if self.projection not in PROJECTIONS:
            raise InputError(f"projection must be one of {', '.join(PROJECTIONS)}; got {self.projection!r}")
        if self.projection != "none" and self.page != 1:
            raise InputError("give a page or a projection over all pages, not both")
        if self.channels is not None:
            whole = all(isinstance(c, int) and not isinstance(c, bool) and c >= 1 for c in self.channels)
            if not (whole and 1 <= len(self.channels) <= 3):
                raise InputError(f"channels must be one to three whole numbers from 1; got {self.channels!r}")

    @classmethod
    def of(cls, source: Any) -> ImageSelection:
        """Return the choice that an object states as ``page``, ``projection`` and ``channels``."""
        channels = source.channels
        return cls(source.page, source.projection, None if channels is None else tuple(channels))

    def described(self) -> str:
        """Return the choice in words."""
        pages = "maximum over all pages" if self.projection == "max" else f"page {self.page}"
        return pages if self.channels is None else f"{pages}, channels {', '.join(map(str, self.channels))}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        channels = None if self.channels is None else list(self.channels)
        return {"page": self.page, "projection": self.projection, "channels": channels}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageSelection:
        """Rebuild from :meth:`to_dict`; an incomplete or altered mapping is an :class:`InputError`."""
        try:
            page, projection, channels = values["page"], values["projection"], values["channels"]
            return cls(page, projection, None if channels is None else tuple(channels))
        except (KeyError, TypeError) as error:
            raise InputError(f"an image selection needs page, projection and channels; got {values}") from error
