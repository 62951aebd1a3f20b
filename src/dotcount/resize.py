"""The rule by which images are resized before anything else; the resampling itself is in :mod:`dotcount.data`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Interval

LONGEST, LARGEST = 1_000_000, 100.0
"""Bounds of what a rule may state: the longest side, px, and the largest magnification (the least is its inverse)."""

Side = Annotated[int, Interval(ge=1, le=LONGEST)]
Magnification = Annotated[float, Interval(ge=1 / LARGEST, le=LARGEST)]


@dataclass(frozen=True)
class ResizeRule:
    """Bounds on the sides of images, px, and a magnification; what is ``None`` is left out.

    Images are enlarged to a shorter side of at least ``min_side``, then shrunk to a shorter side of at most
    ``max_short_side`` and a longer side of at most ``max_side``. The upper bounds win, so that an extremely long image
    may end up below ``min_side``. What comes of it is magnified ``magnify`` times, whatever the bounds. The aspect
    ratio is kept to the nearest pixel.

    >>> ResizeRule(min_side=512, max_side=2048).size(4000, 3000)
    (2048, 1536)
    """

    min_side: Side | None = None
    max_side: Side | None = None
    max_short_side: Side | None = None
    magnify: Magnification | None = None

    @classmethod
    def of(cls, source: object) -> ResizeRule:
        """Return the rule that a mapping or an object states under the names of its parts; others are left out."""
        get = source.get if isinstance(source, Mapping) else lambda name: getattr(source, name, None)
        return cls(**{field.name: get(field.name) for field in dataclasses.fields(cls)})

    def to_dict(self) -> dict[str, Any]:
        """Return the parts by name."""
        return dataclasses.asdict(self)

    def or_else(self, other: ResizeRule) -> ResizeRule:
        """Return this rule with the parts that it leaves out taken from another one."""
        return ResizeRule(**{k: v if v is not None else getattr(other, k) for k, v in self.to_dict().items()})

    def magnified(self, factor: float) -> ResizeRule:
        """Return the rule that makes images ``factor`` times as large as this one does."""
        return dataclasses.replace(self, magnify=(self.magnify or 1.0) * factor)

    @property
    def bounded(self) -> bool:
        """Whether images are brought to sides that are set, so that their own scale is lost."""
        return any(side is not None for side in (self.min_side, self.max_side, self.max_short_side))

    def described(self) -> str:
        """Return the rule in words that follow "images are"."""
        parts = []
        if self.min_side:
            parts.append(f"enlarged to a shorter side of at least {self.min_side} px")
        if self.max_side:
            parts.append(f"shrunk to a longer side of at most {self.max_side} px")
        if self.max_short_side:
            parts.append(f"shrunk to a shorter side of at most {self.max_short_side} px")
        if self.magnify is not None and self.magnify != 1.0:
            parts.append(f"magnified {self.magnify:g} times")
        return " and ".join(parts) if parts else "used at their own size"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) px of an image after the rule."""
        shorter, longer = min(width, height), max(width, height)
        scale = 1.0
        if self.min_side is not None:
            scale = max(scale, self.min_side / shorter)
        if self.max_short_side is not None:
            scale = min(scale, self.max_short_side / shorter)
        if self.max_side is not None:
            scale = min(scale, self.max_side / longer)
        if self.magnify is not None:
            scale *= self.magnify
        if scale == 1.0:
            return width, height
        return max(1, round(width * scale)), max(1, round(height * scale))
