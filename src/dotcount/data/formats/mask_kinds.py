"""What kind of masks a set of pictures is: dot masks, or masks of objects by value or by connected region.

Eight-bit and sixteen-bit label masks, thresholded blobs, the few values that part touching nuclei and coloured marks
look alike one by one: a label mask with one object is a blob, an empty mask is anything. So facts are taken from each
picture and the kind is decided over all of them. Where two kinds would give different numbers of objects and nothing
tells which is meant, the set is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from dotcount.data.images import PixelArray, read_stored
from dotcount.errors import ImageReadError

MaskKind = Literal["dot_mask", "instance_mask", "component_mask"]

_VOID = (224, 224, 192)  # the border that Pascal VOC's masks draw around objects
_BY_VALUE = re.compile(r"([-_ ]cp[-_ ]masks?|[-_ ]object[-_ ]identities|[-_ ]instances?)$", re.I)
_LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif")
_FAR_BELOW_VOID = 128  # labels that end below and 255: the value that many tools give to what is ignored
_NEAR = 0.15
_NOISE = 16  # of 255: traces of compression on one colour
_LEAST_AREA = 0.1  # of the largest piece of a value: what is smaller says nothing about the kind


@dataclass(frozen=True, eq=False)
class Regions:
    """Marked parts of a mask: the connected regions of one value, and the value of each.

    ``regions`` (H, W) numbers them from 1, 0 is background; ``owners`` gives for each the place of its value among
    ``values``; ``areas`` are in pixels. ``soft``: values between background and mark were split at half the range;
    ``top``, ``second``: the largest value and the next; ``zero``: the lowest is 0.
    """

    regions: np.ndarray
    owners: np.ndarray
    areas: np.ndarray
    values: int
    soft: bool = False
    top: int = 0
    zero: bool = False
    second: int = 0

    def centres(self, by_value: bool) -> np.ndarray:
        """Return (n, 2) px: the centres of mass of the regions, or of all regions of each value together."""
        shape = self.regions.shape
        rows, columns = np.divmod(np.arange(self.regions.size), shape[1])
        flat = self.regions.ravel()
        sums = [np.bincount(flat, weights, len(self.areas) + 1)[1:] for weights in (columns, rows)]
        parts = [*sums, self.areas.astype(np.float64)]
        if by_value:
            parts = [np.bincount(self.owners, part, self.values) for part in parts]
        return np.asarray(np.stack(parts[:2], axis=1) / parts[2][:, None] + 0.5)


@dataclass(frozen=True)
class _Facts:
    """What one picture says: how many values, regions, regions worth the name, single pixels, marked pixels.

    ``typical``: the median area of the regions; ``top``, ``second``: the largest value and the next.
    """

    values: int = 0
    regions: int = 0
    pieces: int = 0
    singles: int = 0
    marked: int = 0
    size: int = 1
    soft: bool = False
    wrapped: bool = False
    enclosed: int = 0
    dark: bool = False
    zero: bool = False
    typical: float = 0.0
    top: int = 0
    second: int = 0


@dataclass(frozen=True)
class Verdict:
    """What a set of masks is.

    Attributes
    ----------
    kind
        ``None`` where two kinds are as likely; ``why`` then says between which.
    why
        What was decided and why, for people.
    white
        Whether marks are dark on a bright ground.
    pixels
        Whether every marked pixel is a dot.
    mixed
        Whether marks are bright in some and dark in others.
    zero, marked
        Whether 0 is the background, so that a mask without any 0 is full; whether anything is marked in any of them.
    """

    kind: MaskKind | None
    why: str
    white: bool = False
    pixels: bool = False
    mixed: bool = False
    zero: bool = False
    marked: bool = True


def marked_pixels(pixels: PixelArray) -> np.ndarray:
    """Return (H, W) whether a pixel differs from the background, the median colour, by half the range or more.

    Half the range, so that the ringing of a JPEG is no mark; in any channel, so that a channel that is bright
    throughout hides nothing.
    """
    contrast = _contrast(pixels)
    peak = contrast.max()
    return np.asarray(contrast >= max(peak / 2, 1e-9)) if peak > 0 else np.zeros(contrast.shape, dtype=bool)


def regions_of(pixels: PixelArray, path: Path, white: bool = False, zero: bool = False) -> Regions | None:
    """Return the marked regions of a mask; ``None`` if the picture is none.

    Parameters
    ----------
    pixels
        (H, W, 3) as stored.
    path
        The file, whose ending tells whether values are only near what was drawn, as in a JPEG.
    white, zero
        Whether the most frequent value is the background although 0 is there; whether 0 is, even if it is not there.
    """
    lossy = path.suffix.lower() in _LOSSY
    codes = _codes(pixels)
    if codes is None:
        return None
    used, numbers = np.unique(codes, return_counts=True)
    alike = (codes[1:] == codes[:-1]).mean() + (codes[:, 1:] == codes[:, :-1]).mean() if min(codes.shape) > 1 else 2.0
    if not lossy and len(used) <= max(2, codes.size // 16) and alike / 2 > 0.7:
        ground = 0 if zero else _background(used, numbers, codes.size, pixels, white)
        found = replace(_labelled(codes, used, ground), zero=bool(used[0] == 0))
        if not _is_smeared(found, pixels):
            return found
    return _softly(pixels, lossy)


def _codes(pixels: PixelArray) -> np.ndarray | None:
    """Return (H, W) a whole number for each value or colour; ``None`` where values are fractions."""
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all() or np.abs(pixels).max(initial=0) > 2**31 or (pixels % 1 != 0).any():
            return None
        pixels = pixels.astype(np.int64)
    values = pixels.astype(np.int64)
    if (values == values[..., :1]).all():
        return np.asarray(values[..., 0])
    if values.min() < 0 or values.max() >= 1 << 21:
        return None
    codes = (values[..., 0] << 42) + (values[..., 1] << 21) + values[..., 2]
    void = (_VOID[0] << 42) + (_VOID[1] << 21) + _VOID[2]
    return np.where(codes == void, 0, codes) if pixels.dtype == np.uint8 else codes


def _background(used: np.ndarray, numbers: np.ndarray, size: int, pixels: PixelArray, white: bool) -> int | None:
    """Return the code of the background: 0, else what fills the most, where that is a fifth of the picture or white."""
    if used[0] == 0 and not white:
        return 0
    most = int(numbers.argmax())
    grey_white = pixels.dtype == np.uint8 and used[most] in (255, (255 << 42) + (255 << 21) + 255)
    return int(used[most]) if numbers[most] >= size / 5 or grey_white else None


def _labelled(codes: np.ndarray, used: np.ndarray, background: int | None) -> Regions:
    """Return the 8-connected regions of equal codes, of which ``used`` lists all in order."""
    from scipy import ndimage

    kept = used[used != background] if background is not None else used
    places = np.searchsorted(kept, codes) + 1
    if background is not None:
        places[codes == background] = 0
    regions = np.zeros(codes.shape, dtype=np.int64)
    owners: list[np.ndarray] = []
    total = 0
    for value, part in enumerate(ndimage.find_objects(places)):
        if part is not None:
            own, number = ndimage.label(places[part] == value + 1, np.ones((3, 3)))
            regions[part][own > 0] = own[own > 0] + total
            owners.append(np.full(number, value))
            total += number
    areas = np.bincount(regions.ravel(), minlength=total + 1)[1:]
    top, second = (int(used[-k]) if len(used) >= k else 0 for k in (1, 2))
    owned = np.concatenate(owners or [np.zeros(0, dtype=int)])
    return Regions(regions, owned, areas, len(kept), top=top, second=second)


def _contrast(pixels: PixelArray) -> np.ndarray:
    values = pixels.astype(np.float64)
    background = np.median(values.reshape(-1, values.shape[-1]), axis=0)
    return np.asarray(np.abs(values - background).max(axis=-1))


def _is_smeared(found: Regions, pixels: PixelArray) -> bool:
    """Return whether values between background and mark are smooth edges or traces of compression, not labels.

    Such values lie in thin lines and crumbs beside others; the pixels of a label lie together.
    """
    from scipy import ndimage

    if found.values < 3:
        return False
    contrast = _contrast(pixels)
    inner = (found.regions > 0) & (contrast > 0) & (contrast < contrast.max())
    if not inner.any():
        return False
    regions = found.regions
    low, high = (filter(regions, 3) for filter in (ndimage.minimum_filter, ndimage.maximum_filter))
    thick = np.zeros(len(found.areas) + 1, dtype=bool)
    thick[regions[low == high]] = True
    beside = np.zeros(len(found.areas) + 1, dtype=bool)
    beside[regions[(regions > 0) & (high > regions)]] = True
    lowest = ndimage.minimum_filter(np.where(regions > 0, regions, len(thick)), 3)
    beside[regions[(regions > 0) & (lowest < regions)]] = True
    if (inner & ~thick[regions] & beside[regions]).sum() > 0.5 * inner.sum():
        return True
    faint = inner & (contrast <= 0.05 * contrast.max())
    if contrast.max() < 100 or not faint.any() or (inner & ~faint & (contrast < 0.7 * contrast.max())).any():
        return False
    crumbs = np.unique(regions[faint])
    return len(crumbs) > 1.5 * len(np.unique(found.owners[crumbs - 1]))


def _softly(pixels: PixelArray, lossy: bool) -> Regions | None:
    """Return the regions of a mask with smooth edges or traces of compression; ``None`` for any other picture.

    What is faint throughout is an empty mask only if it was compressed; else it may be a map of distances, or noise.
    """
    contrast = _contrast(pixels)
    peak = float(contrast.max(initial=0))
    if not math.isfinite(peak) or (not lossy and pixels.dtype == np.uint8 and 0 < peak <= _NOISE):
        return None
    marks = np.zeros(contrast.shape, dtype=np.int64)
    if peak > (_NOISE if pixels.dtype == np.uint8 else 0):
        ground, tops = (contrast <= _NEAR * peak).sum(), (contrast >= (1 - _NEAR) * peak).sum()
        between = contrast.size - ground - tops
        if ground < 0.3 * contrast.size or between > min(0.15 * contrast.size, 1.5 * tops):
            return None
        marks[marked_pixels(pixels)] = 1
    found = _labelled(marks, np.array([0, 1] if marks.any() else [0]), 0)
    return Regions(found.regions, found.owners, found.areas, found.values, soft=True)


@lru_cache(maxsize=20_000)
def _facts(path: Path, white: bool, _modified: int, _size: int) -> _Facts | None:
    try:
        found = regions_of(read_stored(path), path, white)
    except ImageReadError:
        return None
    if found is None:
        return None
    largest = np.zeros(found.values)
    np.maximum.at(largest, found.owners, found.areas)
    worth = found.areas >= _LEAST_AREA * largest[found.owners]
    marked = int(found.areas.sum())
    return _Facts(
        found.values,
        len(found.areas),
        int(worth.sum()),
        int((found.areas == 1).sum()),
        marked,
        found.regions.size,
        found.soft,
        wrapped=found.top == 255 and found.values >= 250,
        enclosed=_enclosed(found) if 1 < found.values < len(found.areas) else 0,
        dark=_is_dark(found),
        zero=found.zero,
        typical=float(np.median(found.areas)) if len(found.areas) else 0.0,
        top=found.top,
        second=found.second,
    )


def _crumbs(used: Sequence[_Facts]) -> str:
    """Return in words that some regions are single pixels beside large ones, which count like these."""
    number = sum(f.singles for f in used)
    typical = max((f.typical for f in used), default=0.0)
    return f"; {number} of them are single pixels, beside others of {typical:g}" if number and typical >= 16 else ""


def _is_dark(found: Regions) -> bool:
    """Return whether one value is nearly everywhere and what is left are marks within it, or nothing."""
    from scipy import ndimage

    shares = np.bincount(found.owners, found.areas, found.values) / found.regions.size
    if found.soft or not found.values or shares.sum() <= 0.9 or shares.max() < 0.5:
        return False
    holes, number = ndimage.label(found.regions == 0, np.ones((3, 3)))
    corners = holes[[0, 0, -1, -1], [0, -1, 0, -1]]  # where there is ground around an object that fills the picture
    return number == 0 or 2 * len(np.unique(corners[corners > 0])) < number


def _enclosed(found: Regions) -> int:
    """Return how many regions border on one other region only, such as the inside of an outline."""
    regions = found.regions
    edges = [(regions[:-1], regions[1:]), (regions[:, :-1], regions[:, 1:])]
    pairs = [np.stack([a[a != b], b[a != b]], axis=1) for a, b in edges]
    both = np.concatenate([side for p in pairs for side in (p, p[:, ::-1])])
    both = both[both[:, 0] > 0]
    kinds, numbers = np.unique(both, axis=0, return_counts=True)
    border = np.bincount(kinds[:, 0], numbers, len(found.areas) + 1)
    inside = (kinds[:, 1] > 0) & (numbers >= 0.9 * border[kinds[:, 0]])
    return int(inside.sum())


def facts_of(path: Path, white: bool = False) -> _Facts | None:
    """Return the facts of a picture; ``None`` if it is unreadable or no mask."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return _facts(path, white, stat.st_mtime_ns, stat.st_size)


