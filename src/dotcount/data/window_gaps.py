"""What is transparent or missing in an image that is read in windows: looked for once in all of it, filled in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dotcount.data.images import PixelArray
from dotcount.data.images.values import FEW, fill, share_in_words

MARGIN = 64
"""Pixels around a window in which the nearest known value of a missing one is looked for."""


@dataclass(frozen=True)
class GapRule:
    """What stands for pixels that are not there.

    Attributes
    ----------
    alpha
        Whether the last band is labelled as transparency.
    declared
        The value that stands for missing ones.
    deep
        Whether values have more than 8 bits. Missing ones are filled then and transparent ones read as they are; of 8
        bits it is the other way round. Either is told.
    """

    alpha: bool = False
    declared: float | None = None
    deep: bool = False

    @property
    def changes(self) -> bool:
        """Whether what is read may differ from what is stored."""
        return self.declared is not None if self.deep else self.alpha

    def missing(self, bands: PixelArray) -> npt.NDArray[np.bool_]:
        """Return (H, W) where the value says that nothing was measured."""
        known = bands[..., :-1] if self.alpha else bands
        if self.alpha and not self.deep:
            known = _whitened(bands)
        shown = known[..., : 3 if known.shape[-1] > 2 else 1]
        return np.asarray((shown == bands.dtype.type(self.declared or 0)).all(axis=-1))


NO_GAPS = GapRule()


@dataclass(frozen=True)
class SeenGaps:
    """What one look at all of an image says of its gaps.

    Attributes
    ----------
    rule
        What was looked for.
    is_mask
        Whether the transparency is all or nothing; if not, the band is something else, such as near infrared.
    clear, missing, total
        Numbers of transparent, missing and all pixels.
    darkest
        Least known value of each band.
    """

    rule: GapRule
    is_mask: bool
    clear: int
    missing: int
    total: int
    darkest: tuple[float, ...]

    @property
    def notes(self) -> list[str]:
        """What a person should know of it, as where an image is read as a whole."""
        told = []
        if self.rule.alpha and not self.is_mask:
            band = "last" if self.rule.deep else "fourth"
            told.append(f"its {band} band, labelled as transparency, holds more than a mask and was left out")
        elif self.clear and self.rule.deep:
            told.append("part of it is transparent, which was left out: its colours there were read")
        elif self.clear:
            share = "all of it is" if self.clear == self.total else "part of it is"
            told.append(f"{share} transparent and was read as white")
        empty = self.missing / self.total
        if self.missing and self.rule.deep:
            told.append(f"{share_in_words(empty)} of its pixels hold no data and were filled")
        elif empty > FEW:
            told.append(f"{share_in_words(empty)} of its pixels hold no data, and are part of its area")
        return told

    @property
    def near(self) -> bool:
        """Whether missing pixels take the value of their nearest neighbour, for which a margin has to be read."""
        return self.rule.deep and 0 < self.missing <= FEW * self.total

    def filled(self, bands: PixelArray) -> PixelArray:
        """Return the bands of colour of a window, white where it is transparent, filled where nothing was measured."""
        known = bands[..., :-1] if self.rule.alpha else bands
        if self.rule.alpha and self.is_mask and self.clear and not self.rule.deep:
            known = _whitened(bands)
        if not self.missing or not self.rule.deep:
            return known
        gaps = self.rule.missing(bands)
        if not gaps.any():
            return known
        if self.near and not gaps.all():
            return fill(known, gaps, few=1.0)
        values = known.copy()
        values[gaps] = np.array(self.darkest, dtype=known.dtype)
        return values


def _whitened(bands: PixelArray) -> PixelArray:
    return np.where(bands[..., -1:] == 0, np.array(255, bands.dtype), bands[..., :-1])


def look(rule: GapRule, parts: Iterator[PixelArray]) -> SeenGaps:
    """Return what all of an image says of its gaps.

    Parameters
    ----------
    rule
        What is looked for.
    parts
        Its bands, (rows, W, bands), a part of the rows after the other.

    Raises
    ------
    ValueError
        If nothing was measured at all.
    """
    is_mask, clear, missing, total = True, 0, 0, 0
    darkest: npt.NDArray[Any] | None = None
    for part in parts:
        total += part.shape[0] * part.shape[1]
        if rule.alpha and is_mask:
            alpha = part[..., -1]
            is_mask = bool(((alpha == 0) | (alpha == np.iinfo(alpha.dtype).max)).all())
            clear += int((alpha == 0).sum())
        if rule.declared is not None:
            gaps = rule.missing(part)
            missing += int(gaps.sum())
            known = (part[..., :-1] if rule.alpha else part)[~gaps]
            if len(known):
                least = known.min(axis=0)
                darkest = least if darkest is None else np.minimum(darkest, least)
        elif not is_mask:
            break  # nothing else is looked for
    if rule.deep and rule.declared is not None and darkest is None:
        raise ValueError("it holds no data: every value is missing")
    found = () if darkest is None else tuple(float(value) for value in darkest)
    return SeenGaps(rule, is_mask, clear if is_mask else 0, missing, total, found)