def decide(paths: Sequence[Path]) -> Verdict | None:
    """Return the kind of a set of masks, decided over all of them; ``None`` if no picture of them is a mask."""
    found = [(path, facts) for path in paths if (facts := facts_of(path)) is not None]
    if not found:
        return None
    verdict = _decided(found)
    zero = not verdict.white and any(f.zero for _, f in found)
    return replace(verdict, zero=zero, marked=any(f.values for _, f in found))


def _decided(found: Sequence[tuple[Path, _Facts]]) -> Verdict:
    bright, filled = sum(f.dark for _, f in found), sum(f.values > 0 for _, f in found)
    white = 2 * bright > filled
    if 0 < bright < filled:
        odd = next(path for path, f in found if f.values and f.dark != white)
        why = "has a dark ground, others have dark marks"
        if not white:
            why = "has dark marks on a bright ground, or none, others have bright marks"
        return Verdict(None, f"{odd} {why}", white, mixed=True)
    if white:
        found = [(path, facts) for path, _ in found if (facts := facts_of(path, True)) is not None]
    used = [f for _, f in found if f.values]
    values, regions, pieces, singles, marked = (
        sum(getattr(f, key) for f in used) for key in ("values", "regions", "pieces", "singles", "marked")
    )
    ground = "dark marks on a bright ground; " if white else ""
    if singles > regions / 2 and marked <= 2 * regions:
        several = "" if all(f.values == 1 or f.values == f.regions for f in used) else ", whatever its value"
        return Verdict("dot_mask", f"{ground}each marked pixel is a dot{several}", white, pixels=True)
    if all(f.values == 1 for f in used):
        small = marked < 0.1 * sum(f.size for f in used)
        kind: MaskKind = "dot_mask" if small or not used else "component_mask"
        why = f"{ground}each connected region is one object{_crumbs(used)}" if used else "all masks are empty"
        return Verdict(kind, why, white)
    ratio = pieces / values
    second = max((f.second if f.top == 255 else f.top) for f in used)
    if 0 < second < _FAR_BELOW_VOID and any(f.top == 255 for f in used) and not any(f.soft for f in used):
        why = f"the value 255 beside values up to {second} may be an object, or what is to be ignored; set it to 0"
        return Verdict(None, f"{why}, or number the objects on", white)
    between = f"{values:,} objects if each value is one, {regions:,} if each connected region of one value is"
    if any(f.wrapped for f in used) and pieces > values:
        return Verdict(None, f"{between}; values up to 255 begin again in 8 bits", white)
    if ratio <= 1.1 or (ratio < 1.5 and any(_BY_VALUE.search(path.stem) for path, _ in found)):
        torn = f"; {pieces - values} lie in more than one piece" if pieces > values else ""
        return Verdict("instance_mask", f"{ground}each value is one object{torn}", white)
    if sum(f.enclosed for f in used) > 0.2 * regions:
        return Verdict(None, f"{between}; regions of one value lie within those of another, as in outlines", white)
    if ratio >= 1.5:
        why = f"each connected region of one value is one object, as {values:,} values mark {regions:,} regions"
        return Verdict("component_mask", ground + why, white)
    return Verdict(None, between, white)
